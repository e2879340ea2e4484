"""Upscale one picture: the original project's command, with the same flags; `srcnn upscale` does the same and more.

python execute.py --image LINK_OR_PATH [--scale 2] [--path WHERE_A_LINK_IS_STORED] [--saved saved/isr_best.pth]
                  [--overlap | --non-overlap] [--zero-padding]

In Python: `from execute import execute`.
"""

import argparse
from pathlib import Path

from srcnn_lib.runtime.console import run_command

SAVED = Path(__file__).parent / "saved/isr_best.pth"
STORED = "results/image.png"


def execute(
    image: str | Path,
    scale: float = 2.0,
    path: str | Path = STORED,
    saved: str | Path = SAVED,
    overlap: bool = False,
    non_overlap: bool = False,
    zero_padding: bool = False,
) -> Path:
    """Upscales a picture and writes the result beside it as <name>_upscaled.<extension>.

    Args:
        image: a path or an http(s) address.
        scale: from 0.1 to 8. At 1 the network sharpens a picture of the same size.
        path: where the picture of an address is stored.
        saved: a weights file.
        overlap: average the results for all 33×33 patches.
        non_overlap: run each 33×33 patch once, alone, as the original did. Otherwise the whole picture is one pass.
        zero_padding: surround the input of each layer with zeros, as the original did.

    Returns:
        The file of the result.

    Raises:
        InputError: a picture, weights or a scale that can't be used.
    """
    import srcnn_lib
    from srcnn_lib.data.degradation import check_enlargement
    from srcnn_lib.data.download import is_url
    from srcnn_lib.inference import InferenceOptions, plan, upscale_file
    from srcnn_lib.inference.jobs import check_writable
    from srcnn_lib.model import with_padding
    from srcnn_lib.runtime.console import ProgressBar

    check_enlargement(scale)
    if overlap and non_overlap:
        raise srcnn_lib.InputError("overlap and non_overlap exclude each other; choose one")
    model = srcnn_lib.load(saved)
    if zero_padding:
        model = with_padding(model, "zeros")
    source = str(image)
    if is_url(source):
        picture = srcnn_lib.read_image(source)
        check_writable(Path(path))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        srcnn_lib.write_image(path, picture)
        source = str(path)
    jobs, failed = plan([source])
    if failed or len(jobs) != 1:
        raise srcnn_lib.InputError(f"{source}: --image takes one picture; `srcnn upscale` takes folders and patterns")
    mode = "overlapping" if overlap else "non-overlapping" if non_overlap else "whole"
    with ProgressBar(Path(source).name) as progress:
        result = upscale_file(jobs[0], model, scale, InferenceOptions(mode), progress)
    print(f"shape {result.size}, {result.seconds:.2f} s, {result.job.target}")
    for note in result.notes:
        print(note)
    return result.job.target


def main() -> None:
    parser = argparse.ArgumentParser(description="Upscale a picture; it is stored beside it as <name>_upscaled.<ext>.")
    parser.add_argument("--image", required=True, help="a path, or an http(s) address")
    parser.add_argument("--scale", type=float, default=2.0, help="from 0.1 to 8; 1 sharpens (default: 2)")
    parser.add_argument("--path", default=STORED, help="where the picture of an address is stored")
    parser.add_argument("--saved", default=SAVED, help="the trained network")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--overlap", action="store_true", help="every 33x33 patch, averaged (slow)")
    modes.add_argument("--non-overlap", action="store_true", help="each 33x33 patch once, as the original did")
    parser.add_argument(
        "--zero-padding", action="store_true", help="zeros around each layer, for the original's pixels"
    )
    execute(**vars(parser.parse_args()))


if __name__ == "__main__":
    run_command(main)
