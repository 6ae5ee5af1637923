"""What is checked of methods: conformance, and whether code computes what it computed before."""
