"""Machine code of stages: their sources, the cache, the processes that compile."""
