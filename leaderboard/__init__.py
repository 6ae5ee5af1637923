"""What became of the runs. Reads records; never imports torch."""
