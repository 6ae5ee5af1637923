"""What becomes of a submitted result: submission, review, reproduction."""
