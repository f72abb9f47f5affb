# SPDX-License-Identifier: GPL-3.0-or-later
"""One measured thing of `bench archive`, in the process that does nothing else: an encode, a decode or an iteration.

Our profiles go through the very functions that `archive encode` and `archive decode` call; x264 and x265 through PyAV,
preset medium, tune psnr, frame types and threads as they choose. Conversions between RGB and YUV are part of the codec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mapreel.core.benchmarks_archive_clip import Clip, Picture
from mapreel.core.contract.errors import CancelledError, UsageError
from mapreel.core.contract.progress import Progress

Job = dict[str, Any]
Show = Callable[[Progress], None]

PROFILES = ("nirvana", "reel")
# Name -> libav's encoder, its container of raw stream bytes, pixel format. 4:2:0 is what is delivered; its colour at
# half resolution costs PSNR in RGB, so 4:4:4 is measured as well.
CONVENTIONAL = MappingProxyType(
    {
        "x264": ("libx264", "h264", "yuv420p"),
        "x265": ("libx265", "hevc", "yuv420p"),
        "x264-444": ("libx264", "h264", "yuv444p"),
        "x265-444": ("libx265", "hevc", "yuv444p"),
    }
)
# libswscale's most careful way, both ways: 0.1 dB better at 34 dB than what it does unasked.
_SCALER = "BICUBIC"


def do(job: Job, show: Show) -> dict[str, Any]:
    """Do what the job says: see `encode`, `decode` and `benchmarks_archive_iterations`."""
    clip = Clip.from_json(job["clip"])
    if job["do"] == "encode":
        return encode(job, clip, show)
    if job["do"] == "decode":
        return decode(job, clip)
    from mapreel.core.benchmarks_archive_iterations import iteration_cost

    return iteration_cost(job["codec"], clip)


class _Clock:
    """Seconds, and those of all cores that this process worked: on a shared machine they tell more."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        now = self._now()
        return {"seconds": now[0] - self._start[0], "cpu_seconds": now[1] - self._start[1]}


class _Watched:
    """The context of an encode in this process: tells how far it is, and stops it at a time limit."""

    def __init__(self, show: Show, limit_s: float) -> None:
        self._show = show
        self._until_s = time.monotonic() + limit_s
        self.done = 0

    def report(self, progress: Progress) -> None:
        self.done = progress.done
        self._show(progress)

    def check(self) -> None:
        if time.monotonic() > self._until_s:
            raise CancelledError("the time limit is over", "give a longer --limit")


def encode(job: Job, clip: Clip, show: Show) -> dict[str, Any]:
    """Write job["file"] -> seconds, cpu_seconds; with stopped_after (frames) when the time limit came first."""
    if job["codec"] in CONVENTIONAL:
        clock = _Clock()
        _encode_conventional(*CONVENTIONAL[job["codec"]], int(job["crf"]), clip, job["file"])
        return clock.read()
    from mapreel.core.device import pick_device
    from mapreel.core.nirvana.encode import encode as encode_archive

    settings, device, watched = _settings(job, clip), pick_device(), _Watched(show, job["limit_s"])
    clock = _Clock()
    try:
        encode_archive(clip, settings, Path(job["file"]), watched, device)
    except CancelledError:
        return {**clock.read(), "stopped_after": watched.done}
    return clock.read()


def _settings(job: Job, clip: Clip) -> Any:
    """Those that `archive encode` makes of the same words: the kind of `fit` is the profile."""
    from mapreel.core.nirvana.config import PRESETS
    from mapreel.core.nirvana.encode import EncodeSettings
    from mapreel.core.nirvana.reel.encode import PRESETS as REEL_PRESETS

    fit = (REEL_PRESETS if job["codec"] == "reel" else PRESETS)[job["preset"]]
    return EncodeSettings(fit=fit, fps=clip.fps, psnr_db=job["psnr_db"])


def _encode_conventional(encoder: str, form: str, pixels: str, crf: int, clip: Clip, file: str) -> None:
    import av
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

    height, width = clip.size
    if pixels == "yuv420p" and (height % 2 or width % 2):
        raise UsageError(f"{width} x {height} px cannot be 4:2:0", "give even sizes, or leave x264 and x265 out")
    options = {"crf": str(crf), "preset": "medium", "tune": "psnr"}
    if encoder == "libx265":
        options["x265-params"] = "log-level=none"
    reformat = VideoReformatter()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(encoder, rate=clip.fps, options=options)
        assert isinstance(stream, VideoStream), encoder
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for number in clip.numbers:
            frame = reformat.reformat(
                VideoFrame.from_ndarray(clip.read(number), format="rgb24"), format=pixels, interpolation=_SCALER
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decode(job: Job, clip: Clip) -> dict[str, Any]:
    """Decode job["file"] by a new decoder into job["decoded"], raw frames -> seconds, cpu_seconds (without writing)."""
    decoded = _decode_conventional if job["codec"] in CONVENTIONAL else _decode_archive
    total, done = {"seconds": 0.0, "cpu_seconds": 0.0}, 0
    with Path(job["decoded"]).open("wb") as out:
        clock = _Clock()
        for picture in decoded(job["file"]):
            total = {name: total[name] + value for name, value in clock.read().items()}
            assert picture.shape == (*clip.size, 3), picture.shape
            out.write(np.ascontiguousarray(picture).tobytes())
            done += 1
            clock = _Clock()
    assert done == len(clip.numbers), done
    return total


def _decode_archive(file: str) -> Iterator[Picture]:
    from mapreel.core.device import pick_device
    from mapreel.core.nirvana.archive import Archive

    with Archive(file, pick_device()) as archive:
        for _, picture in archive.frames():
            yield picture


def _decode_conventional(file: str) -> Iterator[Picture]:
    import av
    from av.video.reformatter import VideoReformatter

    reformat = VideoReformatter()
    with av.open(file) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            picture = reformat.reformat(frame, format="rgb24", interpolation=_SCALER).to_ndarray()
            yield picture.astype(np.uint8, copy=False)
