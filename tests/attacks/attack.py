"""What an attack is, and the table of what was tried and what held."""

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 120  # for one case; no answer in that time is a failure


@dataclass
class Tally:
    """What happened in the cases of an attack: how often each outcome, and a line for each failure."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    figures: str = ""  # what was measured, such as the longest time of a case

    def add(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def fail(self, what: str) -> None:
        self.failures.append(what)
        self.outcomes["FAILED"] += 1

    @contextlib.contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Runs a case: any exception but a KeyboardInterrupt is a failure, and so is no answer in two minutes."""
        before = signal.signal(signal.SIGALRM, _no_answer)
        signal.alarm(SECONDS)
        try:
            yield
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(str(error).split())[:200]
            self.fail(f"{name}: {type(error).__name__}: {text} ({Path(place.filename).name}:{place.lineno})")
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def _no_answer(*_: object) -> None:
    raise TimeoutError(f"no answer in {SECONDS} s")


@dataclass(frozen=True)
class Attack:
    """An attack on one part of the project.

    Attributes:
        name: of the attack.
        count: number of cases of the whole attack.
        promise: what must hold in every case.
        run: called with a seed, the number of cases and an empty folder; returns what happened.
    """

    name: str
    count: int
    promise: str
    run: Callable[[int, int, Path], Tally]


def row(attack: Attack, count: int, tally: Tally, seconds: float) -> str:
    """Returns a row of the table, in Markdown."""
    happened = ", ".join(f"{outcome} {number:,}" for outcome, number in tally.outcomes.most_common())
    happened += f"; {tally.figures}" if tally.figures else ""
    held = "yes" if not tally.failures else f"**no, {len(tally.failures)} times**"
    return f"| {attack.name} | {count:,} | {attack.promise} | {held} | {happened} | {seconds:.0f} s |"


HEADER = "| attack | cases | must hold | held | what happened | took |\n|---|---|---|---|---|---|"


def in_child(function: Callable[[], object], errors: Path, seconds: float | None = None, *signals: int) -> int:
    """Runs a function as a command in a forked process and returns its exit status, negative if a signal killed it.

    Importing torch takes longer than most cases; a forked process has it already.

    Args:
        function: what is run, as `run_command` runs a command.
        errors: the file that standard error is appended to.
        seconds: after which the process gets the signals, a moment apart.
        signals: their numbers.
    """
    child = start_child(function, errors)
    if seconds is not None:
        time.sleep(seconds)
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
            time.sleep(0.02)
    return wait_for_child(child)


def start_child(function: Callable[[], object], errors: Path) -> int:
    """Starts a function as a command in a forked process, and returns the process's number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        handle = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 2)
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0, closefd=False), write_through=True)
        sys.stdout = io.StringIO()
        from srcnn_lib.runtime.console import run_command

        run_command(function)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait_for_child(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
