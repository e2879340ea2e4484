"""All attacks, in the order of the table."""

import drives
import kills
import mutated_pictures
import mutated_runs
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
    Attack("failing Drive", 200, "no step waits; no checkpoint is lost that was said to be there", drives.attack),
]
