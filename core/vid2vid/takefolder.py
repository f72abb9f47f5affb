# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a take on disk: written beside the rendering, re-read at the end, described by a side-car."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, MapreelError, OutputError, OutputExistsError, UsageError
from mapreel.core.contract.frames import FrameRange, frame_name
from mapreel.core.contract.progress import JobContext
from mapreel.core.contract.requests import ImageFormat, KeyRule, RenderRequest
from mapreel.core.contract.takes import write_atomically
from mapreel.core.contract.versions import installed_version
from mapreel.core.device import thread_count
from mapreel.core.media.images import prove_png, read_color, read_color_float, write_exr, write_png
from mapreel.core.vid2vid.checkpoint import Model
from mapreel.core.vid2vid.reference import reference_digests
from mapreel.core.vid2vid.takelock import locked
from mapreel.core.vid2vid.teacher_model import TeacherModel

SIDECAR = "mapreel.json"
SIDECAR_FORMAT = "mapreel-take"
SIDECAR_VERSION = 1
WAITING_FRAMES = 8
"""Frames that may wait for the disk; more would only fill the memory."""


class TakeFolder:
    """One take: where its frames go, which are there, and what made them."""

    def __init__(self, folder: Path, request: RenderRequest, model: Model | TeacherModel, digits: int) -> None:
        self.folder, self._request, self._digits = folder, request, digits
        self._suffix = f".{request.image_format.value}"
        self._story = _story(request, model)
        self.keys: set[int] = set()
        self.anchors: set[int] = set()
        """Frame numbers at which the chains of the frames here began."""
        self._numbers: set[int] = set()
        self._adopt()

    def path(self, number: int) -> Path:
        """File of one frame number, padded as the maps are."""
        return self.folder / f"{frame_name(number, self._digits)}{self._suffix}"

    def _adopt(self) -> None:
        """Go on with what stands in the folder, if the same request and model made it.

        Raises:
            OutputExistsError: the take was made from something else.
        """
        path = self.folder / SIDECAR
        if not path.is_file():
            self._refuse_strangers()
            return
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            plan = known["plan"]
            self.keys |= {int(key) for key in known["keys"]}
            self.anchors |= {int(anchor) for anchor in known["anchors"]}
            self._numbers |= set(FrameRange.parse(known["frames"]))
        except (OSError, ValueError, KeyError, TypeError, UsageError) as exc:
            raise OutputError(
                f"{path} cannot be read, so nobody knows what made the frames beside it",
                "render into another folder",
                detail=str(exc),
                file=str(path),
            ) from exc
        if plan != self._story["plan"]:
            raise OutputExistsError(
                f"the take {self.folder} was made with other maps, another model or other settings",
                "leave out --resume to make a new take, or use the settings in its mapreel.json",
                file=str(self.folder),
            )

    def _refuse_strangers(self) -> None:
        """The side-car comes before the first frame, so what stands there without one is somebody else's."""
        if any(entry.suffix.lower() == self._suffix for entry in self.folder.iterdir()):
            raise OutputExistsError(
                f"{self.folder} holds pictures that no render made",
                "leave out --resume to make a new take, or name the take to go on with",
                file=str(self.folder),
            )

    def describe(self, planned: tuple[int, ...], notes: list[str]) -> None:
        """Write the side-car: what made these frames, from what, with which weights and licence.

        Frames of other chunks stay in it, also of those that are rendered at the same time; the take is finished when
        all of them are there.

        Raises:
            OutputError: it cannot be written, or somebody else has described the take otherwise meanwhile.
        """
        with locked(self.folder):
            if (self.folder / SIDECAR).is_file():
                self._adopt()
            self._describe(planned, notes)

    def _describe(self, planned: tuple[int, ...], notes: list[str]) -> None:
        self._numbers |= set(planned)
        state = {
            "frames": str(FrameRange.from_numbers(sorted(self._numbers))),
            "finished": all(self.path(number).is_file() for number in self._numbers),
            "keys": sorted(self.keys),
            "anchors": sorted(self.anchors),
            "notes": notes,
        }
        content = {"format": SIDECAR_FORMAT, "version": SIDECAR_VERSION, **self._story, **state}
        write_atomically(self.folder / SIDECAR, json.dumps(content, indent=2).encode())

    def standing(self, numbers: tuple[int, ...], size_px: tuple[int, int]) -> set[int]:
        """Frames that are there already and whole; a damaged one is taken away, so that it is rendered anew."""
        there = set()
        for number in numbers:
            path = self.path(number)
            if not path.is_file():
                continue
            try:
                if self.read(number).shape[:2] == size_px:
                    there.add(number)
            except DamagedFileError:
                path.unlink()
        return there

    def written_s(self, number: int) -> float:
        """When a frame was written, in seconds since 1970."""
        return self.path(number).stat().st_mtime

    def write(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """Write one frame, PNG as it is, EXR in scene-linear light."""
        if self._request.image_format is ImageFormat.EXR:
            write_exr(self.path(number), srgb_to_linear(pixels))
        else:
            write_png(self.path(number), pixels)

    def read(self, number: int) -> NDArray[Any]:
        """Decode one frame fully. Raises what the readers raise."""
        reader = read_color_float if self._request.image_format is ImageFormat.EXR else read_color
        return reader(self.path(number), frame=number)

    def check(self, numbers: tuple[int, ...], size_px: tuple[int, int], context: JobContext) -> None:
        """Every planned frame exists and re-reads.

        Raises:
            OutputError: names the frame that does not.
            CancelledError: the context asked for it.
        """
        with ThreadPoolExecutor(thread_count(), thread_name_prefix="check") as pool:
            waiting = [(number, pool.submit(self._size, number)) for number in numbers]
            try:
                for number, wait in waiting:
                    context.check()
                    self._check_size(number, wait, size_px)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _size(self, number: int) -> tuple[int, int]:
        """Height and width of a frame, read to its end."""
        if self._request.image_format is ImageFormat.PNG:
            return prove_png(self.path(number), frame=number)
        height, width = self.read(number).shape[:2]
        return height, width

    def _check_size(self, number: int, wait: Future[tuple[int, int]], size_px: tuple[int, int]) -> None:
        try:
            shape = wait.result()
        except MapreelError as exc:
            raise self._lost(number, str(exc)) from exc
        if shape != size_px:
            raise self._lost(number, f"size {shape}")

    def _lost(self, number: int, detail: str) -> OutputError:
        return OutputError(
            f"frame {number} of {self.folder} was written but does not read back",
            "check the disk and render again with --resume",
            detail=detail,
            file=str(self.path(number)),
            frame=number,
        )


class FrameWriter:
    """Writes frames in the background, a few at most waiting; the first error stops the job."""

    def __init__(self, take: TakeFolder) -> None:
        self._take = take
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="frames")
        self._waiting: deque[Future[None]] = deque()

    def add(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """Queue one frame; blocks while too many wait. Raises OutputError of an earlier frame."""
        while len(self._waiting) >= WAITING_FRAMES:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._take.write, number, pixels))

    def flush(self) -> None:
        """Wait until all queued frames are on disk. Raises OutputError."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)


def srgb_to_linear(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """8 bit sRGB to scene-linear light 0..1 (IEC 61966-2-1)."""
    steps = np.arange(256, dtype=np.float64) / 255
    table = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return table[pixels]


def plan_digest(request: RenderRequest, model: Model | TeacherModel) -> str:
    """What decides the pixels of a take, as one hash: which frames are wanted, where and how fast does not."""
    plan = {k: v for k, v in request.to_json().items() if k not in ("out", "resume", "frames", "fps")}
    if request.keys is KeyRule.ADAPTIVE:
        del plan["keys"]  # takes of version 0.1.0 know no other rule, and may be gone on with
    plan["reference"] = reference_digests(request.reference)
    plan["model_sha256"] = model.sha256
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def _story(request: RenderRequest, model: Model | TeacherModel) -> dict[str, Any]:
    made_with = {name: installed_version(name) for name in ("mapreel", "torch")}
    weights = {"name": model.name, "sha256": model.sha256, "licence": model.licence or "unknown"}
    color = "scene-linear Rec.709" if request.image_format is ImageFormat.EXR else "sRGB"
    plan = plan_digest(request, model)
    return {"plan": plan, "request": request.to_json(), "model": weights, "made_with": made_with, "color": color}
