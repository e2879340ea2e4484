import contextlib
import io
import os
import struct
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
import skimage.color
import skimage.data
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps

from srcnn_lib.data import image_decoding, images
from srcnn_lib.data.images import Picture, read_image, write_image
from srcnn_lib.errors import InputError
from srcnn_lib.runtime import memory

PHOTOGRAPH = np.ascontiguousarray(skimage.data.astronaut()[60:100, 200:250])  # (40, 50, 3)
GRAY = np.ascontiguousarray(skimage.data.camera()[100:140, 200:250])  # (40, 50)
RAMP = np.linspace(0, 255, 2000).round().astype(np.uint8).reshape(40, 50)
DEEP = np.linspace(0, 65535, 2000).round().astype(np.uint16).reshape(40, 50)
DEEP_COLOR = np.stack([DEEP, DEEP.T.reshape(40, 50), DEEP[::-1]], axis=-1)


needs_avif = pytest.mark.skipif(not image_decoding.AVIF, reason="this Pillow was built without AVIF")


def encoded(image, form="PNG", **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def png(width, height, depth, color, rows, *chunks):
    """Encodes a PNG of a kind that Pillow doesn't write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    between = b"".join(chunk(*arguments) for arguments in chunks)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + between + pixels + chunk(b"IEND", b"")


def levels(pixels, top=255):
    """Converts (C, H, W) in [0, 1] to (H, W) or (H, W, C) integers."""
    array = (pixels.double() * top).round().permute(1, 2, 0).numpy().astype(int)
    return array[..., 0] if array.shape[-1] == 1 else array


def difference(pixels, array, top=255):
    return np.abs(levels(pixels, top) - np.asarray(array).astype(int)).max()


def adobe_rgb():
    """Returns a profile other than sRGB: sRGB with red and green swapped, since LittleCMS makes no other."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for number in range(struct.unpack(">I", data[128:132])[0]):
        at = 132 + 12 * number
        tags[bytes(data[at : at + 4])] = at
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = data[green : green + 4], data[red : red + 4]
    return bytes(data)


def gray_profile(gamma):
    """Builds the smallest ICC profile of gray with this gamma, by the ICC's specification (v2)."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(gamma * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"gray\0" + bytes(78) + b"\0"
    parts, at, table = [], 132 + 12 * 3, b""
    for kind, data in ((b"wtpt", white), (b"kTRC", curve), (b"desc", text)):
        table += kind + struct.pack(">II", at, len(data))
        parts.append(data)
        at += len(data)
    header = struct.pack(">I4sI4s4s4s", at, b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ") + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", 3) + table + b"".join(parts)


# Reading: sources and names


def test_a_path_bytes_and_an_address_give_the_same_picture(tmp_path, web):
    data = encoded(PHOTOGRAPH)
    (tmp_path / "bird.png").write_bytes(data)
    for source, name in (
        (tmp_path / "bird.png", "bird.png"),
        (str(tmp_path / "bird.png"), "bird.png"),
        (data, "picture"),
        (memoryview(data), "picture"),
        (web.put("bird.png", data) + "?size=large", "bird.png"),
    ):
        picture = read_image(source)
        assert picture.name == name
        assert picture.pixels.dtype == torch.float32
        assert picture.pixels.is_contiguous()
        assert (picture.alpha, picture.bits, picture.notes) == (None, 8, ())
        assert difference(picture.pixels, PHOTOGRAPH) == 0
        assert picture.pixels.max() <= 1
    assert read_image(data, name="owl.png").name == "owl.png"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/..%2F..%2Fetc%2Fpasswd", "passwd"), ("/..%5Cb.png", "b.png"), ("/", "picture"), ("/a%0Ab.png", r"a\nb.png")],
)
def test_the_name_in_an_address_contains_no_path(monkeypatch, path, name):
    monkeypatch.setattr(images, "read_url", lambda address: encoded(GRAY))
    assert read_image("https://example.org" + path).name == name


# Reading: modes


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "P", "CMYK", "RGBX"])
def test_each_mode_without_alpha_becomes_gray_or_rgb_as_pillow_converts_it(mode):
    image = Image.fromarray(PHOTOGRAPH).convert(mode)
    picture = read_image(encoded(image, "TIFF"))
    expected = np.asarray(image.convert("L" if mode in "L1" else "RGB"))
    assert picture.alpha is None
    assert len(picture.pixels) == (1 if mode in "L1" else 3)
    assert difference(picture.pixels, expected) == 0


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_separated_and_the_colors_under_it_are_unchanged(mode, form):
    image = Image.fromarray(PHOTOGRAPH).convert(mode)
    image.putalpha(Image.fromarray(RAMP))
    picture = read_image(encoded(image, form))
    assert difference(picture.pixels, Image.fromarray(PHOTOGRAPH).convert(mode[:-1])) == 0
    assert difference(picture.alpha, RAMP) == 0


def test_the_transparent_value_of_a_png_becomes_alpha_in_every_kind_of_png():
    gray = read_image(png(3, 1, 8, 0, [bytes([0, 128, 255])], (b"tRNS", struct.pack(">H", 128))))
    assert levels(gray.pixels).tolist() == [[0, 128, 255]]
    assert gray.alpha.tolist() == [[[1, 0, 1]]]
    bilevel = read_image(png(8, 1, 1, 0, [b"\x0f"], (b"tRNS", struct.pack(">H", 0))))
    assert bilevel.alpha.tolist() == [[[0] * 4 + [1] * 4]]
    rgb = read_image(png(2, 1, 8, 2, [bytes([1, 2, 3, 4, 5, 6])], (b"tRNS", struct.pack(">3H", 4, 5, 6))))
    assert levels(rgb.pixels).tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert rgb.alpha.tolist() == [[[1, 0]]]
    palette = png(2, 1, 8, 3, [bytes([0, 1])], (b"PLTE", bytes([9, 8, 7, 6, 5, 4])), (b"tRNS", bytes([255, 51])))
    assert levels(read_image(palette).pixels).tolist() == [[[9, 8, 7], [6, 5, 4]]]
    assert levels(read_image(palette).alpha).tolist() == [[255, 51]]
    deep = read_image(png(2, 1, 16, 0, [struct.pack(">2H", 65535, 1000)], (b"tRNS", struct.pack(">H", 1000))))
    assert levels(deep.pixels, 65535).tolist() == [[65535, 1000]]
    assert deep.alpha.tolist() == [[[1, 0]]]
    deep_rgb = [struct.pack(">6H", 65535, 0, 0, 1000, 2000, 3000)]
    assert read_image(png(2, 1, 16, 2, deep_rgb, (b"tRNS", struct.pack(">3H", 1000, 2000, 3000)))).alpha.tolist() == [
        [[1, 0]]
    ]


def test_a_palette_with_alpha_and_the_first_frame_of_a_gif_are_read():
    frames = [Image.fromarray(PHOTOGRAPH).quantize(32), Image.fromarray(PHOTOGRAPH[::-1].copy()).quantize(32)]
    picture = read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert difference(picture.pixels, frames[0].convert("RGB")) == 0
    assert [note for note in picture.notes if "first" in note]


@pytest.mark.parametrize("form", ["TIFF", "PNG", "WEBP"])
def test_the_first_of_several_pictures_in_a_file_is_read_with_a_note(form):
    first, second = Image.fromarray(PHOTOGRAPH), Image.fromarray(PHOTOGRAPH[::-1].copy())
    options = {"lossless": True} if form == "WEBP" else {}
    picture = read_image(encoded(first, form, save_all=True, append_images=[second], **options))
    assert difference(picture.pixels, PHOTOGRAPH) == 0
    assert len(picture.notes) == 1
    assert "first" in picture.notes[0]


def test_lab_is_converted_to_srgb_with_neutral_grays():
    gray = np.zeros((1, 5, 3))
    gray[..., 0] = [0, 25, 50, 75, 100]
    lab = np.concatenate([np.rint(gray[..., :1] * 2.55), gray[..., 1:]], -1).astype(np.uint8)
    picture = read_image(tiff(lab, photometric="cielab"))
    assert difference(picture.pixels, np.rint(skimage.color.lab2rgb(gray) * 255)) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "deep TIFF"])
def test_every_exif_orientation_is_applied_as_pillow_does(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    tagged = Image.open(io.BytesIO(encoded(PHOTOGRAPH, "PNG", exif=exif)))
    expected = np.asarray(ImageOps.exif_transpose(tagged))
    if kind == "deep TIFF":
        data = tiff(PHOTOGRAPH.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    else:
        data = encoded(PHOTOGRAPH, kind, exif=exif, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {}))
    assert difference(read_image(data).pixels, expected) <= (4 if kind == "JPEG" else 0)


# Reading: depth


@pytest.mark.parametrize("data", [encoded(DEEP), tiff(DEEP), tiff(DEEP, byteorder=">"), encoded(DEEP, "TIFF")])
def test_gray_of_16_bits_keeps_its_bits(data):
    picture = read_image(data)
    assert (picture.bits, len(picture.pixels), picture.notes) == (16, 1, ())
    assert difference(picture.pixels, DEEP, 65535) == 0


def test_16_bit_gray_with_white_as_zero_is_not_read_as_a_negative():
    for order in "<>":
        picture = read_image(tiff(DEEP, byteorder=order, photometric="miniswhite"))
        assert difference(picture.pixels, 65535 - DEEP.astype(int), 65535) == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib", "predictor": True},
        {"bigtiff": True},
        {"planarconfig": "separate"},
    ],
)
def test_a_tiff_of_16_bit_color_keeps_its_bits(options):
    array = np.moveaxis(DEEP_COLOR, -1, 0) if "planarconfig" in options else DEEP_COLOR
    picture = read_image(tiff(array, photometric="rgb", **options))
    assert (picture.bits, picture.notes) == (16, ())
    assert difference(picture.pixels, DEEP_COLOR, 65535) == 0


def test_16_bit_alpha_is_kept_and_premultiplied_colors_are_divided_by_it():
    alpha = np.full((40, 50, 1), 32768, np.uint16)
    alpha[:, 0] = 0
    plain = np.concatenate([DEEP_COLOR, alpha], -1)
    multiplied = np.concatenate([(DEEP_COLOR * (alpha / 65535)).round().astype(np.uint16), alpha], -1)
    picture = read_image(tiff(plain, photometric="rgb", extrasamples=["unassalpha"]))
    assert difference(picture.pixels, DEEP_COLOR, 65535) == 0
    assert difference(picture.alpha, alpha[..., 0], 65535) == 0
    picture = read_image(tiff(multiplied, photometric="rgb", extrasamples=["assocalpha"]))
    assert difference(picture.pixels[..., 1:], DEEP_COLOR[:, 1:], 65535) <= 1
    assert picture.pixels[..., 0].abs().max() == 0


@pytest.mark.parametrize("color", [4, 2, 6])
def test_a_png_of_16_bit_color_keeps_its_bits(color):
    channels = {4: [0, 3], 2: [0, 1, 2], 6: [0, 1, 2, 3]}[color]
    array = np.concatenate([DEEP_COLOR, DEEP[::-1, :, None]], -1)[..., channels]
    picture = read_image(png(50, 40, 16, color, [row.astype(">u2").tobytes() for row in array]))
    assert (picture.bits, len(picture.pixels), picture.notes) == (16, 1 if color == 4 else 3, ())
    planes = picture.pixels if picture.alpha is None else torch.cat([picture.pixels, picture.alpha])
    assert difference(planes, array, 65535) == 0


def test_a_png_of_16_bit_color_is_turned_upright_and_keeps_its_profile_and_transparent_color():
    rows = [row.astype(">u2").tobytes() for row in DEEP_COLOR]
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"swapped\0\0" + zlib.compress(adobe_rgb())
    turned = read_image(png(50, 40, 16, 2, rows, (b"eXIf", exif.tobytes()[6:])))
    assert difference(turned.pixels, np.rot90(DEEP_COLOR, -1), 65535) == 0
    transparent = struct.pack(">3H", *DEEP_COLOR[3, 4])
    assert read_image(png(50, 40, 16, 2, rows, (b"tRNS", transparent))).alpha[0, 3, 4] == 0
    assert "16 bits were reduced to 8" in read_image(png(50, 40, 16, 2, rows, (b"iCCP", profile))).notes[0]


def lzw(data):
    """Encodes bytes for a TIFF as literals of 9 bits, between resets of the table: the simplest LZW there is."""
    codes = [code for at in range(0, len(data), 200) for code in (256, *data[at : at + 200])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_16_bit_color_that_only_libtiff_decompresses_keeps_its_bits(order):
    pixels = lzw(DEEP_COLOR.astype(order + "u2").tobytes())
    tags = (256, 50), (257, 40), (258, 16), (259, 5), (262, 2), (273, 200), (277, 3), (278, 40), (279, len(pixels))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags)) + entries
    picture = read_image(head.ljust(200, b"\0") + pixels)
    assert (picture.bits, picture.notes) == (16, ())
    assert difference(picture.pixels, DEEP_COLOR, 65535) == 0


def test_12_bit_gray_reaches_white():
    tags = ((256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 3))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + b"\xff\xf8\x00"  # 4095 and 2048
    assert read_image(data).pixels.flatten().tolist() == pytest.approx([1, 2048 / 4095])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("colors", [1, 3])
def test_floats_from_0_to_1_are_read_as_they_are(kind, colors):
    array = (DEEP_COLOR / 65535 if colors == 3 else DEEP / 65535).astype(kind)
    picture = read_image(tiff(array, photometric="rgb" if colors == 3 else "minisblack"))
    assert len(picture.pixels) == colors
    assert difference(picture.pixels, (array.astype(float) * 65535).round(), 65535) == 0


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0, 255.0]], np.float32),
        np.array([[-0.1, 1]], np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[0, 70000]], np.uint32),
        np.array([[-5, 5]], np.int16),
    ],
)
def test_values_outside_the_range_are_refused_with_their_range(array):
    with pytest.raises(InputError, match="holds values from .* expected") as error:
        read_image(tiff(array), name="depth.tif")
    assert str(error.value).startswith("depth.tif ")


# Reading: color profiles


def test_a_color_profile_is_applied_and_srgb_changes_no_value():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_image(encoded(PHOTOGRAPH, icc_profile=srgb))
    assert difference(picture.pixels, PHOTOGRAPH) == 0
    picture = read_image(encoded(PHOTOGRAPH, icc_profile=adobe_rgb()))
    assert difference(picture.pixels, PHOTOGRAPH[..., [1, 0, 2]]) <= 2
    assert picture.notes == ()


def test_a_color_profile_changes_neither_alpha_nor_the_number_of_channels():
    image = Image.fromarray(PHOTOGRAPH)
    image.putalpha(Image.fromarray(RAMP))
    picture = read_image(encoded(image, icc_profile=adobe_rgb()))
    assert difference(picture.alpha, RAMP) == 0
    assert difference(picture.pixels, PHOTOGRAPH[..., [1, 0, 2]]) <= 2
    gray = read_image(encoded(GRAY, icc_profile=adobe_rgb()))  # of a color profile a gray picture means the gray axis
    assert (len(gray.pixels), gray.notes) == (1, ())
    assert difference(gray.pixels, GRAY) <= 1


def test_a_gray_profile_is_converted_by_its_gamma():
    picture = read_image(encoded(RAMP, icc_profile=gray_profile(1.0)))
    linear = RAMP / 255
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert (len(picture.pixels), picture.notes) == (1, ())
    assert difference(picture.pixels, np.rint(expected * 255)) <= 2


def test_16_bits_are_kept_with_an_srgb_profile_and_reduced_with_a_note_otherwise():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_image(tiff(DEEP_COLOR, photometric="rgb", iccprofile=srgb))
    assert (picture.bits, picture.notes) == (16, ())
    picture = read_image(tiff(DEEP_COLOR, photometric="rgb", iccprofile=adobe_rgb()))
    assert picture.bits == 8
    assert "16 bits were reduced to 8" in picture.notes[0]
    assert difference(picture.pixels, DEEP_COLOR[..., [1, 0, 2]] / 257) <= 2
    picture = read_image(encoded(DEEP, icc_profile=gray_profile(1.0)))
    assert (picture.bits, len(picture.pixels), len(picture.notes)) == (8, 1, 1)


def test_cmyk_of_a_jpeg_is_not_read_inverted():
    data = encoded(Image.fromarray(PHOTOGRAPH).convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data  # which stores inks inverted
    assert difference(read_image(data).pixels, PHOTOGRAPH) <= 6


@pytest.mark.parametrize("profile", [b"no profile at all", gray_profile(1.0)])
def test_a_profile_that_can_not_be_applied_gives_a_note(profile):
    for array, options in ((PHOTOGRAPH, {}), (DEEP_COLOR, {"photometric": "rgb"})):
        picture = read_image(tiff(array, iccprofile=profile, **{"photometric": "rgb", **options}))
        assert len(picture.notes) == 1
        assert "profile" in picture.notes[0]
        assert difference(picture.pixels, array, 255 if array.dtype == np.uint8 else 65535) == 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_picture_with_a_broken_orientation_is_read():
    assert (
        difference(read_image(encoded(PHOTOGRAPH, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff broken")).pixels, PHOTOGRAPH)
        == 0
    )


# Reading: what can't be read


def one_line(source, match, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged tags
        with pytest.raises(InputError, match=match) as error:
            read_image(source, **options)
    assert str(error.value).isprintable()
    return str(error.value)


def test_an_error_names_the_file_that_is_no_picture(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("I am not a picture.\n" * 10)
    (tmp_path / "short.png").write_text("?")
    (tmp_path / "a.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    os.mkfifo(tmp_path / "pipe.png")
    for name, match in (
        ("missing.png", "doesn't exist"),
        ("text.png/a.png", "can't be opened"),
        ("empty.png", "is empty"),
        ("text.png", "no picture"),
        ("short.png", "no picture"),
        ("a.eps", "no picture"),
        ("network.pth", r"name of a weights file.* srcnn_lib\.load"),
        ("", "is a folder"),
        ("pipe.png", "no plain file"),
        ("a\0b.png", "can't be opened"),
        ("a" * 300 + ".png", "can't be opened"),
        ("new\nline\x1b[31m.png", r"new\\nline\\x1b\[31m.png doesn't exist"),
    ):
        assert images.printable(tmp_path / name) in one_line(tmp_path / name, match)
    one_line(b"", "is empty")
    one_line("file:///etc/passwd", "http")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.97])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
    ],
)
def test_a_picture_that_is_cut_off_is_refused(form, options, part):
    data = encoded(PHOTOGRAPH, form, **options)
    one_line(data[: int(len(data) * part)], "damaged or cut off|no picture", name="bird")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_16_bit_tiff_that_is_cut_off_is_refused(part):
    data = tiff(DEEP_COLOR, photometric="rgb")
    one_line(data[: int(len(data) * part)], "damaged or cut off|no picture")


def test_a_damaged_picture_is_read_or_refused_with_an_input_error():
    random = np.random.default_rng(0)
    files = [encoded(PHOTOGRAPH, form) for form in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")]
    files.append(tiff(DEEP_COLOR, photometric="rgb", compression="zlib"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in files:
            for _ in range(30):
                damaged = bytearray(data)
                for at in random.integers(0, min(len(data), 600), 6):
                    damaged[at] = random.integers(256)
                with contextlib.suppress(InputError):
                    picture = read_image(bytes(damaged), pixel_limit=10**6)
                    assert picture.pixels.shape[0] in (1, 3)
                    assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1


def tiff_with(tag, kind, value, array=DEEP_COLOR, **options):
    """Returns a TIFF with another kind and value of a tag (Adobe, TIFF 6.0, section 2)."""
    data = bytearray(tiff(array, photometric="rgb", extratags=[(34675, 7, 4, b"icc!", True)], **options))
    first = struct.unpack("<I", data[4:8])[0]
    for at in range(first + 2, first + 2 + 12 * struct.unpack("<H", data[first : first + 2])[0], 12):
        if struct.unpack("<H", data[at : at + 2])[0] == tag:
            data[at + 2 : at + 12] = struct.pack("<HII", kind, 1, value)
            return bytes(data)
    raise ValueError(f"there is no tag {tag}")


@pytest.mark.parametrize("array", [PHOTOGRAPH, DEEP_COLOR], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("kind", [2, 3, 4, 11])
def test_a_color_profile_that_is_a_number_or_text_is_passed_over(kind, array):
    picture = read_image(tiff_with(34675, kind, 0x41414141, array))
    assert difference(picture.pixels, array, 255 if array is PHOTOGRAPH else 65535) == 0


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("array", [PHOTOGRAPH, DEEP_COLOR], ids=["8 bits", "16 bits"])
def test_a_tiff_with_a_part_of_no_bytes_is_refused_and_not_read_as_black(array, options):
    one_line(tiff_with(279, 4, 0, array, rowsperstrip=40, **options), "damaged or cut off")


@pytest.mark.parametrize("array", [PHOTOGRAPH, DEEP_COLOR], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("options", [{"rowsperstrip": 8}, {"tile": (16, 16)}])
def test_a_tiff_with_fewer_parts_than_its_size_needs_is_refused(array, options):
    assert len(read_image(tiff_with(257, 4, 40, array, **options)).pixels) == 3
    one_line(tiff_with(257, 4, 400, array, **options), "damaged or cut off")


def test_damaged_tiffs_write_nothing_to_standard_error(capfd):
    random = np.random.default_rng(0)
    files = [tiff(DEEP_COLOR, photometric="rgb"), *[encoded(PHOTOGRAPH, "TIFF", compression=kind)
             for kind in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]]  # fmt: skip
    for data in files:
        for _ in range(40):
            damaged = bytearray(data)
            for at in random.integers(0, len(data), 4):
                damaged[at] = random.integers(256)
            with warnings.catch_warnings(action="ignore"), contextlib.suppress(InputError):
                read_image(bytes(damaged))
    assert capfd.readouterr().err == ""


# Reading: size


def test_a_picture_over_the_limit_is_refused_by_its_header_with_its_size_and_memory():
    data = png(60_000, 50_000, 8, 2, [b""])  # no pixels in it: decoding would have failed in another way
    began = time.perf_counter()
    message = one_line(data, "60,000 × 50,000 pixels", name="bomb.png")
    assert time.perf_counter() - began < 1
    assert "60.0 GB" in message
    one_line(tiff(DEEP_COLOR, photometric="rgb"), "limit is 1,999 pixels", pixel_limit=1999)
    assert read_image(tiff(DEEP_COLOR, photometric="rgb"), pixel_limit=2000).bits == 16


def test_a_size_that_the_file_can_not_hold_is_refused_before_memory_is_taken():
    tracemalloc = pytest.importorskip("tracemalloc")
    short_png = png(22_000, 22_000, 8, 2, [b""])
    short_tiff = tiff_with(257, 4, 2_000_000, rowsperstrip=40, compression="zlib")
    for data in (short_png, short_tiff):
        tracemalloc.start()
        one_line(data, "damaged|can't hold")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6


def test_a_picture_for_which_memory_is_short_is_refused_with_what_it_needs(monkeypatch):
    blank = encoded(Image.new("1", (8000, 4000)))
    assert read_image(blank).pixels.shape == (1, 4000, 8000)
    monkeypatch.setattr(memory, "available", lambda: 10**8)
    one_line(blank, r"8,000 × 4,000 pixels would take some 0\.6 GB of memory, 0\.1 GB are free; make it smaller")


@pytest.mark.parametrize(
    ("mode", "form", "expected"),
    [
        ("RGB", "JPEG", (3, 4, 3, 8)),
        ("L", "PNG", (3, 4, 1, 8)),
        ("RGBA", "PNG", (3, 4, 4, 8)),
        ("I;16", "PNG", (3, 4, 1, 16)),
        ("P", "GIF", (3, 4, 3, 8)),
    ],
)
def test_the_header_is_checked_before_the_picture_is_decoded(mode, form, expected):
    data = io.BytesIO()
    headers = []
    Image.new(mode, (4, 3)).save(data, form)
    picture = read_image(data.getvalue(), check_header=headers.append)
    assert headers == [expected]
    assert picture.pixels.shape[1:] == expected[:2]

    def refuse(header):
        raise InputError("too large")

    with pytest.raises(InputError, match="too large"):
        read_image(data.getvalue()[:-4], check_header=refuse)


def test_pillows_own_limit_is_lifted_while_reading_and_restored_afterwards(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    picture = encoded(PHOTOGRAPH, "WEBP", lossless=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert difference(read_image(picture).pixels, PHOTOGRAPH) == 0
        one_line(b"no picture", "no picture")
        readers = [threading.Thread(target=lambda: [read_image(picture) for _ in range(20)]) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert Image.MAX_IMAGE_PIXELS == 100


@needs_avif
def test_an_avif_is_read_with_its_alpha_and_orientation_and_written(tmp_path):
    image = Image.fromarray(PHOTOGRAPH)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_image(encoded(image, "AVIF", quality=100, subsampling="4:4:4", exif=exif))
    assert np.abs(levels(turned.pixels) - np.rot90(PHOTOGRAPH, -1)).mean() < 2
    image.putalpha(Image.fromarray(RAMP))
    assert write_image(tmp_path / "a.avif", read_image(encoded(image))) == ()
    again = read_image(tmp_path / "a.avif")
    assert np.abs(levels(again.pixels) - PHOTOGRAPH).mean() < 3
    assert np.abs(levels(again.alpha) - RAMP).mean() < 3


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
def test_one_pixel_is_a_picture(form):
    assert read_image(encoded(np.full((1, 1, 3), 200, np.uint8), form)).pixels.shape == (3, 1, 1)


# Writing


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".webp", ".PNG"])
@pytest.mark.parametrize("array", [PHOTOGRAPH, GRAY], ids=["rgb", "gray"])
def test_lossless_formats_keep_every_value_for_pillow_and_read_image(tmp_path, suffix, array):
    path = tmp_path / f"a{suffix}"
    assert write_image(path, read_image(encoded(array))) == ()
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image.convert("L" if array.ndim == 2 else "RGB")), array)
    expected = np.stack([array] * 3, -1) if suffix == ".webp" and array.ndim == 2 else array  # WebP knows no gray
    assert difference(read_image(path).pixels, expected) == 0
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_a_jpeg_has_quality_95_and_full_color_resolution(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", read_image(encoded(PHOTOGRAPH)))
    with Image.open(tmp_path / f"a{suffix}") as image:
        expected = Image.open(io.BytesIO(encoded(PHOTOGRAPH, "JPEG", quality=95, subsampling=0)))
        assert image.quantization == expected.quantization
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(image).astype(int) - PHOTOGRAPH).mean() < 3
    write_image(tmp_path / "gray.jpg", read_image(encoded(GRAY)))
    assert Image.open(tmp_path / "gray.jpg").mode == "L"


def test_values_are_rounded_to_the_nearest_and_clamped(tmp_path):
    values = torch.tensor([-3, 0.4 / 255, 0.6 / 255, 100.4 / 255, 100.6 / 255, 254.6 / 255, 1.7])
    for kind in (torch.float32, torch.float64):
        write_image(tmp_path / "a.png", values.reshape(1, 1, -1).to(kind).requires_grad_())
        assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 0, 1, 100, 101, 255, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
@pytest.mark.parametrize("array", [PHOTOGRAPH, GRAY], ids=["rgb", "gray"])
def test_alpha_and_the_color_under_it_are_written_where_the_format_holds_alpha(tmp_path, suffix, array):
    image = Image.fromarray(array)
    image.putalpha(Image.fromarray(RAMP))
    assert write_image(tmp_path / f"a{suffix}", read_image(encoded(image))) == ()
    with Image.open(tmp_path / f"a{suffix}") as written:
        assert np.array_equal(np.asarray(written.convert("RGBA")), np.asarray(image.convert("RGBA")))


@pytest.mark.parametrize("suffix", [".bmp", ".jpg"])
def test_a_picture_with_alpha_is_laid_on_white_where_the_format_has_none(tmp_path, suffix):
    image = Image.fromarray(PHOTOGRAPH)
    image.putalpha(Image.fromarray(RAMP))
    (note,) = write_image(tmp_path / f"a{suffix}", read_image(encoded(image)))
    assert "laid on white" in note
    white = Image.new("RGBA", image.size, "white")
    expected = np.asarray(Image.alpha_composite(white, image).convert("RGB")).astype(int)
    error = np.abs(np.asarray(Image.open(tmp_path / f"a{suffix}")) - expected)
    assert error.max() <= 1 if suffix == ".bmp" else error.mean() < 2


def png_samples(path):
    """Returns (H, W, C) uint16 as libpng decodes it for torchvision."""
    from torchvision.io import decode_image

    return decode_image(torch.from_numpy(np.fromfile(path, np.uint8))).permute(1, 2, 0).numpy()


@pytest.mark.filterwarnings("ignore:.*torchvision|The image decoding:DeprecationWarning")
@pytest.mark.parametrize("suffix", images.WRITABLE)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_16_bits_are_written_where_the_format_holds_them_and_reduced_with_a_note_elsewhere(
    tmp_path, suffix, channels, alpha
):
    deep = DEEP_COLOR[..., :channels]
    planes = torch.from_numpy(deep.astype(np.float32) / 65535).permute(2, 0, 1)
    path = tmp_path / f"a{suffix}"
    notes = write_image(path, Picture(planes, planes[:1] * 0 + 1 if alpha else None, bits=16))
    if suffix in (".tif", ".tiff", ".png"):
        assert notes == ()
        written = tifffile.imread(path) if "tif" in suffix else png_samples(path)
        assert written.dtype == np.uint16
        assert np.array_equal(written.reshape(40, 50, -1)[..., :channels], deep)
        again = read_image(path)
        assert (again.bits, again.alpha is not None) == (16, alpha)
        assert difference(again.pixels, deep.squeeze(), 65535) == 0
    else:
        assert "16 bits were written as 8" in notes[-1]
        assert len(notes) == 1 + (alpha and suffix in (".jpg", ".jpeg", ".bmp"))
        assert read_image(path).bits == 8


@pytest.mark.parametrize(
    ("name", "size", "match"),
    [
        ("a.xyz", (4, 4), r"expected one of \.png, \.jpg, \.jpeg, \.bmp, \.tif, \.tiff, \.webp"),
        ("a", (4, 4), "expected one of"),
        ("a.gif", (4, 4), "expected one of"),
        ("no/a.png", (4, 4), "there is no folder"),
        ("a\nb/a.png", (4, 4), "there is no folder"),
        ("a.safetensors", (4, 4), r"name of a weights file.* srcnn_lib\.save"),
        ("a.jpg", (1, 65_501), r"ends at sides of 65,500; write \.png or \.tiff"),
        pytest.param("a.avif", (16_385, 1), r"ends at sides of 16,384; write \.png or \.tiff", marks=needs_avif),
        ("a.webp", (16_384, 1), r"ends at sides of 16,383; write \.png or \.tiff"),
    ],
)
def test_a_picture_that_can_not_be_written_gives_an_error_of_one_line_and_no_file(tmp_path, name, size, match):
    with pytest.raises(InputError, match=match) as error:
        write_image(tmp_path / name, torch.zeros(1, *size))
    assert str(error.value).isprintable()
    assert not os.listdir(tmp_path)


def test_a_bmp_of_more_than_4_gb_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends at 4\.3 GB; write \.png"):
        write_image(tmp_path / "a.bmp", torch.zeros(1, 1, 1).expand(3, 40_000, 40_000))
    assert not os.listdir(tmp_path)


def test_the_longest_sides_that_are_allowed_are_written(tmp_path):
    write_image(tmp_path / "a.jpg", torch.zeros(1, 1, 65_500))
    write_image(tmp_path / "a.webp", torch.zeros(3, 16_383, 1))
    assert read_image(tmp_path / "a.jpg").pixels.shape == (1, 1, 65_500)
    assert read_image(tmp_path / "a.webp").pixels.shape == (3, 16_383, 1)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (4, 4, 4), (1, 3, 4, 4), (3, 0, 4)])
def test_a_tensor_of_another_shape_is_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="expected"):
        write_image(tmp_path / "a.png", torch.zeros(shape))


@pytest.mark.parametrize("name", [*("a" + suffix for suffix in images.WRITABLE), "deep.png"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, name):
    """A limit on the size of files simulates the full disk: it too cuts a write short, then refuses the next."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    noise = torch.rand(3, 64, 64, generator=torch.manual_seed(0))
    picture = images.Picture(noise[:1], bits=16) if name == "deep.png" else noise
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            images.write_image(tmp_path / name, picture)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not os.listdir(tmp_path)
