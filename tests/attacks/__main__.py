"""Attacks the project and prints a table of what held: `make attack`, or

python tests/attacks [--only NAME]… [--part 0.1] [--seed 0] [--out FOLDER]
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from attack import HEADER, Attack, row  # noqa: E402
from registry import ATTACKS  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help=f"one of {', '.join(attack.name for attack in ATTACKS)}")
    parser.add_argument("--part", type=float, default=1.0, help="of the number of cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a new folder for what the attacks write (default: a temporary one)")
    options = parser.parse_args()
    chosen: list[Attack] = [attack for attack in ATTACKS if not options.only or attack.name in options.only]
    if not chosen:
        parser.error("there is no such attack")
    folder = options.out or Path(tempfile.mkdtemp(prefix="srcnn-attack-"))
    folder.mkdir(exist_ok=True)
    failures = []
    print(HEADER, flush=True)
    for attack in chosen:
        count = max(1, round(attack.count * options.part))
        place = folder / attack.name.replace(" ", "-").replace(",", "")
        place.mkdir()
        began = time.monotonic()
        tally = attack.run(options.seed, count, place)
        print(row(attack, count, tally, time.monotonic() - began), flush=True)
        failures += [f"{attack.name}: {failure}" for failure in tally.failures]
    print("\n" + "\n".join(failures[:50]) if failures else "\nall of it held")
    if not options.out:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
