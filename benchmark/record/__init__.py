"""What runs and leaderboard agree on, without torch: records, cells, predictions, metrics."""
