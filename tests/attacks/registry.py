"""All attacks, in the order of the table."""

import kills
from attack import Attack

ATTACKS = [
    Attack(
        "ended trainings",
        500,
        "resumed to the same SHA-256; history without gap or duplicate; no traceback",
        kills.attack,
    ),
]
