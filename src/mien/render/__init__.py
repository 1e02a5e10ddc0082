"""Showing results: JSON records, CSV rows, annotated images."""
