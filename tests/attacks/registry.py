"""All attacks, in the order of the table."""

import disks
import drives
import hostile_names
import kills
import mutated_pictures
import mutated_runs
import two_at_once
from attack import Attack

ATTACKS = [
    Attack(
        "mutated pictures",
        10_000,
        "read, or refused in one line; under 2 s and 1 GB; nothing else on standard error; nothing left behind",
        mutated_pictures.attack,
    ),
    Attack("mutated runs", 3000, "read, or one line; never trained on in silence; never code", mutated_runs.attack),
    Attack("ended trainings", 500, "resumed to the same SHA-256; whole history; no traceback", kills.attack),
    Attack("failing disks", 50, "one line; the last checkpoint stands; resumed when there is room", disks.attack),
    Attack("two at once", 50, "the second is refused, or both are whole; nothing mixed", two_at_once.attack),
    Attack("failing Drive", 200, "no step waits; no checkpoint is lost that was said to be there", drives.attack),
    Attack("hostile names", 100, "shown as text; nothing requested, nothing run", hostile_names.attack),
]
