"""Upscale one picture: the original project's command, with the same flags; `srcnn upscale` does the same and more.

python execute.py --image LINK_OR_PATH [--scale 2] [--path WHERE_A_LINK_IS_STORED] [--saved saved/isr_best.pth]
                  [--overlap | --non-overlap]
"""

import argparse
from pathlib import Path

from srcnn_lib.runtime.console import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Upscale a picture; it is stored beside it as <name>_upscaled.<ext>.")
    parser.add_argument("--image", required=True, help="a path, or an http(s) address")
    parser.add_argument("--scale", type=float, default=2.0, help="from 1.1 to 8 (default: 2)")
    parser.add_argument("--path", default="results/image.png", help="where the picture of an address is stored")
    parser.add_argument("--saved", default=Path(__file__).parent / "saved/isr_best.pth", help="the trained network")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--overlap", action="store_true", help="every 33x33 patch, averaged (slow)")
    modes.add_argument("--non-overlap", action="store_true", help="each 33x33 patch once, as the original did")
    arguments = parser.parse_args()

    import srcnn_lib
    from srcnn_lib.data.degradation import check_scale
    from srcnn_lib.data.download import is_url
    from srcnn_lib.inference import InferenceOptions, plan, upscale_file
    from srcnn_lib.inference.jobs import check_writable

    check_scale(arguments.scale)
    model = srcnn_lib.load(arguments.saved)
    source = arguments.image
    if is_url(source):
        picture = srcnn_lib.read_image(source)
        check_writable(Path(arguments.path))
        Path(arguments.path).parent.mkdir(parents=True, exist_ok=True)
        srcnn_lib.write_image(arguments.path, picture)
        source = arguments.path
    jobs, failed = plan([source])
    if failed or len(jobs) != 1:
        raise srcnn_lib.InputError(f"{source}: --image takes one picture; `srcnn upscale` takes folders and patterns")
    mode = "overlapping" if arguments.overlap else "non-overlapping" if arguments.non_overlap else "whole"
    result = upscale_file(jobs[0], model, arguments.scale, InferenceOptions(mode))
    print(f"shape {result.size}, {result.seconds:.2f} s, {result.job.target}")
    for note in result.notes:
        print(note)


if __name__ == "__main__":
    run_command(main)
