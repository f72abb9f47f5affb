# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as studios and strangers bring them: odd ones are read right, wrong ones are refused with a sentence."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import sys
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    FileTooLargeError,
    InputError,
    MissingInputError,
    MixedSizesError,
    UnknownLabelError,
    UnsupportedFileError,
)
from mapreel.core.media.images import picture_size, read_color, read_color_float, write_exr, write_png
from mapreel.core.media.labels import read_instance_map, read_label_map
from mapreel.core.media.motion import read_motion
from mapreel.core.media.movies import movie_info, read_movie_frames
from mapreel.core.media.plates import read_plate
from mapreel.core.media.readers import warm_pids
from mapreel.core.media.sequence import MapKind, open_maps

_PLACE = Path(__file__).resolve().parents[1] / "fuzz" / "media_samples.py"
_SPEC = importlib.util.spec_from_file_location("media_samples", _PLACE)
samples = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(samples)


def refused(kind, said, read, path):
    """The error, whose one sentence names the frame and the file."""
    with pytest.raises(kind, match=said) as caught:
        read(path, frame=7)
    text = str(caught.value)
    assert "frame 7" in text
    assert path.name in text
    assert "\n" not in text
    assert caught.value.remedy
    return caught.value


def linear(channels=3):
    return samples.pixels(channels).astype(np.float32) / 64


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return samples.make_files(tmp_path_factory.mktemp("samples"))


# --- what a file is, its content says --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["png-color", "jpeg", "tiff-label", "exr-color", "mp4"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".exr", ".tif"])
def test_a_name_that_lies_about_its_content(files, tmp_path, name, suffix):
    whole = files[name][0]
    if whole.suffix == suffix:
        pytest.skip("tells the truth")
    path = tmp_path / f"0007{suffix}"
    shutil.copyfile(whole, path)
    for read in (read_color, read_color_float, read_plate, read_label_map, read_motion):
        refused(InputError, None, read, path)


@pytest.mark.parametrize("content", [b"#!/bin/sh\necho", b"%PDF-1.7", b"PK\3\4", b"GIF89a", b"\0" * 4096, b"<svg/>"])
@pytest.mark.parametrize("suffix", [".png", ".exr", ".tif", ".jpg", ".hdr", ".svg"])
def test_other_kinds_are_never_opened(tmp_path, content, suffix):
    path = tmp_path / f"0007{suffix}"
    path.write_bytes(content)
    for read in (read_color, read_plate, read_label_map):
        refused(InputError, None, read, path)


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices as files")
def test_a_pipe_or_device_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "0007.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("0007.png", "zero.png"):
        refused(InputError, "is a pipe or a device", read_label_map, tmp_path / name)
        refused(InputError, "is a pipe or a device", picture_size, tmp_path / name)


# --- EXR of every build ----------------------------------------------------------------------------------------------


def test_tiles_and_scan_lines_read_alike(files):
    scan, tiled = (read_color_float(files[name][0]) for name in ("exr-color", "exr-tiled"))
    assert np.array_equal(scan, tiled)


def test_the_part_that_has_the_colours_is_found(files, tmp_path):
    assert np.allclose(read_color_float(files["exr-parts"][0]), linear(), atol=1e-2)
    path = samples.exr_parts(tmp_path / "turned.exr", [linear(1), linear()])
    assert np.allclose(read_color_float(path), linear(), atol=1e-2)


def test_a_deep_file_is_refused(files, tmp_path):
    path = shutil.copyfile(files["exr-deep"][0], tmp_path / "0007.exr")
    for read in (read_color_float, read_plate, read_label_map, read_motion):
        refused(UnsupportedFileError, "is a deep EXR", read, path)


def subsampled(path):
    """An EXR by hand: uncompressed, Y in full, RY and BY at half size, as luminance-chroma files have them."""

    def attribute(name, kind, content):
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(content)) + content

    def channel(name, step):
        return name.encode() + b"\0" + struct.pack("<iB3xii", 1, 0, step, step)

    window = struct.pack("<4i", 0, 0, 7, 7)
    head = struct.pack("<II", 20000630, 2)
    head += attribute("channels", "chlist", channel("BY", 2) + channel("RY", 2) + channel("Y", 1) + b"\0")
    head += attribute("compression", "compression", b"\0") + attribute("dataWindow", "box2i", window)
    head += attribute("displayWindow", "box2i", window) + attribute("lineOrder", "lineOrder", b"\0")
    head += attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    head += attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0))
    head += attribute("screenWindowWidth", "float", struct.pack("<f", 1)) + b"\0"
    lines, offsets, at = [], [], len(head) + 8 * 8
    for y in range(8):
        chroma = np.zeros(4, np.float16).tobytes() * 2 if y % 2 == 0 else b""
        data = chroma + np.full(8, y, np.float16).tobytes()
        offsets.append(at)
        lines.append(struct.pack("<iI", y, len(data)) + data)
        at += len(lines[-1])
    path.write_bytes(head + struct.pack("<8Q", *offsets) + b"".join(lines))
    return path


def test_a_sub_sampled_file_is_refused_or_read_right(tmp_path):
    path = subsampled(tmp_path / "0007.exr")
    for read in (read_color_float, read_plate):
        try:
            found = read(path, frame=7)
        except InputError as error:
            assert "0007.exr" in str(error)  # noqa: PT017  # both outcomes are right
        else:
            assert (found[:, :, 0] == np.arange(8)[:, None]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(tmp_path, value):
    broken = linear()
    broken[3, 5, 1] = value
    samples.save(tmp_path / "0007.exr", broken, "float")
    refused(DamagedFileError, "no number", read_color_float, tmp_path / "0007.exr")
    refused(DamagedFileError, "no number", read_plate, tmp_path / "0007.exr")
    samples.save(tmp_path / "0007.exr", broken[..., :2].copy(), "float", samples.named("motion.X", "motion.Y"))
    refused(DamagedFileError, "first at x 5, y 3", read_motion, tmp_path / "0007.exr")


@pytest.mark.parametrize(("x", "y"), [(2, 1), (-3, -2), (7, 6), (100, 0)])
def test_a_data_window_of_its_own_lands_in_the_display_window(tmp_path, x, y):
    def windows(spec):
        spec.x, spec.y, spec.full_x, spec.full_y, spec.full_width, spec.full_height = x, y, 0, 0, 10, 8

    values = np.arange(1, 1 + 4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    samples.save(tmp_path / "0007.exr", values, "half", windows)
    shown = np.zeros((8, 10, 3), np.float32)
    for row in range(4):
        for column in range(5):
            if 0 <= y + row < 8 and 0 <= x + column < 10:
                shown[y + row, x + column] = values[row, column]
    assert np.array_equal(read_color_float(tmp_path / "0007.exr"), shown)
    assert picture_size(tmp_path / "0007.exr") == (8, 10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (64, 1)])
def test_one_line_or_one_column(tmp_path, shape):
    ids = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    write_png(tmp_path / "0007.png", ids)
    assert np.array_equal(read_label_map(tmp_path / "0007.png"), ids)
    samples.save(tmp_path / "0007.tif", ids[..., None], "uint8")
    assert np.array_equal(read_label_map(tmp_path / "0007.tif"), ids)
    write_exr(tmp_path / "0007.exr", ids[..., None].repeat(3, axis=2).astype(np.float32))
    assert np.array_equal(read_color_float(tmp_path / "0007.exr")[..., 0], ids)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_three_megabytes_that_claim_three_gigabytes(tmp_path):
    noise = np.random.default_rng(1).random((500, 1000, 3), np.float32)
    samples.save(tmp_path / "whole.exr", noise, "half", samples.packing("none"))
    data = (tmp_path / "whole.exr").read_bytes()
    assert 2.9e6 < len(data) < 3.2e6
    old, new = struct.pack("<4i", 0, 0, 999, 499), struct.pack("<4i", 0, 0, 31999, 15999)  # 3 GB as halfs
    assert data.count(old) == 2
    (tmp_path / "0007.exr").write_bytes(data.replace(old, new))
    for read in (read_color_float, read_plate, picture_size):
        refused(FileTooLargeError, "claims to be larger|32000x16000", read, tmp_path / "0007.exr")
    for pid in warm_pids():
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        peak_kb = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        assert peak_kb < 600_000


# --- sequences -------------------------------------------------------------------------------------------------------


def test_mixed_sizes_and_channels(tmp_path):
    for number, shape in ((1, (8, 8)), (2, (8, 9))):
        write_png(tmp_path / f"a.{number:04d}.png", np.zeros(shape, np.uint8))
    with pytest.raises(MixedSizesError, match=r"frame 2 is 9x8"):
        open_maps(tmp_path / "a.####.png", MapKind.LABEL)
    write_png(tmp_path / "b.0001.png", np.zeros((8, 8), np.uint8))
    write_png(tmp_path / "b.0002.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"b\.0002\.png|frame 2"):
        open_maps(tmp_path / "b.####.png", MapKind.LABEL).read(2)
    write_exr(tmp_path / "c.0001.exr", linear()[..., :2], channels=("motion.X", "motion.Y"))
    write_exr(tmp_path / "c.0002.exr", linear()[..., :1], channels=("depth.Z",))
    with pytest.raises(InputError, match=r"c\.0002\.exr|frame 2"):
        open_maps(tmp_path / "c.####.exr", MapKind.MOTION).read(2)


def test_files_that_vanish_or_grow_while_they_are_read(tmp_path):
    for number in (1, 2, 3):
        write_exr(tmp_path / f"m.{number:04d}.exr", linear()[..., :2], channels=("motion.X", "motion.Y"))
    maps = open_maps(tmp_path / "m.####.exr", MapKind.MOTION)
    whole = maps.path(2).read_bytes()
    maps.path(3).unlink()
    with pytest.raises(MissingInputError, match=r"frame 3 .*is not there"):
        maps.read(3)
    for size in range(0, len(whole), max(1, len(whole) // 24)):  # as a renderer writes it
        maps.path(2).write_bytes(whole[:size])
        with pytest.raises(DamagedFileError, match="frame 2"):
            maps.read(2)
    maps.path(2).write_bytes(whole)
    assert maps.read(2).shape == (40, 50, 2)
    maps.path(2).write_bytes(whole + b"\0" * 10000)  # more behind its end harms nobody
    assert maps.read(2).shape == (40, 50, 2)


def test_a_big_tiff_is_called_one(tmp_path):
    import OpenImageIO

    buffer = OpenImageIO.ImageBuf(OpenImageIO.ImageSpec(16, 8, 1, "uint8"))
    buffer.specmod().attribute("tiff:bigtiff", 1)
    assert buffer.write(str(tmp_path / "a.0001.tif"))
    with pytest.raises(UnsupportedFileError, match="BigTIFF"):
        read_label_map(tmp_path / "a.0001.tif")


# --- Cryptomatte -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest", ['{"car": "3f1a2b3c"', "[1, 2]", "{" * 100_000, '{"car": 5}', "\0", '{"car": "xyz"}']
)
def test_a_broken_manifest(tmp_path, manifest):
    path = samples.exr_cryptomatte(tmp_path / "0007.exr", manifest=manifest)
    refused(InputError, None, read_label_map, path)


def test_a_manifest_of_50_megabytes(tmp_path):
    names = {f"object{number:07d}_{'x' * 600}": f"{number:08x}" for number in range(80_000)}
    names["car"] = "3f1a2b3c"
    text = json.dumps(names)
    assert len(text) > 50e6
    (tmp_path / "names.json").write_text(text, encoding="utf-8")
    path = samples.exr_cryptomatte(tmp_path / "0007.exr", "", manif_file="names.json")
    with pytest.raises(UnknownLabelError, match="car"):
        read_label_map(path, frame=7)


@pytest.mark.parametrize(
    "name",
    ["../names.json", "/etc/passwd", "..\\names.json", "C:\\names.json", "sub/../../names.json", "link/names.json"],
)
def test_a_manifest_outside_its_folder(tmp_path, name):
    folder = tmp_path / "shot"
    (folder / "sub").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (tmp_path / "names.json").write_text('{"car": "3f1a2b3c"}', encoding="utf-8")
    path = samples.exr_cryptomatte(folder / "0007.exr", "", manif_file=name)
    refused(InputError, "outside its folder", read_label_map, path)


def test_a_cryptomatte_without_all_its_ranks(tmp_path):
    path = samples.exr_cryptomatte(tmp_path / "0007.exr")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CryptoObject00.A", b"CryptoObject00.X"))
    refused(InputError, "CryptoObject00|header", read_instance_map, path)


# --- movies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1,\n{0}\n", "ffconcat version 1.0\nfile '{0}'\n", "{0}"])
def test_a_list_of_other_files_is_no_movie(files, tmp_path, content):
    path = tmp_path / "list.mp4"
    path.write_text(content.format(files["mp4"][0]), encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"list\.mp4 cannot be opened as a movie"):
        movie_info(path)


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4"])
def test_a_name_that_is_a_protocol_is_a_file_that_is_not_there(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingInputError):
        movie_info(Path(name))


@pytest.mark.parametrize("size", ["W40000 H40000", "W32768 H32768", "W2000000000 H2"])
def test_a_movie_that_claims_too_many_pixels(tmp_path, size):
    (tmp_path / "wide.y4m").write_bytes(f"YUV4MPEG2 {size} F24:1 Ip C420\nFRAME\n".encode() + bytes(1000))
    for read in (movie_info, lambda path: list(read_movie_frames(path))):
        with pytest.raises(InputError, match=r"wide\.y4m"):
            read(tmp_path / "wide.y4m")


def test_a_box_that_lies_about_the_size_changes_no_picture(files, tmp_path):
    data = files["mp4"][0].read_bytes()
    at = data.rindex(b"avc1") + 28
    assert data[at : at + 4] == struct.pack(">HH", 48, 40)
    (tmp_path / "wide.mp4").write_bytes(data[:at] + b"\xff\xf0\xff\xf0" + data[at + 4 :])
    assert next(read_movie_frames(tmp_path / "wide.mp4")).pixels.shape == (40, 48, 3)  # H.264 says it itself


def test_a_movie_that_lasts_for_days(tmp_path):
    with av.open(str(tmp_path / "long.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for index, start in enumerate((0, 24 * 3600 * 60)):
            frame = av.VideoFrame.from_ndarray(np.full((40, 48, 3), index, np.uint8), format="rgb24")
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(FileTooLargeError, match=r"long\.mkv has 1 streams and lasts 60\.0 hours"):
        movie_info(tmp_path / "long.mkv")


def test_a_movie_of_many_streams(tmp_path):
    with av.open(str(tmp_path / "many.mkv"), "w") as container:
        streams = []
        for _ in range(70):
            stream = container.add_stream("ffv1", rate=24)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            streams.append(stream)
        for stream in streams:
            picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"many\.mkv"):
        movie_info(tmp_path / "many.mkv")


def test_openimageio_here_says_the_same(files):
    """Another look at the samples: what the readers gave is what the library gives."""
    source = oiio.ImageInput.open(str(files["exr-piz"][0]))
    assert np.array_equal(source.read_image("float"), read_color_float(files["exr-piz"][0]))
    source.close()
