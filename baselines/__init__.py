"""The methods, one file each; `benchmark.methods` finds them here."""
