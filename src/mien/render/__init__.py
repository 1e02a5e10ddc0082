"""Showing results: JSON records, CSV rows, annotated pictures."""
