"""Fits of many SIRENs: written out for a CPU's registers, or in batches by torch."""
