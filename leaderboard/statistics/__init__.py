"""The statistics of the tables."""
