"""What runs and leaderboard agree on, without torch: the schema of a record, cells, predictions, metrics, sources."""
