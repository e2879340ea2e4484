"""The command line `srcnn`.

Each command imports the rest of the package when it runs, so that `srcnn --help` answers at once.
"""

import sys
from typing import Any

import typer

from ..errors import InputError
from ..runtime.console import run_command
from .benchmark import benchmark
from .demo import demo
from .evaluate import evaluate
from .explain import explain
from .train import train
from .upscale import upscale
from .visualize import animate, compare, laboratory
from .weights import convert, export, info, release

app = typer.Typer(
    help="Train SRCNN, watch it learn, inspect it and use it. Start with: srcnn demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    demo, train, evaluate, upscale, animate, laboratory, compare, explain, release, info, convert, export, benchmark,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)

# The class of typer's errors about the command line; its module depends on the version of typer.
UsageError: Any = typer.BadParameter.__base__


def main() -> None:
    """Runs the command line; every error that the user can correct is one line and status 2."""
    run_command(_run_app)


def _run_app() -> None:
    try:
        # Not in standalone mode, where typer would draw a box around its own errors and exit.
        status = app(sys.argv[1:] or ["--help"], prog_name="srcnn", standalone_mode=False)
    except UsageError as error:
        message = " ".join(error.format_message().split()).removesuffix(".")
        command = error.ctx.command_path if error.ctx else "srcnn"
        raise InputError(f"{message[:1].lower()}{message[1:]}; see {command} --help") from error
    if status == 130:  # typer turns Ctrl-C into this status
        raise KeyboardInterrupt
    sys.exit(status)
