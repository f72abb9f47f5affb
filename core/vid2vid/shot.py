# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps of one shot as the renderer reads them, frame by frame, and the motion between frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import GapError, InputError, MixedSizesError, ModelMismatchError
from mapreel.core.contract.frames import MAX_FRAMES, FrameRange, MissingFrames, counted
from mapreel.core.contract.requests import KeyRule, RenderRequest
from mapreel.core.media.drawing import Drawing, conditions, drawing_motion, subject_mask
from mapreel.core.media.sequence import UNREADABLE, Lost, MapKind, ShotSequence, numbers_on_disk, open_maps
from mapreel.core.media.warping import estimate_motion
from mapreel.core.vid2vid.checkpoint import Model
from mapreel.core.vid2vid.conditions import open_source, source_numbers
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.foreign_maps import check_motion, class_rules
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.reference import Colours, References, carried_over
from mapreel.core.vid2vid.teacher_model import TeacherModel
from mapreel.core.vid2vid.timeline import Timeline

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Reader = Callable[[int], NDArray[Any]]
KEPT_FRAMES = 24
"""Decoded frames and estimated motions kept in memory: a gap between key frames, its neighbours and what is read ahead,
however long the shot."""


@dataclass(frozen=True)
class FrameMaps:
    """Everything known about one frame before it is rendered."""

    number: int
    classes: NDArray[np.intp]  # [H, W] class indices
    instances: NDArray[np.unsignedinteger] | None  # [H, W]
    motion: NDArray[np.float32] | None  # [H, W, 2] px, prev_to_cur
    drawing: Drawing | None = None  # [H, W, P], what the classes were read off

    @cached_property
    def condition(self) -> NDArray[np.float32] | None:
        """What the network reads of the drawing: [H, W, C] 0..1; None for label maps."""
        return None if self.drawing is None else conditions(self.drawing)

    @cached_property
    def ids(self) -> tuple[NDArray[np.unsignedinteger], ...]:
        """The maps that must agree where a pixel is carried from one frame to another."""
        labels = self.classes.astype(np.uint16)
        return (labels,) if self.instances is None else (labels, self.instances)


UNUSABLE = (*UNREADABLE, MixedSizesError)
"""What is wrong with the files of one frame: the others are rendered."""


class Shot:
    """Label, instance and motion maps of one shot, read when asked for and kept for a short while.

    stand_in: what stands for a frame whose files cannot be read, so that its neighbours can be made: the maps of the
    nearest frame before that can be read (of the first after), or nothing at all for black. None: they are an error.
    lost: the frames that this came to, and why; shared with twins.
    """

    def __init__(
        self,
        model: Model | TeacherModel,
        labels: ShotSequence,
        instances: ShotSequence | None,
        motion: ShotSequence | None,
        planned: tuple[int, ...],
        timeline: Timeline,
        references: References | None = None,
        keys: KeyRule = KeyRule.ADAPTIVE,
        stand_in: MissingFrames | None = None,
    ) -> None:
        self.references, self.keys, self.stand_in = references, keys, stand_in
        self.lost: Lost = {}
        self._broken: set[int] = set()  # frames without labels or instances, so that none is tried twice
        self.model, self.labels, self.instances, self.motion, self.planned = model, labels, instances, motion, planned
        self.timeline = timeline
        self.doubt = ""  # about the motion, for who reads the notes of a take
        self._motion_numbers = frozenset(motion.numbers) if motion else frozenset[int]()
        self._frames: OrderedDict[int, FrameMaps] = OrderedDict()
        self._estimates: OrderedDict[tuple[int, int], NDArray[np.float32]] = OrderedDict()
        self._ahead: dict[int, Future[FrameMaps]] = {}

    def twin(self) -> Shot:
        """The same shot with nothing read yet, for another thread."""
        twin = Shot(
            self.model,
            self.labels,
            self.instances,
            self.motion,
            self.planned,
            self.timeline,
            self.references,
            self.keys,
            self.stand_in,
        )
        twin.lost, twin._broken = self.lost, self._broken
        return twin

    @property
    def size_px(self) -> tuple[int, int]:
        """(H, W) of the maps."""
        return self.labels.size

    def maps(self, index: int) -> FrameMaps:
        """The maps at timeline index `index`; those that stand in for what cannot be read, if the shot has such.

        Raises what the readers raise, and UnknownLabelError.
        """
        number = self.timeline.numbers[index]
        ahead = self._ahead.pop(number, None)
        return _kept(self._frames, number, ahead.result if ahead else lambda: self._read(number), len(self._ahead))

    def read_ahead(self, indices: Iterable[int], pool: Executor) -> None:
        """Let the pool read frames that will be asked for soon; what goes wrong is raised when they are asked for."""
        for number in (self.timeline.numbers[index] for index in indices):
            if number not in self._frames and number not in self._ahead:
                self._ahead[number] = pool.submit(self._read, number)
        while self._frames and len(self._frames) + len(self._ahead) > KEPT_FRAMES:
            self._frames.popitem(last=False)

    @cached_property
    def reference_colours(self) -> Colours | None:
        """What the reference frames show of each instance, None without references. Raises as `maps` and readers do."""
        if self.references is None:
            return None
        return self.references.looks(lambda index: (self.maps(index).classes, self.maps(index).instances))

    def changed_s(self, number: int) -> float:
        """When the maps of a frame were last written or put in their place, in seconds since 1970."""
        times = [0.0]
        for sequence in (self.labels, self.instances, self.motion):
            if sequence is not None and number in sequence.numbers and number not in sequence.filled:
                try:
                    found = sequence.path(number).stat()
                except FileNotFoundError:  # meanwhile: whoever reads it will say so
                    continue
                times += [found.st_mtime, found.st_ctime]  # a copy may keep the time of writing, not of its arrival
        return max(times)

    def lost_note(self, planned: frozenset[int]) -> str:
        """One sentence that lists the planned frames for which others stand, or an empty string."""
        lost = sorted(planned & set(self.lost))
        if not lost:
            return ""
        how = "black" if self.stand_in is MissingFrames.BLACK else "held from the nearest frame"
        return f"{counted(lost)} {how}, because files cannot be read: {str(self.lost[lost[0]]).rstrip('.')}."

    def _read(self, number: int) -> FrameMaps:
        try:
            maps = self._read_maps(number, self.labels.read, self.instances.read if self.instances else None)
        except UNUSABLE as error:
            return self._instead(number, error)
        try:
            return replace(maps, motion=self._read_motion(number))
        except UNUSABLE as error:
            if self.stand_in is None:
                raise
            self.lost.setdefault(number, error)
            return maps

    def _read_maps(self, number: int, labels_of: Reader, instances_of: Reader | None) -> FrameMaps:
        """The maps of a frame without its motion."""
        labels = labels_of(number)
        instances = instances_of(number) if instances_of else None
        if self.labels.kind is MapKind.DRAWING:
            classes = subject_mask(labels).astype(np.intp)
            return FrameMaps(number, classes, instances, None, labels)
        classes = self.model.table.indices(labels, file=str(self.labels.path(number)), frame=number)
        return FrameMaps(number, classes, instances, None)

    def _instead(self, number: int, error: InputError) -> FrameMaps:
        """What stands for a frame that cannot be read: the same whoever asks first, and in every chunk of the shot."""
        if self.stand_in is None:
            raise error
        self.lost.setdefault(number, error)
        self._broken.add(number)
        if self.stand_in is MissingFrames.BLACK:
            black = self.instances.black if self.instances else None
            return self._read_maps(number, lambda _: self.labels.black(), (lambda _: black()) if black else None)
        at = self.timeline.numbers.index(number)
        for other in (*reversed(self.timeline.numbers[:at]), *self.timeline.numbers[at + 1 :]):
            if other in self._broken:
                continue
            try:
                found = self._read_maps(other, self.labels.stored, self.instances.stored if self.instances else None)
            except UNUSABLE:
                self._broken.add(other)
                continue
            return replace(found, number=number)
        raise error

    def _read_motion(self, number: int) -> NDArray[np.float32] | None:
        """The renderer's motion, None where it does not lead from these maps to those of the frame before."""
        if self.motion is None or number not in self._motion_numbers:
            return None
        made_up = (self.motion.filled, self.labels.filled, self.instances.filled if self.instances else {})
        if number in made_up[0] or any(n in filled for n in (number, number - 1) for filled in made_up[1:]):
            return None
        motion: NDArray[np.float32] = self.motion.read(number)
        return motion

    def motion_between(self, before: FrameMaps, after: FrameMaps) -> NDArray[np.float32]:
        """Motion of `after` towards `before`, neighbours in the timeline: from the renderer, else estimated."""
        if after.motion is not None and after.number == before.number + 1:
            return after.motion
        pair = (before.number, after.number)  # choice of keys, memory and in-betweens all ask for it
        return _kept(self._estimates, pair, lambda: _estimate(before, after))


def _estimate(before: FrameMaps, after: FrameMaps) -> NDArray[np.float32]:
    if after.drawing is not None and before.drawing is not None:
        return drawing_motion(after.drawing, before.drawing)
    return estimate_motion(after.ids, before.ids)


def _kept(store: OrderedDict[K, V], key: K, make: Callable[[], V], elsewhere: int = 0) -> V:
    """What `store` holds under the key, made when it is not there; the oldest goes beyond KEPT_FRAMES, with those that
    are kept elsewhere."""
    if key not in store:
        store[key] = make()
        while len(store) > max(1, KEPT_FRAMES - elsewhere):
            store.popitem(last=False)
    return store[key]


def open_shot(model: Model | TeacherModel, request: RenderRequest, *, stand_in: MissingFrames | None = None) -> Shot:
    """Open all maps of a request; sizes, gaps and numbers are checked before anything is rendered.

    stand_in: see `Shot`; with it, files that cannot be read are no error here.

    The timeline holds every frame that is on disk (and what the policy fills between them), also those not asked for:
    a chunk must see its neighbours to give the pixels the whole shot would have. Opened are only the maps that the
    planned frames need, so that a chunk can be rendered while maps far away are still being written.

    Raises:
        InputError: missing, gappy, mixed or damaged maps.
        ModelMismatchError: the pictures are too small for the model.
    """
    frames = FrameRange.parse(request.frames) if request.frames else None
    config: GeneratorConfig | PaperConfig = model.config
    rules = class_rules(request.classes, model.table, model.name)
    lost: Lost | None = None if stand_in is None else {}
    found = open_source(config, request.labels, frames, request.missing, request, rules, lost)
    planned = tuple(sorted(found.numbers))
    around = set(source_numbers(config, request.labels))
    there = set(_shared(request.instances, MapKind.INSTANCE, planned)) if request.instances else around
    if request.missing is MissingFrames.ERROR:
        around &= there
    elif max(around) - min(around) < MAX_FRAMES:
        around = set(range(min(around), max(around) + 1))
    everything = tuple(sorted(around | set(planned)))
    timeline = Timeline(everything, every=MAX_FRAMES) if isinstance(model, TeacherModel) else Timeline(everything)
    references = References(request.reference, timeline.numbers, request.labels) if request.reference else None
    segments = list(timeline.segments(set(planned)))
    needed = {n for s in segments for n in timeline.needed(s)}
    if references is not None:
        carried = (carried_over(references, s, request.quality, len(timeline)) for s in segments)
        needed |= {timeline.numbers[i] for indices in carried for i in indices} | set(references.numbers)
    numbers = tuple(sorted(needed))
    opened = FrameRange.from_numbers(numbers)
    labels = open_source(config, request.labels, opened, request.missing, request, rules, lost)
    instances = _open(request.instances, MapKind.INSTANCE, numbers, request, lost) if request.instances else None
    motion = _open_motion(request, numbers, planned, lost) if request.motion else None
    for partner in (instances, motion):
        if partner is not None:
            _check_size(partner, labels)
    h, w = labels.size
    if min(h, w) < model.config.stride_px:
        raise ModelMismatchError(
            f"the maps are {w}x{h}, smaller than the {model.config.stride_px} pixels the model {model.name} needs",
            "render larger maps",
            file=request.labels,
        )
    if references is not None:
        references.check_sizes(labels.size)
    shot = Shot(model, labels, instances, motion, planned, timeline, references, request.keys, stand_in)
    shot.doubt = check_motion(labels, instances, motion, planned, request.motion_layout)
    return shot


def _open(
    source: str, kind: MapKind, numbers: tuple[int, ...], request: RenderRequest, lost: Lost | None
) -> ShotSequence:
    return open_maps(source, kind, FrameRange.from_numbers(numbers), request.missing, request, lost=_apart(lost))


def _apart(lost: Lost | None) -> Lost | None:
    """Each kind of map has its own: the first of its files that can be read is another."""
    return None if lost is None else {}


def _open_motion(
    request: RenderRequest, numbers: tuple[int, ...], planned: tuple[int, ...], lost: Lost | None
) -> ShotSequence | None:
    """Motion of every planned frame, and of its neighbours as far as there is any.

    Nothing lies before the first frame of a shot, so many renderers write no motion for it: it may be missing.
    """
    source = str(request.motion)
    needed = set(planned) - ({planned[0]} if planned[0] == numbers[0] else set())
    found = _shared(source, MapKind.MOTION, planned) if needed else numbers_on_disk(source)
    wanted = tuple(sorted(needed | (set(found) & set(numbers))))
    return _open(source, MapKind.MOTION, wanted, request, lost) if wanted else None


def _shared(source: str, kind: MapKind, planned: tuple[int, ...]) -> tuple[int, ...]:
    """Frame numbers on disk, some of which must be planned ones."""
    found = numbers_on_disk(source)
    if not set(planned) & set(found):
        raise GapError(
            f"the {kind.value} maps {source} have the frames {FrameRange.from_numbers(found)}, none of those planned",
            "give maps with the same frame numbers as the label maps",
            file=source,
        )
    return found


def _check_size(partner: ShotSequence, labels: ShotSequence) -> None:
    if partner.size != labels.size:
        (h, w), (lh, lw) = partner.size, labels.size
        raise MixedSizesError(
            f"the {partner.kind.value} maps {partner.source} are {w}x{h} but the label maps are {lw}x{lh}",
            "render both at one size",
            file=str(partner.path(partner.numbers[0])),
        )
