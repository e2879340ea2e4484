"""The error for input that can't be used."""


class InputError(ValueError):
    """A value, file or address given by the user can't be used.

    The message is one line, which names the thing and the way out. The command line prints it and ends with status 2.
    Every other error is a bug and keeps its traceback.
    """
