"""Drawn results: annotated images, timelines, contact sheets and reports."""
