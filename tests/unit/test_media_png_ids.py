# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids in PNG files come back as the integers that stand in the file, whatever depth, palette, filter or interlace."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import DamagedFileError, FileTooLargeError, InputError, UnknownLabelError
from mapreel.core.media.images import picture_size, read_color
from mapreel.core.media.labels import read_instance_map, read_label_map

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, RGB, INDEXED = 0, 2, 3
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width, height, depth, color, interlace=0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))


def pack_line(values, depth) -> bytes:
    if depth == 16:
        return b"".join(struct.pack(">H", value) for value in values)
    bits = "".join(f"{value:0{depth}b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def paeth(left, up, corner) -> int:
    estimate = left + up - corner
    distances = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
    return (left, up, corner)[distances.index(min(distances))]


def filter_line(kind, line, above, step) -> bytes:
    """One scan line under filter `kind`, from the PNG specification's own words (section 9.2)."""
    out = bytearray([kind])
    for at, value in enumerate(line):
        left = line[at - step] if at >= step else 0
        up = above[at] if above else 0
        corner = above[at - step] if above and at >= step else 0
        guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
        out.append((value - guess) & 255)
    return bytes(out)


def scan(values, depth, first_filter) -> bytes:
    """All lines of one pass, each with another filter."""
    out, above = b"", b""
    for at, row in enumerate(values):
        line = pack_line(row, depth)
        out += filter_line((first_filter + at) % 5, line, above, max(1, depth // 8))
        above = line
    return out


def craft(values, depth, color, *, interlace=False, palette=None, first_filter=0, splits=1, extra=b"") -> bytes:
    ids = np.asarray(values)
    height, width = ids.shape
    if interlace:
        passes = [ids[y::sy, x::sx] for x, y, sx, sy in ADAM7]
        raw = b"".join(scan(part.tolist(), depth, first_filter) for part in passes if part.size)
    else:
        raw = scan(ids.tolist(), depth, first_filter)
    packed = zlib.compress(raw)
    edges = np.linspace(0, len(packed), splits + 1).astype(int)
    data = b"".join(chunk(b"IDAT", packed[a:b]) for a, b in pairwise(edges))
    colors = chunk(b"PLTE", palette) if palette else b""
    return MAGIC + header(width, height, depth, color, int(interlace)) + extra + colors + data + chunk(b"IEND", b"")


def some_ids(depth, height=13, width=19) -> np.ndarray:
    random = np.random.default_rng(depth)
    ids = random.integers(0, 1 << depth, (height, width))
    ids[3:9, 2:11] = (1 << depth) - 1  # a flat patch, as label maps have them
    return ids


@pytest.mark.parametrize("interlace", [False, True], ids=["plain", "adam7"])
@pytest.mark.parametrize(
    ("depth", "color"),
    [(1, GREY), (2, GREY), (4, GREY), (8, GREY), (16, GREY), (1, INDEXED), (2, INDEXED), (4, INDEXED), (8, INDEXED)],
)
def test_every_depth_filter_and_interlace_gives_the_stored_integers(tmp_path, depth, color, interlace):
    ids = some_ids(depth)
    colors = np.random.default_rng(9).integers(0, 256, (1 << depth) * 3).astype(np.uint8).tobytes()
    palette = colors if color == INDEXED else None
    path = tmp_path / "0001.png"
    for first_filter in range(5):
        path.write_bytes(craft(ids, depth, color, interlace=interlace, first_filter=first_filter, palette=palette))
        found = read_label_map(path)
        assert found.dtype == np.uint16
        assert np.array_equal(found, ids), first_filter


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (7, 3)])
@pytest.mark.parametrize("interlace", [False, True])
def test_tiny_and_thin_maps(tmp_path, size, interlace):
    ids = some_ids(8, 40, 40)[: size[0], : size[1]]
    path = tmp_path / "thin.png"
    path.write_bytes(craft(ids, 8, GREY, interlace=interlace))
    assert np.array_equal(read_label_map(path), ids)
    assert picture_size(path) == size


def test_two_palette_entries_of_one_colour_stay_two_ids(tmp_path):
    ids = np.array([[0, 1], [2, 1]])
    path = tmp_path / "same_colours.png"
    path.write_bytes(craft(ids, 8, INDEXED, palette=bytes([7, 7, 7] * 3)))
    assert np.array_equal(read_label_map(path), ids)


def test_gamma_colour_profile_and_transparency_change_no_id(tmp_path):
    ids = some_ids(8)
    extra = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0") + chunk(b"tEXt", b"Comment\0ids")
    path = tmp_path / "chunks.png"
    path.write_bytes(craft(ids, 8, GREY, extra=extra + chunk(b"tRNS", b"\0\3"), splits=5))
    assert np.array_equal(read_label_map(path), ids)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_maps_written_by_another_library(tmp_path, kind):
    ids = np.random.default_rng(4).integers(0, np.iinfo(kind).max + 1, (64, 48)).astype(kind)
    path = tmp_path / "opencv.png"
    assert cv2.imwrite(str(path), ids)
    assert np.array_equal(read_instance_map(path), ids)


def test_a_colour_picture_is_no_label_map(tmp_path):
    path = tmp_path / "label" / "0007.png"
    path.parent.mkdir()
    assert cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UnknownLabelError) as caught:
        read_label_map(path, frame=7)
    assert "frame 7 (label/0007.png)" in str(caught.value)
    assert "indexed PNG" in str(caught.value)
    assert (caught.value.frame, caught.value.exit_code) == (7, 2)


def broken(tmp_path: Path, content: bytes, name: str = "0003.png") -> InputError:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_label_map(path, frame=3)
    text = str(caught.value)
    assert "frame 3" in text
    assert name in text
    assert "\n" not in text
    return caught.value


def test_cut_after_every_byte(tmp_path):
    whole = craft(some_ids(8, 5, 6), 8, GREY)
    for length in range(len(whole)):
        assert isinstance(broken(tmp_path, whole[:length]), DamagedFileError), length


def test_one_flipped_bit_in_every_byte_is_noticed(tmp_path):
    whole = craft(some_ids(8, 5, 6), 8, GREY)
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        broken(tmp_path, bytes(flipped))


def test_a_header_that_claims_more_than_the_file_can_hold(tmp_path):
    lie = MAGIC + header(60000, 60000, 8, GREY) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    error = broken(tmp_path, lie)
    assert isinstance(error, DamagedFileError)
    assert "60000x60000" in str(error)
    with pytest.raises(DamagedFileError):
        picture_size(tmp_path / "0003.png", frame=3)


def test_a_true_picture_that_is_too_large_is_refused_by_its_header(tmp_path):
    packed = bytes(40000 * 40000 // 1000)  # large enough to be no lie; it is never unpacked
    data = MAGIC + header(40000, 40000, 8, GREY) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert isinstance(broken(tmp_path, data), FileTooLargeError)


def test_a_bomb_within_the_limits_is_not_unpacked_further_than_its_header_says(tmp_path):
    packed = zlib.compress(bytes(50_000_000), 9)
    data = MAGIC + header(100, 100, 8, GREY) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert "less or more pixel data" in str(broken(tmp_path, data))


@pytest.mark.parametrize("rows", [3, 5])
def test_pixel_data_that_does_not_fit_the_header(tmp_path, rows):
    packed = zlib.compress(bytes(rows * 5))
    data = MAGIC + header(4, 4, 8, GREY) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert isinstance(broken(tmp_path, data), DamagedFileError)


def test_a_filter_that_does_not_exist(tmp_path):
    packed = zlib.compress(bytes([9, 1, 2, 3, 4] * 4))
    data = MAGIC + header(4, 4, 8, GREY) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert isinstance(broken(tmp_path, data), DamagedFileError)


@pytest.mark.parametrize(
    "fields", [(0, 4, 8, GREY), (4, 0, 8, GREY), (4, 4, 3, GREY), (4, 4, 16, INDEXED), (4, 4, 8, 5), (4, 4, 8, GREY, 2)]
)
def test_headers_that_no_png_may_have(tmp_path, fields):
    data = MAGIC + header(*fields) + chunk(b"IDAT", zlib.compress(bytes(20))) + chunk(b"IEND", b"")
    assert isinstance(broken(tmp_path, data), DamagedFileError)


def test_a_chunk_length_beyond_the_end(tmp_path):
    data = MAGIC + header(4, 4, 8, GREY) + struct.pack(">I4s", 0xFFFFFFF0, b"IDAT") + bytes(100)
    assert "cut short" in str(broken(tmp_path, data))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"not a picture", "does not begin like one"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "is no PNG"),
        (b"\x76\x2f\x31\x01" + bytes(100), "is EXR by its content"),
    ],
    ids=["empty", "text", "jpeg", "exr"],
)
def test_an_extension_that_lies(tmp_path, content, said):
    assert said in str(broken(tmp_path, content))


def test_an_indexed_picture_as_colour_shows_its_palette(tmp_path):
    path = tmp_path / "painted.png"
    path.write_bytes(craft([[0, 1], [1, 0]], 8, INDEXED, palette=bytes([10, 20, 30, 40, 50, 60])))
    assert read_color(path).tolist() == [[[10, 20, 30], [40, 50, 60]], [[40, 50, 60], [10, 20, 30]]]
