"""Upscale one picture: the old entry, over the same code as `srcnn upscale`.

python execute.py --image LINK_OR_PATH [--scale 2] [--path WHERE_A_LINK_IS_STORED] [--saved saved/isr_best.pth]
                  [--overlap | --non-overlap]
"""

import argparse
import sys
from pathlib import Path

from srcnn_lib import weights
from srcnn_lib.runtime.console import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Upscale a picture; it is stored beside it as <name>_upscaled.<ext>.")
    parser.add_argument("--image", required=True, help="a path, or an http(s) address")
    parser.add_argument("--scale", type=float, default=2.0, help="from 1.1 to 8 (default: 2)")
    parser.add_argument("--path", default="results/image.png", help="where the picture of an address is stored")
    parser.add_argument("--saved", default=Path(__file__).parent / "saved/isr_best.pth", help="the trained network")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--overlap", action="store_true", help="every 33x33 patch, averaged (slow)")
    way.add_argument("--non-overlap", action="store_true", help="each 33x33 patch once, as the original did")
    given = parser.parse_args()

    from srcnn_lib.data import images
    from srcnn_lib.data.degradation import check_scale
    from srcnn_lib.data.download import is_url
    from srcnn_lib.errors import InputError
    from srcnn_lib.inference.jobs import check_writable, plan
    from srcnn_lib.inference.options import InferenceOptions
    from srcnn_lib.inference.upscale_files import upscale_file

    check_scale(given.scale)
    network = weights.load(given.saved)
    source = given.image
    if is_url(source):
        picture = images.read_image(source)
        check_writable(Path(given.path))
        Path(given.path).parent.mkdir(parents=True, exist_ok=True)
        images.write_image(given.path, picture)
        source = given.path
    jobs, failed = plan([source])
    if failed or len(jobs) != 1:
        raise InputError(f"{source}: --image takes one picture; `srcnn upscale` takes folders and patterns")
    (job,) = jobs
    mode = "overlapping" if given.overlap else "non-overlapping" if given.non_overlap else "whole"
    done = upscale_file(job, network, given.scale, InferenceOptions(mode))
    print(f"shape {done.size}, {done.seconds:.2f} s, {done.job.target}")
    for note in done.notes:
        print(note)


if __name__ == "__main__":
    sys.exit(run_command(main))
