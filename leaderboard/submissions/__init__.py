"""The life of a submitted result: submission, review, reproduction."""
