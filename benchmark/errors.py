"""Errors that are a person's to mend: shown as one line, without a traceback."""


class UserError(Exception):
    """What is wrong, where, and how to mend it.

    The command line prints it as one line and exits with status 2.
    """
