# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a take on disk: written beside the rendering, re-read at the end, described by a side-car."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import DamagedFileError, MapreelError, OutputError, OutputExistsError, UsageError
from mapreel.core.contract.frames import FrameRange, frame_name
from mapreel.core.contract.progress import JobContext
from mapreel.core.contract.requests import PICTURE_FIELDS, ImageFormat, KeyRule, RenderRequest
from mapreel.core.contract.takes import write_atomically
from mapreel.core.contract.versions import installed_version
from mapreel.core.device import thread_count
from mapreel.core.media.images import prove_png
from mapreel.core.media.plates import PlateHeaders
from mapreel.core.media.proof import prove_picture
from mapreel.core.media.sidecars import file_sha256, recorded_request, written
from mapreel.core.media.writers import PLAIN
from mapreel.core.vid2vid.checkpoint import Model
from mapreel.core.vid2vid.reference import reference_digests
from mapreel.core.vid2vid.renderer import Pixels
from mapreel.core.vid2vid.takefiles import frame_delivery, render_delivery
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
        self._delivery = frame_delivery(request, model)
        self._suffix = self._delivery.spec.suffix
        self._story = _story(request, model, folder)
        self.plates = PlateHeaders(None)
        """What the frames take over of plates or maps."""
        self.sources: Callable[[int], list[tuple[str, Path]]] = lambda _: []
        """The files that a frame is made from, by what they are."""
        self._own: dict[int, Any] = {}
        self._known: dict[int, Any] = {}
        """What the side-car says of written files: those of this job, and those of others."""
        self.keys: set[int] = set()
        self.anchors: set[int] = set()
        """Frame numbers at which the chains of the frames here began."""
        self._numbers: set[int] = set()
        self.failed: dict[int, str] = {}
        """Frame numbers of this job that could not be made, and why."""
        self._failed_before: dict[int, str] = {}
        self._adopt()

    @property
    def peak(self) -> int:
        """Of the pixels its files can hold, 255 or 65535: light needs finer steps than 8 bits of sRGB."""
        return 255 if self._delivery.spec.bits == 8 else 65535

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
            self._failed_before = {int(number): str(why) for number, why in known.get("failed", {}).items()}
            self._known = {int(number): dict(entry) for number, entry in known.get("written", {}).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as exc:
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
        others = {number: why for number, why in self._failed_before.items() if number not in planned}
        failed = {str(number): why for number, why in sorted({**others, **self.failed}.items())}
        state: dict[str, Any] = {
            "frames": str(FrameRange.from_numbers(sorted(self._numbers))),
            "finished": not failed and all(self.path(number).is_file() for number in self._numbers),
            "keys": sorted(self.keys),
            "anchors": sorted(self.anchors),
            "notes": notes,
            "written": {str(number): entry for number, entry in sorted({**self._known, **dict(self._own)}.items())},
        }
        if failed:
            state["failed"] = failed
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

    def write(self, number: int, pixels: Pixels) -> None:
        """Write one frame as the files of the take are, and note its hash."""
        path = self.path(number)
        plate = self.plates.header(number) if path.suffix == ".exr" else PLAIN
        self._delivery.write(path, pixels, peak=int(np.iinfo(pixels.dtype).max), plate=plate)
        self._own[number] = written(path, self.sources(number))

    def read(self, number: int) -> NDArray[Any]:
        """Decode one frame fully, as it stands in its file. Raises what the readers raise."""
        return prove_picture(self.path(number), frame=number)

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
        """Height and width of a frame, read to its end; its bytes are those that were written."""
        path, noted = self.path(number), self._own.get(number)
        if path.suffix == ".png":  # half the time of decoding it
            height, width = prove_png(path, frame=number)
        else:
            height, width = self.read(number).shape[:2]
        if noted is None and number not in self._known:  # a frame of an attempt that died before it could note this
            self._own.setdefault(number, written(path, self.sources(number)))
        elif noted is not None and noted["sha256"] != file_sha256(path):
            raise self._lost(number, "its bytes are not those that were written")
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

    def add(self, number: int, pixels: Pixels) -> None:
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


def plan_digest(request: RenderRequest, model: Model | TeacherModel) -> str:
    """What decides the pixels of a take, as one hash: which frames are wanted, where and how fast does not."""
    plan = {k: v for k, v in request.whole().items() if k not in ("out", "resume", "frames", "fps")}
    if request.keys is KeyRule.ADAPTIVE:
        del plan["keys"]  # takes of version 0.1.0 know no other rule, and may be gone on with
    for name in PICTURE_FIELDS:  # nor do they know these; which certificate signs decides no pixel
        if name in ("c2pa_cert", "c2pa_key") or not plan[name]:
            del plan[name]
    for name, value in request.map_options().items():
        if not value:  # fields of later versions, too
            del plan[name]
    plan["reference"] = reference_digests(request.reference)
    plan["model_sha256"] = model.sha256
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def _story(request: RenderRequest, model: Model | TeacherModel, folder: Path) -> dict[str, Any]:
    made_with = {name: installed_version(name) for name in ("mapreel", "torch")}
    weights = {"name": model.name, "sha256": model.sha256, "licence": model.licence or "unknown"}
    color = "scene-linear Rec.709" if request.image_format is ImageFormat.EXR else "sRGB"
    color = color if request.colour_space is None else request.colour_space
    plan = plan_digest(request, model)
    made = {"plan": plan, "request": recorded_request(request, folder), "model": weights, "made_with": made_with}
    return {**made, "color": color, **render_delivery(request, model).to_dict()}
