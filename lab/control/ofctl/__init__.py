"""ovs-ofctl's commands."""
