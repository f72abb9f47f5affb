# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of movie we write, read back by PyAV and, where it can, by OpenCV: pictures, times, tags, sizes."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from mapreel.core.media.movies import movie_info, read_movie, read_movie_frames
from mapreel.core.media.moviewriter import PRORES, MovieCodec, MovieWriter

NTSC = Fraction(24000, 1001)
COUNT = 9


def moving(size=(64, 96), *, deep=False, alpha=False) -> list[np.ndarray]:
    height, width = size
    noise = np.random.default_rng(0).integers(0, 65536, (height, width + COUNT, 4)).astype(np.uint16)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    kept = soft if deep else (soft >> 8).astype(np.uint8)
    return [np.ascontiguousarray(kept[:, at : at + width, : 4 if alpha else 3]) for at in range(COUNT)]


def write(path, frames, codec, **options):
    with MovieWriter(path, frames[0].shape[:2], NTSC, codec=codec, **options) as movie:
        for frame in frames:
            movie.write(frame)
    return movie


LOSSY = [
    (".mp4", MovieCodec(name="h264"), "h264", "yuv420p", 1.5),
    (".mp4", MovieCodec(name="h264", bits=10), "h264", "yuv420p10le", 1.5),
    (".mp4", MovieCodec(name="h265"), "hevc", "yuv420p", 1.5),
    (".mov", MovieCodec(name="h265", bits=10), "hevc", "yuv420p10le", 1.5),
    (".mkv", MovieCodec(name="h264"), "h264", "yuv420p", 1.5),
    *[(".mov", MovieCodec(name="prores", bits=10, profile=word), "prores", None, 1.6) for word in PRORES],
]


@pytest.mark.parametrize(("suffix", "codec", "name", "pixels", "most"), LOSSY)
def test_pictures_times_and_tags(tmp_path, suffix, codec, name, pixels, most):
    path = tmp_path / f"a{suffix}"
    frames = moving()
    movie = write(path, frames, codec, preset="fast")
    assert movie.note == ""
    found = list(read_movie_frames(path))
    assert len(found) == COUNT
    clock = Fraction(1, 1000) if suffix == ".mkv" else None
    for index, (frame, there) in enumerate(zip(found, frames, strict=True)):
        assert abs(frame.time_s - index / NTSC) <= (clock / 2 if clock else 0)
        assert np.abs(frame.pixels.astype(int) - there).mean() < most
    info = movie_info(path)
    assert (info.frames, info.fps, info.codec, info.bits) == (
        COUNT,
        NTSC,
        name,
        12 if codec.profile.startswith("4444") else codec.bits,
    )
    with av.open(str(path)) as container:  # FFmpeg decodes ProRes 4444 with twelve bits
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert next(container.decode(stream)).color_range == 1 or codec.name == "prores"  # ProRes has no full range
        assert pixels is None or context.pix_fmt == pixels
        assert stream.average_rate == NTSC
    if suffix != ".mkv":
        head = path.read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")


def test_hevc_in_mp4_is_what_quicktime_opens(tmp_path):
    write(tmp_path / "a.mp4", moving(), MovieCodec(name="h265"), preset="ultrafast")
    assert b"hvc1" in (tmp_path / "a.mp4").read_bytes()


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_ffv1_loses_nothing(tmp_path, bits, alpha):
    path, frames = tmp_path / "a.mkv", moving((33, 47), deep=True, alpha=alpha)
    movie = write(path, frames, MovieCodec(name="ffv1", bits=bits, alpha=alpha))
    assert movie.note == ""
    peak = (1 << bits) - 1
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.color_range, stream.average_rate) == (2, NTSC)
        found = [_planes(frame, bits, alpha) for frame in container.decode(stream)]
    for picture, there in zip(found, frames, strict=True):
        assert np.array_equal(picture, (there.astype(np.uint64) * 2 * peak + 65535) // (2 * 65535))


def _planes(frame: av.VideoFrame, bits: int, alpha: bool) -> np.ndarray:
    if bits == 8:
        packed = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(frame.height, -1, 4)[:, : frame.width]
        return packed[..., [2, 1, 0, 3]] if alpha else packed[..., [2, 1, 0]]
    rows = [np.frombuffer(bytes(p), np.uint16).reshape(frame.height, -1)[:, : frame.width] for p in frame.planes]
    return np.stack([rows[2], rows[0], rows[1], *rows[3:]], axis=-1)


def test_our_own_reader_gives_ffv1_back_and_so_does_opencv(tmp_path):
    frames = moving()
    write(tmp_path / "a.mkv", frames, MovieCodec(name="ffv1"))
    assert all(np.array_equal(a, b) for a, b in zip(read_movie(tmp_path / "a.mkv"), frames, strict=True))
    capture = cv2.VideoCapture(str(tmp_path / "a.mkv"))
    good, first = capture.read()
    capture.release()
    assert good
    assert np.array_equal(first[..., ::-1], frames[0])


def test_prores_4444_keeps_alpha(tmp_path):
    frames = moving(deep=True, alpha=True)
    write(tmp_path / "a.mov", frames, MovieCodec(name="prores", bits=10, alpha=True, profile="4444"))
    with av.open(str(tmp_path / "a.mov")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgba64le")
    assert np.abs(first[..., 3].astype(int) - frames[0][..., 3]).max() <= 257
    assert np.abs(first.astype(int) - frames[0]).mean() < 500  # of 65535


@pytest.mark.parametrize(
    ("suffix", "codec", "size", "words"),
    [
        (".mp4", MovieCodec(name="h264"), (36, 52), "one row and one column"),
        (".mp4", MovieCodec(name="h265"), (36, 52), "one row and one column"),
        (".mov", MovieCodec(name="prores", bits=10), (35, 52), "one column"),
        (".mov", MovieCodec(name="prores", bits=10, profile="4444"), (35, 51), ""),
    ],
)
def test_odd_sizes_are_padded_and_it_is_said(tmp_path, suffix, codec, size, words):
    movie = write(tmp_path / f"a{suffix}", moving((35, 51)), codec)
    info = movie_info(tmp_path / f"a{suffix}")
    assert (info.height, info.width) == size
    assert words in movie.note
    assert bool(movie.note) == bool(words)


@pytest.mark.parametrize(("suffix", "name", "bits"), [(".mp4", "h265", 8), (".mov", "prores", 10), (".mkv", "ffv1", 8)])
def test_the_same_frames_give_the_same_bytes(tmp_path, suffix, name, bits):
    for word in "ab":
        write(tmp_path / f"{word}{suffix}", moving((96, 128)), MovieCodec(name=name, bits=bits))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_other_colours_are_tagged_as_they_are(tmp_path):
    for name, bits, suffix in (("h265", 10, ".mp4"), ("prores", 10, ".mov")):
        path = tmp_path / f"a{suffix}"
        write(path, moving(), MovieCodec(name=name, bits=bits, cicp=(9, 16, 9)), preset="fast")
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)
        for found, there in zip(read_movie(path), moving(), strict=True):
            assert np.abs(found.astype(int) - there).mean() < 1.6


def test_the_last_step_is_taken_before_the_movie_has_its_name(tmp_path):
    seen = []

    def finish(file):
        seen.append((file.stat().st_size > 0, (tmp_path / "a.mp4").exists()))

    write(tmp_path / "a.mp4", moving(), MovieCodec(), finish=finish, words={"comment": "made by a network"})
    assert seen == [(True, False)]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["comment"] == "made by a network"
