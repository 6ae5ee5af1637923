"""Weight-space datasets: catalogue, storage format, recipes and importers."""
