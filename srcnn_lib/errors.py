"""The error for input that can't be used, and the words in which errors are reported."""

from pathlib import Path


class InputError(ValueError):
    """A value, file or address given by the user can't be used.

    The message is one line, which names the thing and the way out. The command line prints it and ends with status 2.
    Every other error is a bug and keeps its traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows of this error, in place of a traceback: the message alone."""
        return [f"\x1b[1;31m{type(self).__name__}\x1b[0m: {self}"]


def user_message(error: InputError | OSError) -> str:
    """Returns the line that tells the user what to correct.

    Raises:
        OSError: `error` itself, where it has no reason from the system: it is a bug.
    """
    if isinstance(error, InputError):
        return str(error)
    if error.strerror is None:
        raise error
    return f"{error.filename or 'file'}: {error.strerror}"


def searched_folder(path: str | Path) -> str:
    """Returns " in FOLDER", where a relative path was looked for; nothing for an absolute one.

    JupyterLab's terminal, for example, opens in the folder of the notebooks, and the runs are in another one.
    """
    return "" if Path(path).is_absolute() else f" in {Path.cwd()}"


def error_reason(error: Exception) -> str:
    """Returns the reason of an error in a few words, without the file that an OSError names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
