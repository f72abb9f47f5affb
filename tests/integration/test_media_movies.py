# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies: exact frames, times and colours, the same bytes again, nothing left of a failed movie, damage is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import DamagedFileError, InputError, OutputError, UnsupportedFileError
from mapreel.core.media.movies import movie_info, read_movie, read_movie_frames
from mapreel.core.media.moviewriter import MovieWriter, exact_rate

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 40, 90)]


def flat(color, height=36, width=50) -> np.ndarray:
    return np.broadcast_to(np.array(color, np.uint8), (height, width, 3)).copy()


def write(path, frames, fps=24.0, **options):
    with MovieWriter(path, frames[0].shape[:2], fps, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def moving(count=12, height=36, width=50) -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width + count, 3)).astype(np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return [np.ascontiguousarray(soft[:, at : at + width]) for at in range(count)]


def test_colours_survive_matrix_and_range(tmp_path):
    frames = list(read_movie(write(tmp_path / "flat.mp4", [flat(color) for color in COLORS for _ in range(3)])))
    for at, color in enumerate(COLORS):
        assert np.abs(frames[3 * at].astype(int) - color).max() <= 4


def test_it_is_tagged_so_that_every_player_shows_the_same(tmp_path):
    path = write(tmp_path / "tags.mp4", moving())
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert stream.frames == 12
        assert stream.average_rate == 24
    head = path.read_bytes()
    assert b"colr" in head
    assert head.index(b"moov") < head.index(b"mdat")  # starts to play before it is loaded


@pytest.mark.parametrize("fps", [24.0, 25.0, 23.976, 29.97, 59.94, 12.5, 60.0])
def test_frame_count_and_times_are_exact(tmp_path, fps):
    rate = exact_rate(fps)
    path = write(tmp_path / "time.mp4", moving(9), fps, preset="ultrafast")
    frames = list(read_movie_frames(path))
    assert [frame.index for frame in frames] == list(range(9))
    assert [frame.time_s for frame in frames] == [number / rate for number in range(9)]
    info = movie_info(path)
    assert (info.frames, info.fps, info.height, info.width, info.codec) == (9, rate, 36, 50, "h264")


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(1199, 50)),
        (24.0, Fraction(24)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (1.0, Fraction(1)),
        (0.5, Fraction(1, 2)),
        (0.001, Fraction(1, 1000)),
        (119.88, Fraction(120000, 1001)),
    ],
)
def test_the_rates_of_the_field(fps, rate):
    assert exact_rate(fps) == rate


def test_a_frame_every_thousand_seconds_is_written(tmp_path):
    path = write(tmp_path / "slow.mp4", moving(3), 0.001, preset="ultrafast")
    assert [frame.time_s for frame in read_movie_frames(path)] == [0, 1000, 2000]


def test_a_frame_that_cannot_be_packed_leaves_nothing(tmp_path, monkeypatch):
    import av

    from mapreel.core.contract.errors import OutputError

    def refuse(*_):
        raise av.FFmpegError(22, "no such format")

    writer = MovieWriter(tmp_path / "a.mp4", (36, 50), 24.0)
    monkeypatch.setattr(writer, "_packed", refuse)
    with pytest.raises(OutputError, match="could not be written"):
        writer.write(np.zeros((36, 50, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), float("inf"), 1e9])
def test_what_is_no_rate(fps):
    with pytest.raises(ValueError, match="no frame rate"):
        exact_rate(fps)


@pytest.mark.parametrize("size", [(35, 51), (35, 50), (36, 51), (1, 1)])
def test_odd_sizes_are_padded_by_their_edge(tmp_path, size):
    frames = [frame[: size[0], : size[1]] for frame in moving(3, 36, 60)]
    height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
    found = next(read_movie(write(tmp_path / "odd.mp4", frames, crf=4)))
    assert found.shape == (height, width, 3)
    assert np.abs(found[: size[0], : size[1]].astype(int) - frames[0]).mean() < 6
    assert np.abs(found[-1].astype(int) - found[size[0] - 1]).max() < 30


def test_the_same_frames_give_the_same_bytes(tmp_path):
    frames = moving(30, 96, 128)
    assert write(tmp_path / "a.mp4", frames).read_bytes() == write(tmp_path / "b.mp4", frames).read_bytes()


def test_smaller_crf_is_nearer(tmp_path):
    frames = moving(4, 96, 128)
    errors = []
    for crf in (4, 40):
        found = read_movie(write(tmp_path / f"{crf}.mp4", frames, crf=crf))
        errors.append(np.mean([(a.astype(float) - b) ** 2 for a, b in zip(frames, found, strict=True)]))
    assert errors[0] < errors[1] / 4


def test_a_movie_that_is_given_up_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "render.mp4", moving(3))
    before = path.read_bytes()

    def render():
        with MovieWriter(path, (36, 50), 24.0) as writer:
            writer.write(moving(1)[0])
            raise KeyError("the render failed")

    with pytest.raises(KeyError):
        render()
    with pytest.raises(ValueError, match="at least one frame"), MovieWriter(path, (36, 50), 24.0):
        pass
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["render.mp4"]


def test_wrong_frames_and_parameters_are_faults_of_ours(tmp_path):
    with MovieWriter(tmp_path / "a.mp4", (36, 50), 24.0) as writer:
        writer.write(moving(1)[0])
        misfits: list[Any] = [np.zeros((36, 51, 3), np.uint8), np.zeros((36, 50, 3)), np.zeros((36, 50), np.uint8)]
        for wrong in misfits:
            with pytest.raises(ValueError, match="the movie takes"):
                writer.write(wrong)
    with pytest.raises(ValueError, match="closed"):
        writer.write(moving(1)[0])
    for size, options in (((0, 4), {}), ((4, 4), {"crf": 99}), ((4, 4), {"preset": "rapid"})):
        with pytest.raises(ValueError, match="no movie of"):
            MovieWriter(tmp_path / "b.mp4", size, 24.0, **options)
    with pytest.raises(OutputError):
        MovieWriter(tmp_path / "gone" / "b.mp4", (4, 4), 24.0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_a_movie_cut_anywhere(tmp_path):
    path = write(tmp_path / "cut.mp4", moving(24, 96, 128))
    whole = path.read_bytes()
    for length in [0, 1, 20, 600, len(whole) // 3, len(whole) // 2, len(whole) - 200, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=r"cut\.mp4"):
            list(read_movie(path))


def test_what_is_no_movie(tmp_path):
    path = tmp_path / "movie.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n", encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"movie\.mp4"):
        movie_info(path)
    path.rename(tmp_path / "notes.txt")
    with pytest.raises(UnsupportedFileError, match="MP4"):
        movie_info(tmp_path / "notes.txt")
    for source in ("http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "/dev/null/x.mp4"):
        with pytest.raises(InputError):
            movie_info(Path(source))


@pytest.mark.parametrize("codec", [b"zzzz", b"\xff\xff\xff\xff"])
def test_a_codec_nobody_knows(tmp_path, codec):
    path = write(tmp_path / "codec.mp4", moving(2))
    path.write_bytes(path.read_bytes().replace(b"avc1\0\0", codec + b"\0\0"))
    for read in (movie_info, lambda movie: list(read_movie(movie))):
        with pytest.raises((UnsupportedFileError, DamagedFileError), match=r"codec\.mp4"):
            read(path)


def test_a_sound_file_holds_no_pictures(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedFileError, match="no pictures"):
        movie_info(path)


def lossless(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 50, 36, "bgr0"
        for at, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")
            picture.pts, picture.time_base = at, Fraction(1, 24)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_a_movie_without_loss_comes_back_exactly(tmp_path):
    frames = moving(5)
    path = lossless(tmp_path / "lossless.mkv", frames)
    assert all(np.array_equal(a, b) for a, b in zip(frames, read_movie(path), strict=True))
    assert movie_info(path).frames == 5


def test_a_cut_matroska_is_noticed_although_it_counts_no_frames(tmp_path):
    path = lossless(tmp_path / "cut.mkv", moving(24))
    whole = path.read_bytes()
    for part in (3, 5, 7):
        path.write_bytes(whole[: len(whole) * part // 8])
        for read in (movie_info, lambda movie: list(read_movie(movie))):
            with pytest.raises(DamagedFileError, match=r"cut\.mkv"):
                read(path)
