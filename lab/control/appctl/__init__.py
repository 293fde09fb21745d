"""ovs-appctl's commands."""
