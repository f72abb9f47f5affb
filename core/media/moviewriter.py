# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies out: H.264 and H.265, ProRes, and FFV1 without loss, through PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mapreel.core.contract.errors import OutputError
from mapreel.core.contract.takes import atomic_path
from mapreel.core.media.files import MAX_SIDE_PX

THREADS = 4  # fixed: x264 decides by the number of threads, and the same pictures have to give the same bytes anywhere
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
PRORES = ("proxy", "lt", "standard", "hq", "4444", "4444xq")  # Apple's names, in the order of prores_ks
BT709 = (1, 1, 1)
"""Primaries, transfer and matrix as ITU-T H.273 numbers them."""
_RGB = 0
_MATRICES = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: Colorspace.BT2020}
_EXACT = int(Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INP)
_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_NO_WORDS: Mapping[str, str] = MappingProxyType({})


def exact_rate(fps: float) -> Fraction:
    """Frames each second as the fraction that is meant: 23.976 is 24000/1001. Raises ValueError for what is no rate."""
    if not 0 < fps <= 1000:
        raise ValueError(f"{fps} is no frame rate")
    whole = round(fps * 1.001)
    if whole and abs(whole * 1000 / 1001 - fps) < 0.002 and abs(round(fps) - fps) > 1e-6:
        return Fraction(whole * 1000, 1001)
    if fps < 1:  # a frame every so many seconds
        return 1 / Fraction(1 / fps).limit_denominator(1001)
    return Fraction(fps).limit_denominator(1001)


@dataclass(frozen=True, kw_only=True)
class MovieCodec:
    """How the frames of a movie are packed.

    name: h264, h265, prores or ffv1. bits: 8 or 10; of ffv1 also 12 and 16. alpha: prores 4444 and ffv1 keep it.
    profile: one of PRORES. cicp: what the colours are, as H.273 numbers it; 2 is “not said”.
    """

    name: str = "h264"
    bits: int = 8
    alpha: bool = False
    profile: str = "hq"
    cicp: tuple[int, int, int] = BT709

    @property
    def pixels(self) -> str:
        """libav's name of the samples."""
        deep = "" if self.bits == 8 else f"{self.bits}le"
        if self.name == "ffv1":
            if self.bits == 8:
                return "bgra" if self.alpha else "bgr0"
            return f"gbr{'a' if self.alpha else ''}p{deep}"
        if self.name == "prores":
            return ("yuva444p10le" if self.alpha else "yuv444p10le") if self.is_444 else "yuv422p10le"
        return f"yuv420p{deep}"

    @property
    def is_444(self) -> bool:
        return self.name == "ffv1" or (self.name == "prores" and self.profile.startswith("4444"))

    def padding(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that repeat the edge, because chroma is shared by two of them."""
        return (height % 2 if self.name in ("h264", "h265") else 0, 0 if self.is_444 else width % 2)

    def options(self, crf: int, preset: str) -> dict[str, str]:
        """Of libav's encoder; the same frames give the same bytes."""
        shared = {"threads": str(THREADS), "flags": "+bitexact"}
        if self.name == "ffv1":
            return {**shared, "level": "3", "slices": "4", "slicecrc": "1", "g": "1"}
        if self.name == "prores":
            alpha = {"alpha_bits": "16"} if self.alpha else {}
            return {**shared, **alpha, "profile": str(PRORES.index(self.profile)), "vendor": "apl0"}
        own = {"x265-params": "log-level=none:info=0:frame-threads=2:pools=4"} if self.name == "h265" else {}
        return {**shared, **own, "crf": str(crf), "preset": preset}


_ENCODERS = {"h264": "libx264", "h265": "libx265", "prores": "prores_ks", "ffv1": "ffv1"}
H264 = MovieCodec()


class MovieWriter:
    """Writes frames of one size as a movie, atomically at close; H.264 yuv420p MP4 plays everywhere.

    FFV1 keeps RGB as it is. The others are converted with the matrix of their tags to limited range and tagged so;
    4:2:0 and 4:2:2 need even sizes: an odd width or height is padded by one column or row that repeats the edge (`note`
    says so). Frame n is shown at exactly n / fps seconds, in Matroska to the nearest millisecond, which is its clock.
    MP4 and MOV have their index in front. The same frames and parameters give the same bytes.
    Use as a context manager: when the block raises, nothing is left behind.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float | Fraction,
        *,
        codec: MovieCodec = H264,
        crf: int = 16,
        preset: str = "medium",
        words: Mapping[str, str] = _NO_WORDS,
        finish: Callable[[Path], None] | None = None,
    ) -> None:
        """Starts the file.

        size: height and width in pixels. crf: 0 … 51, smaller is better and larger; 16 shows no blocks.
        preset: x264's words for time against size, see PRESETS. words: metadata of the container. finish: called with
        the finished file before it gets its name. Raises OutputError, DiskFullError, ValueError.
        """
        self.path = Path(path)
        self.size, self.codec = size, codec
        self.frames = 0
        self._closed = False
        height, width = size
        if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX and 0 <= crf <= 51 and preset in PRESETS):
            raise ValueError(f"no movie of {width}x{height} with crf {crf} and preset {preset}")
        self._rate = fps if isinstance(fps, Fraction) else exact_rate(fps)
        self._words, self._finish = words, finish
        self._container: OutputContainer | None = None
        self._atomic = atomic_path(self.path)
        self._temporary = self._atomic.__enter__()
        with self._guarded():
            self._container, self._stream = self._open(crf, preset)
            self._container.start_encoding()  # a folder that is gone or full is told here, not at the first frame

    @property
    def note(self) -> str:
        """A sentence when the movie is larger than its pictures, else an empty string."""
        height, width = self.size
        rows, columns = self.codec.padding(height, width)
        if not rows and not columns:
            return ""
        what = " and ".join(["one row"] * rows + ["one column"] * columns)
        name = {"h264": "H.264", "h265": "H.265", "prores": "ProRes 422"}[self.codec.name]
        return (
            f"the movie is {width + columns}x{height + rows}: {what} repeats the edge, for {name} takes even sizes only"
        )

    def write(self, frame: NDArray[Any]) -> None:
        """Adds one frame [H, W, 3 or 4] uint8, or uint16 with the peak 65535; alpha is unassociated.

        Raises OutputError, DiskFullError; ValueError for another shape.
        """
        wanted = (*self.size, 4 if self.codec.alpha else 3)
        if frame.dtype not in (np.uint8, np.uint16) or frame.shape != wanted:
            raise ValueError(f"the movie takes {wanted} of 8 or 16 bits, not {frame.shape} {frame.dtype}")
        if self._closed:
            raise ValueError("the movie is closed")
        rows, columns = self.codec.padding(*self.size)
        even = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge")
        with self._guarded():
            picture = self._packed(even)
            picture.pts = self.frames
            picture.time_base = 1 / self._rate
            self._mux(picture)
        self.frames += 1

    def close(self) -> None:
        """Finishes, syncs and renames the file. Raises OutputError, DiskFullError; ValueError without any frame."""
        if self._closed:
            return
        if self.frames == 0:
            self.abort()
            raise ValueError("a movie needs at least one frame")
        with self._guarded():
            self._mux(None)
            assert self._container is not None
            self._container.close()
            if self._finish is not None:
                self._finish(self._temporary)
        self._closed = True
        self._atomic.__exit__(None, None, None)

    def abort(self) -> None:
        """Gives up: the temporary file goes away and `path` stays as it was."""
        if not self._closed:
            self._give_up(_AbandonedError())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _open(self, crf: int, preset: str) -> tuple[OutputContainer, VideoStream]:
        kind = _CONTAINERS[self.path.suffix.lower()]
        options = {"fflags": "+bitexact"}
        if kind != "matroska":
            options["movflags"] = "+faststart"
        container = av.open(f"file:{self._temporary}", "w", format=kind, options=options)
        container.metadata.update(self._words)
        stream = container.add_stream(
            _ENCODERS[self.codec.name], rate=self._rate, options=self.codec.options(crf, preset)
        )
        assert isinstance(stream, VideoStream)
        height, width = self.size
        rows, columns = self.codec.padding(height, width)
        context = stream.codec_context
        stream.width, stream.height = width + columns, height + rows
        stream.pix_fmt = self.codec.pixels
        stream.time_base = context.time_base = 1 / self._rate
        primaries, transfer, matrix = self.codec.cicp
        rgb = self.codec.name == "ffv1"
        context.colorspace = _RGB if rgb else matrix  # libav's numbers, which are H.273's
        context.color_primaries, context.color_trc = primaries, transfer
        context.color_range = int(ColorRange.JPEG if rgb else ColorRange.MPEG)
        if self.codec.name == "h265" and kind != "matroska":
            context.codec_tag = "hvc1"  # QuickTime refuses hev1
        return container, stream

    def _packed(self, pixels: NDArray[Any]) -> VideoFrame:
        """A frame in the samples of the codec. swscale hears of the matrix alone: told of a transfer it converts."""
        pixels = np.ascontiguousarray(pixels)
        if self.codec.name == "ffv1":
            return _rgb_frame(pixels, self.codec)
        source = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}
        kind = source[pixels.itemsize, pixels.shape[2]]
        matrix = _MATRICES.get(self.codec.cicp[2], Colorspace.ITU709)
        return VideoFrame.from_ndarray(pixels, format=kind).reformat(
            format=self.codec.pixels,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT,
            threads=1,
        )

    def _mux(self, picture: VideoFrame | None) -> None:
        assert self._container is not None
        self._container.mux(self._stream.encode(picture))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever fails inside ends the movie; libav's errors become ours."""
        try:
            yield
        except av.FFmpegError as error:
            self._give_up(error)
            raise OutputError(
                f"{self.path} could not be written as a movie",
                "try again with another size or frame rate",
                detail=str(error),
                file=str(self.path),
            ) from error
        except BaseException as error:
            self._give_up(error)
            raise

    def _give_up(self, error: BaseException) -> None:
        self._closed = True
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError):  # it failed already, and only the temporary file hangs on it
                self._container.close()
        # an OSError comes back from here as OutputError or DiskFullError
        self._atomic.__exit__(type(error), error, error.__traceback__)


def _rgb_frame(pixels: NDArray[Any], codec: MovieCodec) -> VideoFrame:
    """RGB as whole numbers of `codec.bits`, exactly; 16 bits are rounded to fewer, 8 bits widened."""
    peak, there = (1 << codec.bits) - 1, int(np.iinfo(pixels.dtype).max)
    if peak != there:
        wide = (pixels.astype(np.uint64) * (2 * peak) + there) // (2 * there)
        pixels = wide.astype(np.uint8 if codec.bits == 8 else np.uint16)
    if codec.bits == 8:
        order = [2, 1, 0, 3] if codec.alpha else [2, 1, 0, 0]
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:, :, order]), format="bgra")
        return frame if codec.alpha else frame.reformat(format="bgr0", threads=1)
    frame = VideoFrame(pixels.shape[1], pixels.shape[0], codec.pixels)
    for plane, channel in zip(frame.planes, (1, 2, 0, 3)[: pixels.shape[2]], strict=True):
        rows: NDArray[np.uint16] = np.zeros((pixels.shape[0], plane.line_size // 2), np.uint16)
        rows[:, : pixels.shape[1]] = pixels[:, :, channel]
        plane.update(rows.tobytes())
    return frame


class _AbandonedError(Exception):
    """Tells the temporary file that nobody wants it any more."""
