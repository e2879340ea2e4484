"""`python -m srcnn_lib` is `srcnn`."""

from .cli import main

if __name__ == "__main__":
    main()
