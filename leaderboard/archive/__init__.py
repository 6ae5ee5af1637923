"""The committed records: reading, checking and ranking them."""
