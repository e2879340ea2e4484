"""What the user gave can't be used: said in one line, with the way out."""


class InputError(ValueError):
    """A value, file or address from outside can't be used.

    The message is one line that names the thing and the way out; the command line prints it as it is and
    ends with status 2. Everything else that goes wrong is a bug and keeps its traceback.
    """
