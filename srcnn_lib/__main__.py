"""`python -m srcnn_lib` is `srcnn`."""

from .commands.main import main

if __name__ == "__main__":
    main()
