# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour movies in, through PyAV; `moviewriter` writes them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mapreel.core.contract.errors import FileTooLargeError
from mapreel.core.media.files import MAX_PIXELS, MAX_SIDE_PX, damaged, picture_name, read_head, unsupported
from mapreel.core.media.readers import read_apart

# Containers that hold one camera or render stream; playlists, network streams and image demuxers stay shut.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mxf,mpegts,h264,hevc,yuv4mpegpipe"
MAX_STREAMS = 64
MAX_HOURS = 48  # of one shot, however few its frames
_OPTIONS = {
    "format_whitelist": _DEMUXERS,
    "protocol_whitelist": "file",
    "max_streams": str(MAX_STREAMS + 1),  # those beyond are not opened
    "max_pixels": str(MAX_PIXELS),
}
LOSSLESS = frozenset({"ffv1", "png", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "qtrle"})
_GREY_LAYOUTS = ("gray", "gray16le")
_RGB_LAYOUTS = ("rgb24", "bgr24", "gbrp", "bgr0")  # the last is how FFV1 keeps RGB
MOVIE_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".ts", ".264", ".h264", ".265", ".y4m"}
)
MAX_FRAMES = 1_000_000  # eleven hours at 24 frames/s; as many as one job takes
_MATRICES = {  # libav's AVColorSpace number -> swscale's matrix
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_EXACT_BACK = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
)


@dataclass(frozen=True, kw_only=True)
class MovieInfo:
    """What a movie holds; frames are counted by walking its packets, fps is what the container says, if it does."""

    height: int
    width: int
    frames: int
    fps: Fraction | None
    codec: str
    bits: int = 8  # of a sample as it is coded


@dataclass(frozen=True, kw_only=True)
class MovieFrame:
    """One decoded frame: index from 0, exact time in seconds from the container, pixels [H, W, 3] uint8 sRGB.

    Pixels are uint16 where they were asked for.
    """

    index: int
    time_s: Fraction
    pixels: NDArray[Any]


@read_apart
def movie_info(path: Path) -> MovieInfo:
    """Size, frame count, rate and codec of a colour movie.

    Raises MissingInputError, UnsupportedFileError (no movie, no picture stream), DamagedFileError, FileTooLargeError.
    """
    path = Path(path)
    with open_movie(path) as (container, stream):
        with _reading(path, 0):
            frames = sum(packet.size > 0 and not packet.is_discard for packet in _packets(path, container, stream))
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate
        return MovieInfo(
            height=context.height,
            width=context.width,
            frames=frames,
            fps=rate,
            codec=context.codec.canonical_name,
            bits=max((part.bits for part in context.format.components), default=8) if context.format else 8,
        )


def read_movie(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames [H, W, 3] uint8 sRGB of a colour movie in order of display; errors as in read_movie_frames."""
    for frame in read_movie_frames(path):
        yield frame.pixels


@read_apart
def read_movie_frames(path: Path, *, deep: bool = False, stored: bool = False) -> Iterator[MovieFrame]:
    """The frames of a colour movie in order of display, with exact times. deep: pixels of 16 bits in place of 8.

    stored: samples exactly as they are in a movie packed without loss, [H, W] of grey (8 or 16 bits) or [H, W, 3];
    any other movie is refused (UnsupportedFileError).

    The matrix and range that the movie states are honoured; where it states none, BT.709 from 720 lines up and BT.601
    below, limited range. Raises as movie_info; DamagedFileError with the frame index when a frame cannot be decoded or
    the movie ends before its last packet.
    """
    path = Path(path)
    with open_movie(path) as (container, stream):
        index = 0
        with _reading(path, 0) as place:
            for packet in _packets(path, container, stream):
                for frame in packet.decode():
                    assert isinstance(frame, VideoFrame)
                    if frame.is_corrupt or (frame.width, frame.height) != (stream.width, stream.height):
                        raise damaged(path, index + 1, "cannot be decoded")
                    pixels = movie_pixels(frame, stream, path, deep=deep, stored=stored)
                    yield MovieFrame(index=index, time_s=frame_time(frame, index, stream), pixels=pixels)
                    index += 1
                    place.index = index
        if index == 0:
            raise damaged(path, None, "holds no frame that can be decoded")


@dataclass
class _Place:
    """The index of the frame that is being decoded; in sentences frames count from 1, as in sequences."""

    index: int


@contextlib.contextmanager
def _reading(path: Path, index: int) -> Iterator[_Place]:
    place = _Place(index)
    try:
        yield place
    except av.FFmpegError as error:
        raise damaged(path, place.index + 1, "cannot be decoded", str(error)) from error


@contextlib.contextmanager
def open_movie(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A movie within our limits, and its pictures. Raises as movie_info."""
    read_head(path, 16)
    try:
        container = av.open(f"file:{path}", "r", options=dict(_OPTIONS), metadata_errors="replace")
    except av.FFmpegError as error:
        if path.suffix.lower() in MOVIE_SUFFIXES:
            raise damaged(path, None, "cannot be opened as a movie", str(error)) from error
        raise unsupported(path, None, "is no movie that Mapreel reads", "give an MP4, MOV or MKV") from error
    with container:
        streams = container.streams.video
        if not streams:
            raise unsupported(path, None, "holds no pictures", "give a movie with a video stream")
        _check_container(path, container)
        _check_stream(path, streams[0])
        streams[0].codec_context.options = {"err_detect": "explode"}  # a broken frame is an error, not a guess
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _check_container(path: Path, container: InputContainer) -> None:
    hours = (container.duration or 0) / av.time_base / 3600
    if len(container.streams) > MAX_STREAMS or hours > MAX_HOURS:
        raise FileTooLargeError(
            f"{picture_name(path, None)} has {len(container.streams)} streams and lasts {hours:.1f} hours, "
            "more than Mapreel takes",
            f"cut it into shots, at most {MAX_STREAMS} streams and {MAX_HOURS} hours",
            file=str(path),
        )


def _check_stream(path: Path, stream: VideoStream) -> None:
    context = cast("VideoCodecContext | None", stream.codec_context)  # PyAV's own types forget unknown codecs
    if context is None:
        raise unsupported(path, None, "is packed in a way that Mapreel cannot read", "give H.264, HEVC, ProRes or FFV1")
    if not (context.width and context.height):
        raise damaged(path, None, "has a video stream without a size")
    if context.width > MAX_SIDE_PX or context.height > MAX_SIDE_PX or context.width * context.height > MAX_PIXELS:
        raise FileTooLargeError(
            f"{picture_name(path, None)} is {context.width}x{context.height}, more than Mapreel takes",
            "make it smaller",
            file=str(path),
        )
    _check_count(path, stream.frames)


def _packets(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """All packets; raises DamagedFileError where one is cut or the movie ends before it promised to."""
    count, shown_s = 0, Fraction(0)
    for packet in container.demux(stream):
        if packet.is_corrupt:  # the demuxer got fewer bytes than the movie's index promises
            raise damaged(path, count + 1, "is cut short or damaged")
        count += int(packet.size > 0)
        _check_count(path, count)
        if packet.pts is not None and packet.time_base is not None:
            shown_s = max(shown_s, Fraction(packet.pts * packet.time_base))
        yield packet
    if count < stream.frames:
        raise damaged(path, count + 1, f"ends after {count} of {stream.frames} frames")
    promised_s = _promised_s(stream)
    if shown_s + 3 / Fraction(stream.average_rate or 1) < promised_s:
        raise damaged(path, count + 1, f"ends after {float(shown_s):.2f} of {float(promised_s):.2f} seconds")


def _promised_s(stream: VideoStream) -> Fraction:
    """Matroska counts no frames, but says how long each stream is (`00:00:05.280000000`); 0 where nothing is said."""
    match = re.fullmatch(r"(\d{1,3}):(\d\d):(\d\d(?:\.\d{1,9})?)", stream.metadata.get("DURATION", ""))
    return int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3]) if match else Fraction(0)


def _check_count(path: Path, frames: int) -> None:
    if frames > MAX_FRAMES:
        raise FileTooLargeError(
            f"{picture_name(path, None)} has more than {MAX_FRAMES} frames", "cut it into shots", file=str(path)
        )


def frame_time(frame: VideoFrame, index: int, stream: VideoStream) -> Fraction:
    """Exact time of a frame in seconds; where the movie gives none, by its index."""
    if frame.pts is not None and frame.time_base is not None:
        return Fraction(frame.pts * frame.time_base)
    return index / Fraction(stream.average_rate or stream.guessed_rate or 25)


def movie_pixels(frame: VideoFrame, stream: VideoStream, path: Path, *, deep: bool, stored: bool) -> NDArray[Any]:
    """Pixels of a decoded frame as read_movie_frames gives them. Raises UnsupportedFileError."""
    return _stored(frame, stream, path) if stored else _to_rgb(frame, deep)


def _stored(frame: VideoFrame, stream: VideoStream, path: Path) -> NDArray[Any]:
    """Samples as they were packed; no matrix, no range: they are numbers. Raises UnsupportedFileError."""
    codec, layout = stream.codec_context.codec.canonical_name, frame.format.name
    if codec not in LOSSLESS or layout not in (*_GREY_LAYOUTS, *_RGB_LAYOUTS):
        raise unsupported(
            path,
            None,
            f"is a movie packed as {codec} {layout}, and compression has changed the ids of its maps",
            "give an image sequence, or FFV1 of grey or RGB",
        )
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24" if layout in _RGB_LAYOUTS else layout))


def _to_rgb(frame: VideoFrame, deep: bool = False) -> NDArray[Any]:
    is_rgb = frame.format.is_rgb
    matrix = _MATRICES.get(int(frame.colorspace), Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601)
    full = is_rgb or frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    rgb = frame.reformat(
        format="rgb48le" if deep else "rgb24",
        src_colorspace=None if is_rgb else matrix,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT_BACK,
        threads=1,
    )
    return np.asarray(rgb.to_ndarray(), np.uint16 if deep else np.uint8)
