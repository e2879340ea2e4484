"""The processes that a launcher starts for one piece of work, and what they say to each other: thin over Accelerate.

Without a launcher there is one rank. It asks nobody, and nothing is imported for it.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from ..errors import InputError

# What `accelerate launch`, `notebook_launcher`, torchrun and the kinds of MPI tell the processes that they start.
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
NEIGHBOURS = ("LOCAL_WORLD_SIZE", "MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")
WAIT = timedelta(hours=12)  # for one that reads or fetches photographs; one that has ended is noticed at once
COMMANDS = ("epoch", "halve", "snapshot")  # of steering, that change what is trained or kept
Value = TypeVar("Value")


class ProcessGroup:
    """One process on its own."""

    rank = 0  # this one's number
    size = 1  # how many there are
    local = 0  # this one's number on its machine
    note: str | None = None  # what a person should know of how they were started

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """This rank's part of start … stop − 1: all parts together are the whole, none is in two, empty ones happen."""
        length = stop - start
        return start + length * self.rank // self.size, start + length * (self.rank + 1) // self.size

    def total(self, tensor):
        """The sum of every rank's tensor, the same bits on all of them."""
        return tensor

    def followed(self, tensor):
        """The main rank's tensor, on all of them."""
        return tensor

    def gathered(self, value: Value) -> list[Value]:
        """What each rank has, in their order."""
        return [value]

    def together(self, function: Callable[[], Value]) -> Value:
        """What `function` gives here, once it has succeeded everywhere; where it fails on one rank, it fails on all.

        Raises:
            InputError: what the first rank that failed was told.
        """
        return function()

    def told(self, function: Callable[[], Value]) -> Value:
        """What `function` gives on the main rank, where alone it is called; its failure is everyone's as well."""
        return function()

    def agreed(self, commands: list[str], stop: bool, paused: bool) -> tuple[list[str], bool, bool]:
        """What all do next: the main rank's commands and its pause, and a stop that any of them wants."""
        return commands, stop, paused

    def leave(self) -> None:
        """Take leave of the others, at the end of all work."""


class DistributedGroup(ProcessGroup):
    """One of several processes. Each method is one message, which waits until all have sent theirs.

    What a person can mend is exchanged and raised on every rank. A process that ends in any other way closes its
    connections: the others learn it in their next message.
    """

    def __init__(self, state):
        self.state = state  # accelerate's
        self.rank, self.size, self.local = state.process_index, state.num_processes, state.local_process_index

    def total(self, tensor):
        from accelerate.utils import reduce

        with _connected():
            return reduce(tensor, "sum")

    def followed(self, tensor):
        from accelerate.utils import broadcast

        with _connected():
            return broadcast(tensor)

    def gathered(self, value: Value) -> list[Value]:
        from accelerate.utils import gather_object

        with _connected():
            return gather_object([value])

    def together(self, function: Callable[[], Value]) -> Value:
        value, failure = _tried(function)
        _raise_first(self.gathered(failure))
        return value

    def told(self, function: Callable[[], Value]) -> Value:
        answers = self.gathered(_tried(function) if self.main else (None, None))
        _raise_first([failure for _, failure in answers])
        return answers[0][0]

    def agreed(self, commands: list[str], stop: bool, paused: bool) -> tuple[list[str], bool, bool]:
        import torch

        own = [paused, *(commands.count(command) for command in COMMANDS)] if self.main else [0] * (1 + len(COMMANDS))
        # On the CPU, so that no rank waits for its device.
        stops, pauses, *counts = self.total(torch.tensor([stop, *own], dtype=torch.int64)).tolist()
        agreed = [command for command, count in zip(COMMANDS, counts, strict=True) for _ in range(count)]
        return agreed, bool(stops), bool(pauses)

    def leave(self) -> None:
        with _connected():
            self.state.destroy_process_group()


def join() -> ProcessGroup:
    """The ranks that this process is one of, connected; called again, the same.

    Accelerate's own choice of the connection is NCCL alone on GPUs and none on CPUs unless it is told.
    """
    if not launched():
        return _one()
    import multiprocessing

    import torch
    from accelerate import PartialState

    if on_one_machine() and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # found by the host's name without, which may lead nowhere
    gpus = torch.cuda.is_available() and not cpu_requested()
    # Gloo beside NCCL: what is said between two steps must not wait for what the GPUs have still to do.
    backend = {"backend": "cuda:nccl,cpu:gloo"} if gpus else {}
    try:
        state = PartialState(cpu=not gpus, timeout=WAIT, **backend)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the processes of this work can't be connected ({_line(error)})") from error
    if type(multiprocessing.current_process()).__name__ == "ForkProcess":
        # `notebook_launcher` forks: GNU's OpenMP would wait for ever for threads that only the notebook's process has.
        torch.set_num_threads(1)
    return DistributedGroup(state)


def _one() -> ProcessGroup:
    group = ProcessGroup()
    # These two without a size: accelerate was asked for several processes and, in silence, started one.
    if {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= os.environ.keys():
        group.note = "accelerate has started one process only; for several on CPUs it wants --multi_gpu, and no --cpu"
    return group


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return _told(SIZES, 1) > 1


def first() -> bool:
    """Whether this is the process that prints; known before the ranks are connected."""
    return not launched() or _told(RANKS, 0) == 0


def processes_on_this_machine() -> int:
    """How many processes share this machine, this one among them."""
    return _told(NEIGHBOURS, 1) if launched() else 1


def on_one_machine() -> bool:
    return processes_on_this_machine() == _told(SIZES, 1)


def cpu_requested() -> bool:
    """Whether the launcher was told --cpu."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on")


def _told(names: Sequence[str], otherwise: int) -> int:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), otherwise)


def _tried(function: Callable[[], Any]) -> tuple[Any, str | None]:
    """What the function gives, or the line that a person is to read; what only we can mend is raised as it is."""
    try:
        return function(), None
    except InputError as error:
        return None, str(error)
    except OSError as error:
        if error.strerror is None:
            raise
        return None, f"{error.filename or 'file'}: {error.strerror}"


def _raise_first(failures: Sequence[str | None]) -> None:
    for rank, failure in enumerate(failures):
        if failure:
            raise InputError(failure if rank == 0 else f"process {rank}: {failure}")


@contextlib.contextmanager
def _connected():
    """A connection that closes while one waits for an answer is another process's end, and no bug of this one."""
    try:
        yield
    except RuntimeError as error:
        raise InputError(f"another process of this work has ended; what it said tells why ({_line(error)})") from error


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
