"""Floor 6: rules as people write them, and the table that holds them."""
