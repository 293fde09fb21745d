"""Floor 2: flow keys and masks, the classifier, the caches, megaflows and the encoding of actions."""
