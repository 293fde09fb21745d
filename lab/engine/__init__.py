"""Floor 5: the pipeline, the PMD loop, stepping, tracing, snapshots and counters."""
