"""Floor 2: chains, checksums, GSO, GRO and tunnels: what offload stages do to a packet, written once for both tempos."""
