"""Thousands of photos: where they come from, working on them with all cores, and the table."""
