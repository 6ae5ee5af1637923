"""Recipes: how the networks of a dataset are made. A recipe is one file of this package."""
