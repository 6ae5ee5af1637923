"""Tuning every method alike: search spaces, the search and its log, and equal training seconds."""
