"""Measurements, one command each: python -m benchmarks.NAME. Nothing here is a test."""
