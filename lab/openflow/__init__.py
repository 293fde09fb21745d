"""Floor 5: rules as people write them, and the table that holds them."""
