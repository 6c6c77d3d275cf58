"""Errors that a person can act on."""

import pulumi


class StackError(pulumi.RunError):
    """The program can't be run as it is configured. The message says what to set.

    A `RunError`, because Pulumi shows the message of one without a traceback.
    """
