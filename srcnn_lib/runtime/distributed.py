"""Communication between the processes that a launcher starts for one training or command: a layer over Accelerate.

Accelerate gathers, broadcasts and reduces. Two things are added that a training needs: a user error of one process is
raised on all of them, and commands, stop and pause are synchronized between two steps. A process without a launcher is
a group of one, for which nothing is imported.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError, user_message

if TYPE_CHECKING:
    from accelerate import PartialState
    from torch import Tensor

# Environment variables in which `accelerate launch`, `notebook_launcher`, torchrun and the kinds of MPI tell a process
# how many there are, which one it is, and how many of them share its machine.
SIZE_VARIABLES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANK_VARIABLES = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
LOCAL_SIZE_VARIABLES = (
    "LOCAL_WORLD_SIZE",
    "MPI_LOCALNRANKS",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MV2_COMM_WORLD_LOCAL_SIZE",
)
TIMEOUT = timedelta(hours=12)  # reading or fetching photographs takes long; a process that ended is noticed at once
# Those of a TrainingControl that change what is trained or kept, and the main process's own: to correct its time plan.
COMMANDS = ("epoch", "halve", "snapshot", "plan")
Value = TypeVar("Value")


class ProcessGroup:
    """A group of one process. `DistributedGroup` has the same methods for several."""

    rank = 0  # number of this process
    size = 1  # number of processes
    local_rank = 0  # number of this process on its machine
    note: str | None = None  # a remark for the user on how the processes were started

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """Returns this process's part of start … stop − 1, as (start, stop). Some parts may be empty."""
        length = stop - start
        return start + length * self.rank // self.size, start + length * (self.rank + 1) // self.size

    def all_reduce(self, tensor: "Tensor") -> "Tensor":
        """Returns the sum of the processes' tensors, with the same bits on all of them."""
        return tensor

    def broadcast(self, tensor: "Tensor") -> "Tensor":
        """Returns the main process's tensor, on all of them."""
        return tensor

    def gather(self, value: Value) -> list[Value]:
        """Returns the processes' values, in the order of their ranks."""
        return [value]

    def run_on_all(self, function: Callable[[], Value]) -> Value:
        """Runs `function` on every process and returns this one's result.

        Raises:
            InputError: on all processes, where `function` failed on any of them: the first one's error.
        """
        return function()

    def run_on_main(self, function: Callable[[], Value]) -> Value:
        """Runs `function` on the main process alone and returns its result on all of them.

        Raises:
            InputError: on all processes, where `function` failed.
        """
        return function()

    def synchronize(self, commands: list[str], stop: bool, paused: bool) -> tuple[list[str], bool, bool]:
        """Agrees on what all processes do next.

        Args:
            commands: commands that change the training; the main process's count.
            stop: whether this process wants to stop; one is enough.
            paused: whether the training pauses; the main process's counts.

        Returns:
            The commands, stop and paused, the same on all processes.
        """
        return commands, stop, paused

    def shutdown(self) -> None:
        """Closes the connections, at the end of all work."""


class DistributedGroup(ProcessGroup):
    """A group of several processes, of which this is one. Each method waits until all of them have called it.

    User errors are raised on every process. Where a process ends in any other way, its connections close, and the next
    call on the others raises an InputError.
    """

    def __init__(self, state: "PartialState"):
        self.state = state
        self.rank = state.process_index
        self.size = state.num_processes
        self.local_rank = state.local_process_index

    def all_reduce(self, tensor: "Tensor") -> "Tensor":
        from accelerate.utils import reduce

        with _explain_lost_connection():
            return reduce(tensor, "sum")

    def broadcast(self, tensor: "Tensor") -> "Tensor":
        from accelerate.utils import broadcast

        with _explain_lost_connection():
            return broadcast(tensor)

    def gather(self, value: Value) -> list[Value]:
        from accelerate.utils import gather_object

        with _explain_lost_connection():
            return gather_object([value])

    def run_on_all(self, function: Callable[[], Value]) -> Value:
        value, failure = _attempt(function)
        for rank, message in enumerate(self.gather(failure)):
            if message:
                raise InputError(message if rank == 0 else f"process {rank}: {message}")
        return value

    def run_on_main(self, function: Callable[[], Value]) -> Value:
        from accelerate.utils import broadcast_object_list

        answer: list[Any] = [_attempt(function) if self.is_main else None]
        with _explain_lost_connection():
            broadcast_object_list(answer)
        value, failure = answer[0]
        if failure:
            raise InputError(failure)
        return value

    def synchronize(self, commands: list[str], stop: bool, paused: bool) -> tuple[list[str], bool, bool]:
        import torch

        # One sum, on the CPU, so that no process waits for its device. It holds the number of processes that want to
        # stop, and the main process's pause and count of each command.
        counts = [paused, *(commands.count(command) for command in COMMANDS)]
        if not self.is_main:
            counts = [0] * len(counts)
        stops, pauses, *counts = self.all_reduce(torch.tensor([stop, *counts], dtype=torch.int64)).tolist()
        agreed = [command for command, count in zip(COMMANDS, counts, strict=True) for _ in range(count)]
        return agreed, bool(stops), bool(pauses)

    def shutdown(self) -> None:
        with _explain_lost_connection():
            self.state.destroy_process_group()


def process_group() -> ProcessGroup:
    """Connects this process with the others that its launcher started, and returns their group.

    Further calls return the same group.

    Raises:
        InputError: where they can't be connected.
    """
    if not is_launched():
        group = ProcessGroup()
        # These two variables without a size: accelerate was told to start several processes and silently started one.
        if {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= os.environ.keys():
            group.note = (
                "accelerate has started one process only; for several on CPUs it needs --multi_gpu, and no --cpu"
            )
        return group
    import multiprocessing

    import torch
    from accelerate import PartialState

    on_one_machine = processes_on_this_machine() == _from_environment(SIZE_VARIABLES, 1)
    if on_one_machine and sys.platform == "linux":
        # Gloo would otherwise look up the host's name, which may not lead back to this machine.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    gpus = torch.cuda.is_available() and not cpu_requested()
    # Accelerate would choose NCCL alone. Gloo beside it carries the messages between two steps, which must not wait
    # for the GPUs to finish their work.
    backend = {"backend": "cuda:nccl,cpu:gloo"} if gpus else {}
    try:
        state = PartialState(cpu=not gpus, timeout=TIMEOUT, **backend)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the processes of this work can't be connected ({_first_line(error)})") from error
    if type(multiprocessing.current_process()).__name__ == "ForkProcess":
        # `notebook_launcher` forks, and GNU's OpenMP would wait forever for threads that only the parent process has.
        torch.set_num_threads(1)
    return DistributedGroup(state)


def is_launched() -> bool:
    """Returns whether a launcher started this process as one of several."""
    return _from_environment(SIZE_VARIABLES, 1) > 1


def is_main_process() -> bool:
    """Returns whether this is the process that prints; it can be asked before the processes are connected."""
    return not is_launched() or _from_environment(RANK_VARIABLES, 0) == 0


def processes_on_this_machine() -> int:
    """Returns how many processes of this work share the machine, this one included."""
    return _from_environment(LOCAL_SIZE_VARIABLES, 1) if is_launched() else 1


def cpu_requested() -> bool:
    """Returns whether the launcher was called with --cpu."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on")


def _from_environment(names: Sequence[str], default: int) -> int:
    """Returns the number in the first of these environment variables that holds one."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), default)


def _attempt(function: Callable[[], Any]) -> tuple[Any, str | None]:
    """Returns the function's result and None, or None and the message of a user error; re-raises bugs."""
    try:
        return function(), None
    except (InputError, OSError) as error:
        return None, user_message(error)


@contextlib.contextmanager
def _explain_lost_connection() -> Iterator[None]:
    """Turns the error of a closed connection into one that says that a process has ended."""
    try:
        yield
    except RuntimeError as error:
        line = _first_line(error)
        raise InputError(f"another process of this work has ended; its own message says why ({line})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
