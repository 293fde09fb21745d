"""Floor 4: the stages, one a file, and what a stage is."""
