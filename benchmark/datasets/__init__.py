"""Weight-space datasets: the catalogue, the storage format, the recipes that build them, and their arms."""
