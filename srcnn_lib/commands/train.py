"""The command `srcnn train`: its options, and the folder of the run that it begins or resumes."""

import contextlib
import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import ENDS, FREE, TrainingConfig
from ..errors import InputError

RUNS = Path("runs")  # the parent folder of runs for which none is named
NUMBER_TUPLES: dict[Any, type] = {tuple[int, ...]: int, tuple[float, ...]: float}  # given as one text such as 9,5,5


def with_config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command one option for each field of TrainingConfig, so that options and settings always agree.

    typer reads the options of a command from its signature. The command itself declares `**settings`; the function that
    is returned has one optional parameter for each field instead. Only the settings that were named on the command line
    are passed on; the recipe determines all others.

    Args:
        command: takes settings as keywords, in the types of the fields.
    """
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    fields = dataclasses.fields(TrainingConfig)

    @functools.wraps(command)
    def command_with_options(**arguments: Any) -> None:
        for field in fields:
            value = arguments.pop(field.name)
            if value not in (None, []):  # typer's values for an option that is not given
                arguments[field.name] = setting_value(field, value)
        command(**arguments)

    parameters = [*own, *map(_option_parameter, fields)]
    command_with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command_with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command_with_options


def _option_parameter(field: dataclasses.Field) -> inspect.Parameter:
    """Describes the command-line option of a setting; tuples of numbers are given as one text such as 9,5,5."""
    kind: Any = field.type
    default: Any = field.default
    if isinstance(default, tuple):
        kind = list[str] if kind == tuple[str, ...] else str
        default = ",".join(map(str, default))
    text = field.metadata["help"].removesuffix(".")
    option = typer.Option(
        f"--{field.name.replace('_', '-')}",
        help=f"{text} (default: {default})." if default else f"{text}.",
        show_default=False,
        rich_help_panel=field.metadata["group"],
    )
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def setting_value(field: dataclasses.Field, value: Any) -> Any:
    """Returns the value of an option in the type of its setting.

    Raises:
        InputError: a text that should hold numbers and does not.
    """
    if isinstance(value, list):
        return tuple(value)
    if field.type not in NUMBER_TUPLES:
        return value
    number = NUMBER_TUPLES[field.type]
    try:
        return tuple(number(part) for part in value.split(","))
    except ValueError as error:
        flag = field.name.replace("_", "-")
        default: Any = field.default
        example = ",".join(map(str, default)) or "0.8,0.6"
        raise InputError(f"--{flag} is {value}, expected numbers such as {example}") from error


@with_config_options
def train(
    out: Annotated[
        Path | None, typer.Option(help="The run's folder (default: a new one under runs/, named by date and settings).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, or the newest one under runs/.")
    ] = False,
    go_back: Annotated[
        bool,
        typer.Option("--go-back", help="Resume from an older checkpoint where more than the newest one is damaged."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
    **settings: Any,
) -> None:
    """Train a network, and record everything about the training in the folder of a run.

    Without further options it trains for ten minutes on the photographs that come with the package:

        srcnn train

    Ctrl-C saves everything and stops; --resume continues. `accelerate launch` trains on several devices.
    """
    from ..runtime import distributed
    from ..runtime.files import printable
    from ..training import launch

    group = distributed.process_group()
    config, path = group.run_on_main(lambda: choose_run(settings, out, resume))
    try:
        run = launch.train(config, path, quiet, new=not resume, go_back=go_back)
    except BaseException:
        if group.is_main and not out:
            with contextlib.suppress(OSError):
                path.rmdir()  # empty, where no photograph could be read
                RUNS.rmdir()
        raise
    if run:
        print(f"next: srcnn evaluate {printable(path)} set5 · srcnn upscale PICTURE --weights {printable(path)}")
        print(f"      tensorboard --logdir {printable(path)}")
    group.shutdown()


def choose_run(settings: dict[str, Any], out: Path | None, resume: bool) -> tuple[TrainingConfig, Path]:
    """Returns the settings and the folder of a run, new or resumed; no photograph is read.

    The folder of a new run under runs/ is made at once, so that no other training takes it.

    Raises:
        InputError: a new run in a folder that holds something, or a resumed one that does not exist or differs.
    """
    from ..run import Run

    killed_before_first_file = out is not None and out.is_dir() and Run.is_empty(out)
    if resume and not killed_before_first_file:
        path = out or newest_run()
        return resumed_config(Run(path).config, settings, path), path
    config = TrainingConfig.of(**settings)
    if not out:
        return config, new_run_folder(config)
    Run.check_new(out)
    return config, out


def newest_run(folder: Path = RUNS) -> Path:
    """Returns the run in a folder that was written to last.

    Raises:
        InputError: where there is no run.
    """
    runs = [path.parent for path in folder.glob("*/config.json")]
    if not runs:
        raise InputError(f"{folder}/ holds no run to resume; name one with --out")
    return max(runs, key=lambda run: (run / "config.json").stat().st_mtime)


def new_run_folder(config: TrainingConfig) -> Path:
    """Makes a new, empty folder for a run and returns its path."""
    name = new_run_name(config)
    for number in itertools.count(1):
        path = RUNS / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not RUNS.is_dir():
                raise
            continue
        return path
    raise AssertionError("the numbers do not end")


def new_run_name(config: TrainingConfig) -> str:
    """Returns a name made of the date and the settings, such as 2026-01-31-120000-y-64-32-x2-best."""
    widths = "-".join(map(str, config.widths))
    return f"{datetime.now():%Y-%m-%d-%H%M%S}-{config.psnr_channel}-{widths}-x{config.scale:g}-{config.recipe}"


def resumed_config(before: TrainingConfig, settings: dict[str, Any], path: Path) -> TrainingConfig:
    """Returns the settings of a resumed run: its own, except for a new end, device or number of checkpoints.

    Args:
        before: the settings that the run was made with.
        settings: those that were named when it was resumed.
        path: the run's folder, for messages.

    Raises:
        InputError: with the list of all other settings that differ.
    """
    if settings.get("minutes", before.minutes) != before.minutes:
        raise InputError(
            f"{path}: minutes became a number of steps when the run began; ask for more with --steps or --epochs"
        )
    changeable = {name: value for name, value in settings.items() if name in FREE}
    fixed = {name: value for name, value in settings.items() if name not in FREE}
    if differences := before.differences(dataclasses.replace(before, **fixed)):
        raise InputError(f"{path} was made with other settings: {'; '.join(differences)}; start a new run for them")
    if any(name in ENDS for name in changeable):
        changeable = {**dict.fromkeys(ENDS, 0), **changeable}
    return dataclasses.replace(before, **changeable)
