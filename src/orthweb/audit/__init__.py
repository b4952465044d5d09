"""Compares the index with the storage: every row with its object, and every object with its row."""
