"""All attacks, in the order of the table."""

import archives_and_addresses
import disks
import drives
import hostile_names
import kills
import mutated_pictures
import mutated_runs
import mutated_weights
import two_at_once
from attack import Attack

ATTACKS = [
    Attack(
        "mutated pictures",
        10_000,
        "read, or refused in one line; under 2 s and 1 GB; nothing else on standard error; nothing left behind",
        mutated_pictures.attack,
    ),
    Attack(
        "mutated weights",
        5_000,
        "as above; no code run; values that are no numbers refused; no more memory than the file can hold",
        mutated_weights.attack,
    ),
    Attack(
        "archives and addresses",
        300,
        "read, or refused in one line; bounded in time, memory and disk; nothing written elsewhere",
        archives_and_addresses.attack,
    ),
    Attack("mutated runs", 3000, "read, or one line; never trained on in silence; never code", mutated_runs.attack),
    Attack("ended trainings", 500, "resumed to the same SHA-256; whole history; no traceback", kills.attack),
    Attack("failing disks", 50, "one line; the last checkpoint stands; resumed when there is room", disks.attack),
    Attack("two at once", 50, "the second is refused, or both are whole; nothing mixed", two_at_once.attack),
    Attack("failing Drive", 200, "no step waits; no checkpoint is lost that was said to be there", drives.attack),
    Attack("hostile names", 100, "shown as text; nothing requested, nothing run", hostile_names.attack),
]
