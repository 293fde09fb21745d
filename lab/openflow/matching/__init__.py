"""Matches: from words to masks and values over the flow key, and back."""
