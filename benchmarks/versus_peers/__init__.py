"""Comparison of ``mien`` with other emotion recognition systems, in one run and one table."""
