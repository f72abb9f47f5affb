# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour and motion pictures: what is written comes back, what other programs write is understood, damage is named."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    DiskFullError,
    FileTooLargeError,
    InputError,
    OutputError,
    UnsupportedFileError,
)
from mapreel.core.media import writers
from mapreel.core.media.images import picture_size, read_color, read_color_float, write_exr, write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.motion import read_motion
from mapreel.core.media.moviewriter import MovieWriter

REPOSITORY = Path(__file__).resolve().parents[2]


def photo(height=37, width=53, seed=0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def save_exr(path, pixels, channels, kind="half", origin=(0, 0), display=None, compression="zip") -> None:
    """An EXR as another program would write it, straight through the library."""
    height, width, count = pixels.shape
    spec = oiio.ImageSpec(width, height, count, kind)
    spec.channelnames = channels
    spec.x, spec.y = origin
    if display:
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = display
    spec.attribute("compression", compression)
    target = oiio.ImageOutput.create("openexr")
    assert target.open(str(path), spec), target.geterror()
    assert target.write_image(pixels.astype(np.float32)), target.geterror()
    assert target.close()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_png_comes_back_as_it_went(tmp_path, kind, channels):
    shape = (31, 45) if channels is None else (31, 45, channels)
    pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max + 1, shape).astype(kind)
    path = tmp_path / "ünï çödé #%04d?.png"
    write_png(path, pixels)
    if channels != 3:
        assert np.array_equal(read_label_map(path), pixels.reshape(31, 45))
    stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored[..., ::-1] if channels == 3 else stored, pixels.reshape(stored.shape))
    assert picture_size(path) == (31, 45)


def test_the_same_pixels_give_the_same_bytes(tmp_path):
    found = set()
    for name in ("a", "b"):
        write_png(tmp_path / f"{name}.png", photo())
        write_exr(tmp_path / f"{name}.exr", photo() / 255.0)
        found.add((tmp_path / f"{name}.png").read_bytes() + (tmp_path / f"{name}.exr").read_bytes())
        time.sleep(1.1 if name == "a" else 0)  # a clock in the files would have moved on
    assert len(found) == 1


def test_a_name_that_lies_about_the_content(tmp_path):
    path = tmp_path / "plate.jpg"
    assert cv2.imwrite(str(path), photo())
    path.rename(tmp_path / "plate.png")
    for read in (read_color, picture_size):
        with pytest.raises(UnsupportedFileError, match=r"plate\.png\) is JPEG by its content .* let it end in \.jpg"):
            read(tmp_path / "plate.png", frame=8)
    write_exr(tmp_path / "a.exr", photo() / 255.0)
    (tmp_path / "a.exr").rename(tmp_path / "a.png")
    with pytest.raises(UnsupportedFileError, match="EXR by its content"):
        read_color_float(tmp_path / "a.png")


def test_a_picture_replaces_an_older_one_and_leaves_nothing_else(tmp_path):
    for seed in (1, 2):
        write_png(tmp_path / "0001.png", photo(seed=seed))
    assert np.array_equal(read_color(tmp_path / "0001.png"), photo(seed=2))
    assert [path.name for path in tmp_path.iterdir()] == ["0001.png"]


def test_alpha_is_dropped_without_touching_colours_and_grey_is_repeated(tmp_path):
    color = photo()
    alpha = np.dstack([color[..., ::-1], np.full(color.shape[:2], 3, np.uint8)])
    assert cv2.imwrite(str(tmp_path / "alpha.png"), alpha)
    assert np.array_equal(read_color(tmp_path / "alpha.png"), color)
    write_png(tmp_path / "grey.png", color[..., 0])
    assert np.array_equal(read_color(tmp_path / "grey.png"), color[..., :1].repeat(3, 2))


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    write_png(tmp_path / "deep.png", np.dstack([values] * 3))
    assert np.array_equal(read_color(tmp_path / "deep.png")[..., 1], np.round(values / 257.0).astype(np.uint8))


@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg_is_read_and_a_cut_one_is_not(tmp_path, progressive):
    path = tmp_path / "plate.jpg"
    options = [cv2.IMWRITE_JPEG_QUALITY, 97, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    assert cv2.imwrite(str(path), photo()[..., ::-1], options)
    assert np.abs(read_color(path).astype(int) - photo()).mean() < 3
    assert picture_size(path) == (37, 53)
    whole = path.read_bytes()
    for length in (2, 3, 20, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=r"frame 5 \(.*plate.jpg\)"):
            read_color(path, frame=5)


def test_exr_keeps_values_above_one_to_half_precision(tmp_path):
    values = np.random.default_rng(3).normal(0, 4, (20, 30, 3)).astype(np.float32)
    values[0, 0] = (1e9, -1e9, 65504)
    write_exr(tmp_path / "linear.exr", values)
    back = read_color_float(tmp_path / "linear.exr")
    assert back.dtype == np.float32
    assert np.array_equal(back, np.clip(values, -65504, 65504).astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("channels", [("B", "G", "R"), ("r", "g", "b"), ("A", "R", "G", "B"), ("Red", "Green", "Blue")])
def test_exr_colour_is_found_by_name(tmp_path, channels):
    values = np.arange(2 * 3 * len(channels)).reshape(2, 3, len(channels))
    save_exr(tmp_path / "named.exr", values, channels)
    order = [[name.lower()[0] for name in channels].index(name) for name in "rgb"]
    assert np.array_equal(read_color_float(tmp_path / "named.exr"), values[..., order])


def test_display_referred_and_scene_linear_are_not_mixed_up(tmp_path):
    write_exr(tmp_path / "linear.exr", photo() / 255.0)
    with pytest.raises(UnsupportedFileError, match="neither PNG, TIFF nor JPEG"):
        read_color(tmp_path / "linear.exr")
    save_exr(tmp_path / "depth.exr", np.ones((4, 4, 2)), ("Z", "id"))
    with pytest.raises(UnsupportedFileError, match="Z, id"):
        read_color_float(tmp_path / "depth.exr")


@pytest.mark.parametrize("kind", ["half", "float"])
@pytest.mark.parametrize(
    "channels",
    [
        ("motion.X", "motion.Y"),
        ("motion.Y", "motion.X"),
        ("X", "Y"),
        ("R", "G"),
        ("u", "v"),
        ("R", "G", "B", "A"),
        ("A", "B", "motion.X", "motion.Y", "Z"),
    ],
)
def test_motion_is_found_by_name(tmp_path, channels, kind):
    values = np.random.default_rng(5).integers(-2000, 2000, (9, 11, len(channels))) / 32
    save_exr(tmp_path / "motion.exr", values, channels, kind)
    lower = [name.lower() for name in channels]
    pair = next(p for p in (("motion.x", "motion.y"), ("x", "y"), ("u", "v"), ("r", "g")) if p[0] in lower)
    motion = read_motion(tmp_path / "motion.exr")
    assert motion.dtype == np.float32
    assert np.array_equal(motion, values[..., [lower.index(name) for name in pair]])


def test_motion_in_a_later_part_of_an_exr(tmp_path):
    values = np.arange(5 * 6 * 2).reshape(5, 6, 2)
    specs = []
    for name, channels in (("beauty", ("Red.A", "B")), ("vectors", ("motion.X", "motion.Y"))):
        spec = oiio.ImageSpec(6, 5, 2, "half")
        spec.channelnames = channels
        spec.attribute("oiio:subimagename", name)
        specs.append(spec)
    target = oiio.ImageOutput.create("openexr")
    assert target.open(str(tmp_path / "parts.exr"), tuple(specs)), target.geterror()
    assert target.write_image(np.zeros((5, 6, 2), np.float32))
    assert target.open(str(tmp_path / "parts.exr"), specs[1], "AppendSubimage")
    assert target.write_image(values.astype(np.float32))
    assert target.close()
    assert np.array_equal(read_motion(tmp_path / "parts.exr"), values)


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (("forward.u", "forward.v"), "towards the frame after.*backward"),
        (("ViewLayer.Vector.X", "ViewLayer.Vector.Y"), r"motion\.X and motion\.Y .*y down"),  # Blender's has Z and W
    ],
)
def test_names_whose_direction_is_another_are_not_guessed(tmp_path, channels, said):
    save_exr(tmp_path / "vectors.exr", np.ones((4, 4, 2)), channels)
    with pytest.raises(UnsupportedFileError, match=said):
        read_motion(tmp_path / "vectors.exr")


def test_the_data_window_lands_where_it_belongs(tmp_path):
    values = np.arange(3 * 4 * 2).reshape(3, 4, 2) + 1.0
    save_exr(tmp_path / "inside.exr", values, ("X", "Y"), origin=(2, 1), display=(0, 0, 8, 6))
    expected = np.zeros((6, 8, 2))
    expected[1:4, 2:6] = values
    assert picture_size(tmp_path / "inside.exr") == (6, 8)
    assert np.array_equal(read_motion(tmp_path / "inside.exr"), expected)
    save_exr(tmp_path / "overscan.exr", values, ("X", "Y"), origin=(-1, -1), display=(0, 0, 2, 2))
    assert np.array_equal(read_motion(tmp_path / "overscan.exr"), values[1:3, 1:3])
    save_exr(tmp_path / "elsewhere.exr", values, ("X", "Y"), origin=(50, 50), display=(10, 10, 4, 4))
    assert not read_motion(tmp_path / "elsewhere.exr").any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_motion_that_is_no_number(tmp_path, value):
    values = np.zeros((8, 9, 2))
    values[5, 7, 1] = value
    save_exr(tmp_path / "0004.exr", values, ("motion.X", "motion.Y"), "float")
    with pytest.raises(DamagedFileError, match=r"frame 4 .*0004.exr.*x 7, y 5"):
        read_motion(tmp_path / "0004.exr", frame=4)


def test_motion_in_the_wrong_kind_of_file(tmp_path):
    write_png(tmp_path / "motion.png", photo())
    with pytest.raises(UnsupportedFileError, match=r"motion\.X and motion\.Y"):
        read_motion(tmp_path / "motion.png")
    (tmp_path / "motion.png").rename(tmp_path / "motion.exr")
    with pytest.raises(DamagedFileError, match="called an EXR"):
        read_motion(tmp_path / "motion.exr")
    save_exr(tmp_path / "one.exr", np.ones((4, 4, 1)), ("Y",))
    with pytest.raises(UnsupportedFileError, match="the channels Y"):
        read_motion(tmp_path / "one.exr")


@pytest.mark.parametrize("compression", ["zip", "none", "piz"])
def test_an_exr_cut_anywhere(tmp_path, compression):
    path = tmp_path / "cut.exr"
    save_exr(path, np.random.default_rng(1).normal(0, 9, (40, 30, 2)), ("X", "Y"), compression=compression)
    whole = path.read_bytes()
    for length in [*range(0, 400, 7), *range(400, len(whole), 211), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match="frame 9"):
            read_motion(path, frame=9)


def with_window(path: Path, name: bytes, corner: int) -> None:
    """Overwrites the right lower corner of a window in an EXR's header."""
    data = bytearray(path.read_bytes())
    at = data.index(name + b"\0box2i\0") + len(name) + 7 + 4 + 8
    data[at : at + 8] = (corner - 1).to_bytes(4, "little") * 2
    path.write_bytes(data)


@pytest.mark.parametrize("window", [b"dataWindow", b"displayWindow"])
def test_an_exr_header_that_claims_60000_pixels_is_refused_before_its_pixels(tmp_path, window):
    path = tmp_path / "lie.exr"
    save_exr(path, np.ones((8, 8, 2)), ("X", "Y"))
    with_window(path, window, 60000)
    for read in (read_motion, picture_size):
        with pytest.raises((DamagedFileError, FileTooLargeError)) as caught:
            read(path, frame=2)
        assert "frame 2 (" in str(caught.value)


def test_names_in_a_header_that_are_no_text(tmp_path):
    path = tmp_path / "names.exr"
    save_exr(path, np.ones((8, 8, 2)), ("XX", "YY"))
    path.write_bytes(path.read_bytes().replace(b"XX\0", b"\xff\xfe\0"))
    with pytest.raises(InputError, match=r"names\.exr"):
        read_motion(path)


def test_what_no_picture_can_hold_is_a_fault_of_ours(tmp_path):
    for wrong in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="no PNG"):
            write_png(tmp_path / "x.png", wrong)
    with pytest.raises(ValueError, match="no EXR"):
        write_exr(tmp_path / "x.exr", np.zeros((4, 4, 2)))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from mapreel.core.contract.errors import OutputError
from mapreel.core.media.images import write_exr, write_png
from mapreel.core.media.moviewriter import MovieWriter

folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
write_png(folder / "old.png", pixels[:100])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))

def movie():
    with MovieWriter(folder / "new.mp4", (200, 300), 24.0) as writer:
        for _ in range(12):
            writer.write(pixels)

for write in (
    lambda: write_png(folder / "new.png", pixels),
    lambda: write_png(folder / "old.png", pixels),
    lambda: write_exr(folder / "new.exr", pixels / 255.0),
    movie,
):
    try:
        write()
    except OutputError as error:
        print(type(error).__name__, str(error))
    else:
        print("written")
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit of the file size")
@pytest.mark.parametrize("limit", [4096, 60_000])
def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, limit):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(limit)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    assert all("could not be written" in line and str(tmp_path) in line for line in lines), lines
    assert read_color(tmp_path / "old.png").shape == (100, 300, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]


def fill(movie: MovieWriter, noise: np.ndarray) -> None:
    """Noise in another place each time, which no codec makes small."""
    for shift in range(100):
        movie.write(np.roll(noise, 37 * shift, axis=0))


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs mount")
def test_a_disk_that_is_really_full(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount here")
    try:
        write_png(small / "0001.png", photo())
        noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
        with pytest.raises(DiskFullError, match=r"disk is full.*0002\.png"):
            write_png(small / "0002.png", noise)
        with pytest.raises(DiskFullError, match=r"0002\.exr"):
            write_exr(small / "0002.exr", noise / 255.0)
        with pytest.raises(DiskFullError, match=r"a\.mp4"), MovieWriter(small / "a.mp4", (200, 300), 24.0) as movie:
            fill(movie, noise)
        assert [path.name for path in small.iterdir()] == ["0001.png"]
        assert np.array_equal(read_color(small / "0001.png"), photo())
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(OutputError, match="folder of"):
        write_png(tmp_path / "gone" / "0001.png", photo())
    with pytest.raises(OutputError):
        write_exr(tmp_path / "gone" / "0001.exr", photo() / 255.0)


def test_a_writer_that_lies_about_success_is_caught(tmp_path, monkeypatch):
    """The library's last bytes go out unchecked: a file that does not read back is not kept."""
    real = writers.parse_png

    def lost_tail(data, path, frame=None):
        return real(data[:-20], path, frame)

    monkeypatch.setattr(writers, "parse_png", lost_tail)
    with pytest.raises(OutputError) as caught:
        write_png(tmp_path / "0001.png", photo())
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EIO
    assert not list(tmp_path.iterdir())
