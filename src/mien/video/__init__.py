"""Faces in videos: reading, tracking, smoothing over time, and summaries per person."""
