"""From a plan to its runs, and from a run to its record."""
