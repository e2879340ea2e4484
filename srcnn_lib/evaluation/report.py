"""The table that `srcnn evaluate` prints."""


def print_table(table: dict) -> None:
    """Prints PSNR on Y, SSIM on Y and PSNR on RGB of bicubic and SRCNN: one image per line, then the mean.

    Options that change the figures are named below the table, each with the change that it makes.

    Args:
        table: what `evaluate` returns.
    """
    width = max(len("mean"), *(len(name) for name in table["per_image"]))
    print(f"{'':{width}}   {'PSNR Y (dB)':^22}   {'SSIM Y':^15}   {'PSNR RGB (dB)':^15}")
    print(f"{'':{width}}   bicubic  SRCNN    gain   bicubic  SRCNN    bicubic  SRCNN")
    for name, scores in (*table["per_image"].items(), ("mean", table)):
        bicubic, srcnn = scores["bicubic"], scores["srcnn"]
        gain = srcnn["psnr_y"] - bicubic["psnr_y"]
        print(
            f"{name:{width}}   {bicubic['psnr_y']:7.2f} {srcnn['psnr_y']:6.2f}  {gain:+6.2f}   "
            f"{bicubic['ssim_y']:7.4f} {srcnn['ssim_y']:6.4f}   {bicubic['psnr_rgb']:7.2f} {srcnn['psnr_rgb']:6.2f}"
        )
    for option, plain in table.get("without", {}).items():
        name, other = ("self-ensemble", "one plain pass") if option == "ensemble" else (table[option], "float32")
        change = table["srcnn"]["psnr_y"] - plain["psnr_y"]
        print(f"SRCNN with {name}: {change:+.3f} dB on Y against {other}, mean of {plain['psnr_y']:.3f}")
