"""How the networks of a dataset are made, one file a kind."""
