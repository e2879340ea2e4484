"""Runs the command line: `python -m srcnn_lib` is the same as `srcnn`."""

from .commands.main import main

if __name__ == "__main__":
    main()
