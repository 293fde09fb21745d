"""The peers that benchmarks measure beside."""
