"""The harness: datasets, tasks, suites, and the runner that turns a grid of runs into records."""
