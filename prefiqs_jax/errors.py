"""The error that a user can cure: one line, what is wrong and how to fix it."""


class InputError(ValueError):
    """Bad input: a file, a name or a value that the user gave.

    The message is one line that names the file or value and the cure. The command
    line prints it and exits with status 2; anything else that escapes is a bug.
    """
