"""Errors that are a person's to mend: shown as one line, without a traceback."""


class UserError(Exception):
    """Says what is wrong, where, and how to mend it; the command line prints it and exits with status 2."""
