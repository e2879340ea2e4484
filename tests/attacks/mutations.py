"""Damages bytes: anywhere, in headers, and in the parts of PNG, JPEG and TIFF files, with sums that fit again."""

import random
import struct
import zlib

ODD = (0, 1, 2, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF,
       0x80000000, 0xFFFFFFFF)  # fmt: skip


def mutate(data: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Returns damaged bytes.

    Args:
        data: of a good file.
        chance: random numbers.
        other: of another good file, parts of which may be put into this one.
    """
    ways = [_bits, _bytes, _header, _truncate, _remove, _repeat, _insert, lambda d, c: _splice(d, c, other)]
    if data[:4] == b"\x89PNG":
        ways += [_png_chunk] * 8
    elif data[:2] == b"\xff\xd8":
        ways += [_jpeg_segment] * 6
    elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        ways += [_tiff_tag] * 8
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(ways)(data, chance)
    return data


def _bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 5, 20))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 3, 10))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _header(data: bytes, chance: random.Random) -> bytes:
    """Puts odd numbers into the first bytes."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = chance.choice((1, 2, 4))
        at = chance.randrange(max(1, min(len(changed), chance.choice((40, 120, 600))) - size))
        changed[at : at + size] = _number(chance, size, chance.choice("<>"))
    return bytes(changed)


def _number(chance: random.Random, size: int, order: str) -> bytes:
    value = chance.choice(ODD) if chance.random() < 0.7 else chance.randrange(2**32)
    return (value % 256**size).to_bytes(size, "little" if order == "<" else "big")


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _range(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((1, 2, 4, 16, 100, 1000)))


def _remove(data: bytes, chance: random.Random) -> bytes:
    start, end = _range(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = _range(data, chance)
    return data[:end] + data[start:end] * chance.choice((1, 2, 50)) + data[end:]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.choice((1, 4, 64))) + data[at:]


def _splice(data: bytes, chance: random.Random, other: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the chunks of a PNG, each as (kind, content)."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Returns the PNG of these chunks; `png_chunks` is the inverse."""
    parts = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
             for kind, data in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _png_chunk(data: bytes, chance: random.Random) -> bytes:
    """Changes, moves, repeats or adds a chunk, whose checksum is right."""
    chunks = png_chunks(data)
    if not chunks:
        return data
    at = chance.randrange(len(chunks)) if chance.random() < 0.6 else 0
    kind, content = chunks[at]
    way = chance.randrange(6)
    if way == 0 and kind == b"IDAT":  # other pixels, or far too many, in a whole stream
        content = zlib.compress(bytes(chance.choice((0, 1, 1000, 10**6, 50 * 2**20))))
    elif way in (0, 1):
        content = _header(content, chance) if content else content
    elif way == 2:
        content = chance.choice((_bits, _truncate, _insert))(content, chance)
    elif way == 3:
        chunks.insert(chance.randrange(len(chunks) + 1), (kind, content))
    elif way == 4:
        kinds = (
            b"tRNS",
            b"PLTE",
            b"gAMA",
            b"iCCP",
            b"eXIf",
            b"acTL",
            b"fcTL",
            b"fdAT",
            b"iTXt",
            b"zTXt",
            b"sRGB",
            b"cHRM",
        )
        text = chance.choice(
            (b"", chance.randbytes(20), b"a\0\0" + zlib.compress(bytes(2**20)), bytes(8), b"\xff" * 26)
        )
        chunks.insert(chance.randrange(len(chunks)), (chance.choice(kinds), text))
    else:
        kind = chance.choice((b"IDAT", b"IEND", b"abcd", b"PLTE", bytes(4)))
    if way not in (3, 4):
        chunks[at] = (kind, content)
    return png_of(chunks)


def _jpeg_segment(data: bytes, chance: random.Random) -> bytes:
    """Changes the content of one of the segments before the pixels."""
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        segments.append((at, at + 2 + length))
        at += 2 + length
    if not segments:
        return data
    start, end = chance.choice(segments)
    way = chance.randrange(4)
    if way == 0:
        return data[:start] + data[start:end] * chance.choice((2, 3, 500)) + data[end:]
    if way == 1:
        return data[:start] + data[end:]
    if way == 2:
        return (
            data[: start + 1]
            + bytes([chance.choice((0xC0, 0xC2, 0xC9, 0xC4, 0xDB, 0xDD, 0xE1, 0xE2, 0xED, 0xEE, 0xFE))])
            + data[start + 2 :]
        )
    return data[: start + 4] + _header(data[start + 4 : end], chance) + data[end:]


def _tiff_tag(data: bytes, chance: random.Random) -> bytes:
    """Changes the kind, count or value of a tag in the first directory, or the directory's links."""
    changed, order = bytearray(data), "<" if data[:2] == b"II" else ">"
    if len(data) < 10:
        return data
    if data[2:3] == b"+" or data[3:4] == b"+":
        (first,), width, head = struct.unpack(order + "Q", data[8:16].ljust(8, b"\0")), 20, 8
    else:
        (first,), width, head = struct.unpack(order + "I", data[4:8]), 12, 2
    if first + head > len(data):
        return data
    count = int.from_bytes(data[first : first + head], "little" if order == "<" else "big")
    if not 0 < count < 1000:
        return data
    at = first + head + width * chance.randrange(count)
    way = chance.randrange(6)
    if way == 0:  # another tag
        tags = (256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347,
                34665, 34675, 700, 33723, 50706)  # fmt: skip
        changed[at : at + 2] = struct.pack(order + "H", chance.choice(tags))
    elif way == 1:
        changed[at + 2 : at + 4] = struct.pack(order + "H", chance.choice((*range(20), 255, 65535)))
    elif way == 2:
        changed[at + 4 : at + 8] = _number(chance, 4, order)
    elif way == 3:
        changed[at + 8 : at + 12] = _number(chance, 4, order)
    elif way == 4:
        changed[at + 8 : at + 12] = struct.pack(order + "I", chance.randrange(1, 70000))
    else:  # a chain of directories that bites its tail, or leads anywhere
        end = first + head + width * count
        changed[end : end + 4] = struct.pack(
            order + "I", chance.choice((first, 8, end, 2**31, chance.randrange(len(data))))
        )
    return bytes(changed)
