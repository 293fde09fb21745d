"""GRO as librte_gro does it: neighbours in front and behind, fragments, a burst at a time or with a timeout."""
