"""Runs many short cases in processes whose time, memory and standard error are watched."""

import contextlib
import io
import multiprocessing
import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from attack import Tally

SECONDS = 2.0  # of a processor, for one case
BYTES = 2**30  # of memory that one case may take
HARD_BYTES = 3 * 2**30  # of addresses; more is refused by the system, so that the machine survives a failure
PATIENCE = 30.0  # seconds of a processor without an answer, after which a process is ended
LONGEST_WAIT = 600.0  # seconds, likewise: a process that waits for something uses no processor
LONGEST_LINE = 600  # letters of an error, without what the case itself puts into a name

# A case gets its random numbers and an empty folder; it returns what happened in a word, or raises an error.
Case = Callable[[random.Random, Path], str]


class Answer(NamedTuple):
    """What a process found out about one case."""

    outcome: str
    problem: str  # empty where everything held
    seconds: float
    bytes: int


def run_cases(case: Case, seed: int, count: int, folder: Path, processes: int = 2, seconds: float = SECONDS) -> Tally:
    """Runs a case `count` times. It depends only on the seed and its number, not on the process or on the others.

    A case that fails leaves its folder behind, as `failed-NUMBER`.

    Args:
        case: as described above; its processor time, the memory that it takes and what it writes to standard error
            are checked here.
        seed: of the random numbers.
        count: of cases.
        folder: for their files.
        processes: that work at the same time.
        seconds: of a processor that a case may take.
    """
    tally, following = Tally(), iter(range(count))
    slowest, largest = 0.0, 0
    workers = [_Worker(case, seed, folder, seconds) for _ in range(min(processes, count))]
    for worker in workers:
        worker.begin(next(following))
    while busy := [worker for worker in workers if worker.number is not None]:
        ready = wait([worker.connection for worker in busy], timeout=1)
        for worker in busy:
            answer = worker.answer(worker.connection in ready)
            if answer is None:
                continue
            if answer.problem:
                tally.fail(f"case {worker.number}: {answer.problem}")
            else:
                tally.add(answer.outcome)
            slowest, largest = max(slowest, answer.seconds), max(largest, answer.bytes)
            worker.begin(next(following, None))
    for worker in workers:
        worker.end()
    tally.figures = f"at most {slowest:.1f} s and {largest / 2**20:,.0f} MB"
    return tally


class _Worker:
    """A forked process that runs one case after another; one that dies or hangs is replaced."""

    def __init__(self, case: Case, seed: int, folder: Path, seconds: float):
        self._arguments = (case, seed, folder, seconds)
        self.number: int | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")  # importing torch takes longer than most cases
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, *self._arguments), daemon=True)
        self._process.start()
        other.close()

    def begin(self, number: int | None) -> None:
        self.number, self._began, self._used = number, time.monotonic(), self._processor_seconds()
        if number is not None:
            self.connection.send(number)

    def answer(self, ready: bool) -> Answer | None:
        """Returns the answer to the case, where there is one."""
        waited = time.monotonic() - self._began
        if ready:
            with contextlib.suppress(EOFError, ConnectionError):
                return self.connection.recv()
            self._process.join()
            problem = f"the process ended with status {self._process.exitcode}"
        elif waited > LONGEST_WAIT or self._processor_seconds() - self._used > PATIENCE:
            problem = f"no answer in {waited:.0f} s"
        else:
            return None
        self.end()
        self._start()
        return Answer("", problem, waited, 0)

    def _processor_seconds(self) -> float:
        """Returns what the process has used: on a busy machine, the seconds that pass say little."""
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(self._process.pid).cpu_times()
            return times.user + times.system
        return 0.0

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextlib.contextmanager
def limit_addresses() -> Iterator[None]:
    """Lets this process take HARD_BYTES more: beyond that a MemoryError is raised, and the machine survives."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + HARD_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _work(connection: Connection, case: Case, seed: int, folder: Path, seconds: float) -> None:
    """Runs the cases whose numbers arrive."""
    import torch

    from srcnn_lib.data import image_decoding  # noqa: F401 imported here, so that no case pays for it

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="PIL")  # as the command line does
    warnings.filterwarnings("ignore", module="mutated_weights|zipfile")  # of making the files
    limit_addresses().__enter__()
    errors = folder / f"stderr-{os.getpid()}"
    os.dup2(os.open(errors, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC), 2)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0, closefd=False), write_through=True, errors="backslashreplace")
    while True:
        number = connection.recv()
        place = folder / f"case-{number}"
        place.mkdir()
        answer = _run(case, random.Random(f"{seed}-{number}"), place, seconds)
        if answer.problem:
            place.rename(folder / f"failed-{number}")
        else:
            shutil.rmtree(place)
        connection.send(answer)


def _run(case: Case, chance: random.Random, place: Path, limit: float) -> Answer:
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    before, began = _memory("VmRSS"), time.process_time()
    outcome = problem = ""
    try:
        outcome = case(chance, place)
    except BaseException as error:
        trace = traceback.extract_tb(error.__traceback__)
        where = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in trace[-3:])
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]} ({where})"
    seconds, taken = time.process_time() - began, _memory("VmHWM") - before
    if not problem and (noise := take_errors()):
        problem = f"on standard error: {noise[:300]!r}"
    if not problem and seconds > limit:
        problem = f"took {seconds:.1f} s"
    if not problem and taken > BYTES:
        problem = f"took {taken / 2**20:,.0f} MB"
    return Answer(outcome, problem, seconds, taken)


def _memory(name: str) -> int:
    """Returns a value of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) * 1024


def take_errors() -> str:
    """Returns what this process has written to standard error, C libraries included, and forgets it."""
    sys.stderr.flush()
    text = Path("/proc/self/fd/2").read_bytes().decode(errors="replace")
    os.ftruncate(2, 0)
    return text


def command(*arguments: object) -> tuple[int, str, str]:
    """Runs `srcnn` in this process; returns its status, what it printed, and what it wrote to standard error."""
    from srcnn_lib.commands.main import main

    output: Any = io.StringIO()
    argv, sys.argv = sys.argv, ["srcnn", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(output):
            main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.argv = argv
    return status, output.getvalue(), take_errors()


def check_line(text: str) -> None:
    """Checks the message of an error: one line that can be shown, and not a long one."""
    assert text.isprintable(), f"not printable: {text[:300]!r}"
    assert 0 < len(text) <= LONGEST_LINE, f"{len(text)} letters: {text[:300]}"


def check_refusal(status: int, errors: str) -> None:
    """Checks that a command ended with status 2 and one line."""
    assert status == 2, f"status {status}: {errors[-300:]!r}"
    lines = errors.splitlines()
    assert len(lines) == 1, f"{len(lines)} lines on standard error: {errors[:300]!r}"
    assert lines[0].startswith("srcnn: "), errors[:300]
    check_line(lines[0])
