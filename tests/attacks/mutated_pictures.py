"""Damaged pictures of all formats, which are read and upscaled."""

import functools
import io
import os
import random
from pathlib import Path

import numpy as np
import skimage.data
import tifffile
import torch
from attack import Tally
from bounded import check_line, check_refusal, command, run_cases
from mutations import mutate
from PIL import Image, ImageCms, features

LARGEST = 300_000  # pixels of a picture that is upscaled as well: a larger one rightly takes longer than two seconds

Seeds = list[tuple[str, bytes]]  # extension, content


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Damages pictures, reads each, and upscales every second one with `srcnn upscale`."""
    from srcnn_lib import SRCNN, save

    save(SRCNN(1, (5, 1, 3), (4, 4)), folder / "tiny.safetensors")
    return run_cases(functools.partial(_case, seeds(), folder / "tiny.safetensors"), seed, count, folder)


def _case(good: Seeds, weights: Path, chance: random.Random, folder: Path) -> str:
    from srcnn_lib import InputError, read_image

    extension, data = chance.choice(good)
    path = folder / f"picture{extension}"
    path.write_bytes(mutate(data, chance, chance.choice(good)[1]))
    try:
        picture = read_image(path)
    except InputError as error:
        check_line(str(error))
        outcome, size = "refused", 0
    else:
        outcome, size = "read", picture.pixels[0].numel()
        assert picture.pixels.dtype == torch.float32
        assert len(picture.pixels) in (1, 3)
        assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1
        for note in picture.notes:
            check_line(note)
    if chance.random() < 0.5 and size <= LARGEST:
        outcome += " and " + _upscale(path, weights, outcome == "read")
    return outcome


def _upscale(path: Path, weights: Path, readable: bool) -> str:
    status, _, errors = command("upscale", path, "--weights", weights, "--device", "cpu", "--scale", 2)
    left = sorted(set(os.listdir(path.parent)) - {path.name})
    if readable:
        assert (status, errors) == (0, ""), f"read, but not upscaled: status {status}, {errors[:300]!r}"
        assert len(left) == 1, f"left behind: {left}"
        return "upscaled"
    check_refusal(status, errors)
    assert not left, f"left behind: {left}"
    return "not upscaled"


@functools.cache
def seeds() -> Seeds:
    """Returns good pictures of all formats and kinds, cut from photographs that come with scikit-image."""
    array = np.ascontiguousarray(skimage.data.astronaut()[60:100, 200:248])  # (40, 48, 3)
    color = Image.fromarray(array)
    gray, palette, ink = color.convert("L"), color.quantize(16), color.convert("CMYK")
    clear = color.copy()
    clear.putalpha(gray)
    frames = {"save_all": True, "append_images": [color.transpose(Image.Transpose.ROTATE_180).resize(color.size)]}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274], exif[270] = 6, "a cat"
    told = {"icc_profile": profile, "exif": exif}
    deep = array.astype(np.uint16) * 257
    alpha = np.concatenate([deep, deep[..., :1]], -1)
    found = [
        *[(".png", _encoded(image, "PNG")) for image in (color, gray, palette, clear, color.convert("1"))],
        (".png", _encoded(Image.fromarray(deep[..., 0]), "PNG")),
        (".png", _encoded(color, "PNG", **told)),
        (".png", _encoded(palette, "PNG", transparency=3)),
        (".png", _encoded(color, "PNG", **frames)),
        *[(".png", _written(".png", part)) for part in (deep, alpha)],
        *[(".jpg", _encoded(image, "JPEG")) for image in (color, gray, ink)],
        (".jpg", _encoded(color, "JPEG", progressive=True, **told)),
        *[(".tif", _encoded(color, "TIFF", compression=kind, **told))
          for kind in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")],
        *[(".tif", _encoded(image, "TIFF")) for image in (gray, palette, clear, ink, Image.fromarray(deep[..., 0]))],
        (".tif", _encoded(color.convert("1"), "TIFF", compression="group4")),
        (".tif", _encoded(color, "TIFF", **frames)),
        *[(".tif", _tiff(array, photometric="rgb", **more))
          for more in ({"tile": (16, 16)}, {"bigtiff": True}, {"rowsperstrip": 4, "compression": "zlib"})],
        *[(".tif", _tiff(deep, photometric="rgb", **more))
          for more in ({"iccprofile": profile}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)})],
        (".tif", _tiff(alpha, photometric="rgb", extrasamples=["assocalpha"])),
        (".tif", _tiff((array / 255).astype(np.float32), photometric="rgb")),
        (".tif", _tiff(np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate")),
        *[(".webp", _encoded(image, "WEBP", **more))
          for image, more in ((color, told), (color, {"lossless": True}), (clear, {}), (color, frames))],
        *[(".bmp", _encoded(image, "BMP")) for image in (color, gray, palette, color.convert("1"))],
        (".gif", _encoded(palette, "GIF")),
        (".gif", _encoded(color, "GIF", **frames)),
    ]  # fmt: skip
    if features.check("avif"):
        found += [(".avif", _encoded(image, "AVIF", **more)) for image, more in
                  ((color, told), (clear, {}), (color, frames), (gray, {}))]  # fmt: skip
    return found


def _encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _tiff(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def _written(extension: str, array: np.ndarray) -> bytes:
    """Returns a file with 16 bits that this project writes, as Pillow writes none."""
    import tempfile

    from srcnn_lib.data.images import Picture, write_image

    planes = torch.from_numpy(array.astype(np.float32) / 65535).permute(2, 0, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"deep{extension}")
        write_image(path, Picture(planes[:3], planes[3:] if len(planes) > 3 else None, bits=16))
        return path.read_bytes()
