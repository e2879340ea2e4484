"""The table that `srcnn evaluate` prints."""

from ..runtime.files import printable
from .quality import Evaluation


def print_table(evaluation: Evaluation) -> None:
    """Prints PSNR on Y, SSIM on Y and PSNR on RGB of bicubic and SRCNN: one image per line, then the mean.

    Options that change the figures are named below the table, each with the change that it makes.
    """
    per_image = {printable(name): scores for name, scores in evaluation.per_image.items()}
    width = max(len("mean"), *map(len, per_image))
    print(f"{'':{width}}   {'PSNR Y (dB)':^22}   {'SSIM Y':^15}   {'PSNR RGB (dB)':^15}")
    print(f"{'':{width}}   bicubic  SRCNN    gain   bicubic  SRCNN    bicubic  SRCNN")
    mean = {"bicubic": evaluation.bicubic, "srcnn": evaluation.srcnn}
    for name, scores in (*per_image.items(), ("mean", mean)):
        bicubic, srcnn = scores["bicubic"], scores["srcnn"]
        print(
            f"{name:{width}}   {bicubic.psnr_y:7.2f} {srcnn.psnr_y:6.2f}  {srcnn.psnr_y - bicubic.psnr_y:+6.2f}   "
            f"{bicubic.ssim_y:7.4f} {srcnn.ssim_y:6.4f}   {bicubic.psnr_rgb:7.2f} {srcnn.psnr_rgb:6.2f}"
        )
    for option, plain in evaluation.without.items():
        name, other = "self-ensemble", "one plain pass"
        if option == "arithmetic":
            name, other = str(evaluation.options[option]), "float32"
        change = evaluation.srcnn.psnr_y - plain.psnr_y
        print(f"SRCNN with {name}: {change:+.3f} dB on Y against {other}, mean of {plain.psnr_y:.3f}")
