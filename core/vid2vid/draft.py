# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts: single frames on request, each as quick as can be, from a model, maps and pictures that stay warm.

No frame waits for a later one. A frame near a key frame that was drawn before is carried from it; any other is made by
the network, on the memory of an earlier key frame within a few frames, else afresh. What was drawn is drawn no second
time until its maps change on disk. A quick draft is carried without the filler, or made by the network at half
resolution (a quarter of the work) and laid into the outlines of the maps; a fine one of the same frame takes its place.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import DraftRequest, Quality, Request
from mapreel.core.device import pick_device
from mapreel.core.media.warping import agreement, fill_from_same, invert, warp_picture
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.compensation import Picture, motion_to, one_sided
from mapreel.core.vid2vid.filler import Carried
from mapreel.core.vid2vid.keyframes import LARGEST_LOSS, LONGEST_GAP
from mapreel.core.vid2vid.models import find_model
from mapreel.core.vid2vid.reference import LONGEST_CARRY
from mapreel.core.vid2vid.reference_memory import Trail
from mapreel.core.vid2vid.renderer import Memory, Renderer, to_pixels
from mapreel.core.vid2vid.shot import Shot, open_shot
from mapreel.core.vid2vid.supported import refuse_teacher

Stamp = tuple[int, int, int] | None  # of a file: written (ns), size, inode; None: not there

KEPT_MODELS = 2
KEPT_VIEWS = 3
"""Shots whose maps and pictures stay in memory: the one that is worked on, and two to compare it with."""
KEPT_SEGMENTS = 4
KEPT_PICTURE_BYTES = 128 << 20
"""Of one view: about 68 pictures of 512x256, 4 of 1920x1080."""
KEPT_STAMPS = 512
WATCHED_FRAMES = 12
"""A map that changes this far from the frame asked for no longer shows in it: keys are carried and remembered over at
most LONGEST_GAP frames each, and what came in two keys ago has faded."""


@dataclass(frozen=True)
class Drawn:
    """A frame that was drawn. Only keys (made by the network) lend their pixels to others."""

    picture: Picture  # [H, W, 3] -1..1
    pixels: NDArray[np.uint8]  # [H, W, 3] sRGB, what is shown: the picture gone over by the filler
    is_key: bool
    source: int | None  # frame number that it was carried from or that was its memory
    quick: bool = False  # made at half resolution, or carried from such a one
    trail: Trail | None = None  # of a key: back to the reference frame that it shows, in `numbers`
    numbers: tuple[int, ...] = ()


class DraftStudio:
    """Draws one draft after the other and keeps what the next one may need, within bounds."""

    def __init__(self) -> None:
        self._device = pick_device()
        self._renderers: OrderedDict[tuple[str, Stamp], Renderer] = OrderedDict()
        self._views: OrderedDict[tuple[str, DraftRequest], View] = OrderedDict()

    def draft(self, request: Request) -> tuple[dict[str, Any], bytes]:
        """One frame: its facts and its pixels, RGB8 sRGB, rows from the top.

        Returns:
            number, width, height, seconds, is_key, source (frame number that lent pixels or memory, or None), quick
            (softer than it could be), again (it stood in memory), loading_seconds (of the model, 0 when it was warm),
            model_sha256; and the bytes.

        Raises:
            UsageError: bad input or model, or a quality that the model has no network for.
        """
        if not isinstance(request, DraftRequest):
            raise UsageError(f"a {request.kind} request is no draft", "submit it as a job")
        refuse_teacher(request.quality)
        started = time.perf_counter()
        renderer, loading_s = self._renderer(request.model)
        view = self._view(renderer, request)
        drawn, again = view.draw(request.frame, quick=request.quick)
        pixels = drawn.pixels
        facts = {
            "number": request.frame,
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "seconds": time.perf_counter() - started,
            "is_key": drawn.is_key,
            "source": drawn.source,
            "quick": drawn.quick,
            "again": again,
            "loading_seconds": loading_s,
            "model_sha256": renderer.model.sha256,
        }
        return facts, pixels.tobytes()

    def _renderer(self, model: str) -> tuple[Renderer, float]:
        """The warm renderer of a model file as it lies on disk now, and the seconds that loading took."""
        path = find_model(model)
        key, started = (str(path), _stamp(path)), time.perf_counter()
        cold = key not in self._renderers
        if cold:
            self._renderers[key] = Renderer(load_model(model), self._device)
        self._renderers.move_to_end(key)
        while len(self._renderers) > KEPT_MODELS:
            self._renderers.popitem(last=False)
        return self._renderers[key], time.perf_counter() - started if cold else 0.0

    def _view(self, renderer: Renderer, request: DraftRequest) -> View:
        key = (renderer.model.sha256, replace(request, frame=0, quick=False))
        if key not in self._views:
            self._views[key] = View(renderer, request)
        self._views.move_to_end(key)
        while len(self._views) > KEPT_VIEWS:
            self._views.popitem(last=False)
        return self._views[key]


class View:
    """One shot seen with one model: opened maps and drawn pictures, thrown away when the maps change on disk."""

    def __init__(self, renderer: Renderer, request: DraftRequest) -> None:
        self._renderer, self._request = renderer, request
        self._shots: OrderedDict[tuple[int, int], Shot] = OrderedDict()  # by first and last frame number of a segment
        self._pictures: OrderedDict[int, Drawn] = OrderedDict()
        self._stamps: dict[int, tuple[Stamp, ...]] = {}  # of the maps of frames that were read
        self._last: Shot | None = None  # knows where the maps lie also after it was closed
        self._folders: tuple[Stamp, ...] = ()
        self._references: tuple[Stamp, ...] = ()

    def draw(self, number: int, *, quick: bool = False) -> tuple[Drawn, bool]:
        """The frame, and whether it had been drawn before. Raises what opening and reading the maps raises."""
        self._forget_what_changed(number)
        drawn = self._pictures.get(number)
        if drawn is not None and (quick or not drawn.quick):
            self._pictures.move_to_end(number)
            return drawn, True
        shot = self._shot(number)
        drawn = self._drawn(shot, _place(shot, number), quick=quick)
        self._pictures[number] = drawn
        self._pictures.move_to_end(number)
        most = max(2, KEPT_PICTURE_BYTES // (drawn.picture.nbytes + drawn.pixels.nbytes))
        while len(self._pictures) > most:
            self._pictures.popitem(last=False)
        return drawn, False

    def _drawn(self, shot: Shot, index: int, *, quick: bool) -> Drawn:
        fixed = shot.references is not None and index in shot.references.indices
        near = [] if fixed else self._neighbours(shot, index, quick=quick)
        if self._request.quality is not Quality.FULL:
            for key in near:
                carried = self._carried(shot, index, key)
                if carried is not None:
                    number = shot.timeline.numbers[key]
                    pixels = to_pixels(carried.picture) if quick else self._renderer.finished(shot.maps(index), carried)
                    return Drawn(carried.picture, pixels, False, number, quick or self._pictures[number].quick)
        self._watch(shot, index, index)
        small = _halved(shot) if quick and shot.references is None and shot.maps(index).drawing is None else None
        if small is not None:
            large = _enlarged(self._renderer.render_frame(small, index, None)[0], shot, index)
            return Drawn(large, to_pixels(large), True, None, True)
        earlier = [key for key in near if key < index and not self._pictures[shot.timeline.numbers[key]].quick]
        memory = self._memory(shot, earlier[0]) if earlier else None
        self._watch(shot, index, memory.index if memory else index)
        for reference in shot.references.indices if shot.references else ():
            self._watch(shot, reference, index if abs(reference - index) <= LONGEST_CARRY else reference)
        picture, after = self._renderer.render_frame(shot, index, memory)
        numbers, pixels = shot.timeline.numbers, self._renderer.delivered(shot, index, picture)
        return Drawn(picture, pixels, True, numbers[memory.index] if memory else None, False, after.trail, numbers)

    def _neighbours(self, shot: Shot, index: int, *, quick: bool) -> list[int]:
        """Timeline indices of the nearest drawn key before and of the nearest after, the nearer one first."""
        numbers, found = shot.timeline.numbers, []
        for way in (-1, 1):
            for distance in range(1, LONGEST_GAP + 1):
                near = index + way * distance
                if not 0 <= near < len(numbers) or numbers[near] not in shot.labels.numbers:
                    break
                drawn = self._pictures.get(numbers[near])
                if drawn is not None and drawn.is_key and (quick or not drawn.quick):
                    found.append(near)
                    break
        return sorted(found, key=lambda near: abs(near - index))

    def _memory(self, shot: Shot, near: int) -> Memory:
        drawn = self._pictures[shot.timeline.numbers[near]]
        return Memory(near, drawn.picture, drawn.trail if drawn.numbers == shot.timeline.numbers else None)

    def _carried(self, shot: Shot, index: int, key: int) -> Carried | None:
        """The frame from a key frame before or after it alone; None when a key frame of its own is due."""
        if abs(index - key) >= LONGEST_GAP:
            return None
        self._watch(shot, index, key)
        ids, key_ids = shot.maps(index).ids, shot.maps(key).ids
        if key < index:
            motion = motion_to(shot, index, key)
            valid = agreement(motion, ids, key_ids)
        else:
            motion, known = invert(motion_to(shot, key, index), key_ids, ids)
            valid = agreement(motion, ids, key_ids) & known
        if 1.0 - float(valid.mean()) > LARGEST_LOSS:
            return None
        picture = self._pictures[shot.timeline.numbers[key]].picture
        return one_sided(warp_picture(picture, motion), valid, ids[0], index - key)

    # --- maps on disk ---------------------------------------------------------------------------------------------

    def _shot(self, number: int) -> Shot:
        """The opened segment that holds a frame."""
        for bounds, shot in self._shots.items():
            if bounds[0] <= number <= bounds[1] and number in shot.labels.numbers:
                self._shots.move_to_end(bounds)
                return shot
        stand_in = None if self._request.missing is MissingFrames.ERROR else self._request.missing
        request = replace(self._request, frame=number).as_render()
        shot = open_shot(self._renderer.model, request, stand_in=stand_in)
        segment = shot.timeline.segment(_place(shot, number))
        numbers = shot.timeline.numbers
        self._shots[numbers[segment.start], numbers[segment.end - 1]] = shot
        while len(self._shots) > KEPT_SEGMENTS:
            self._shots.popitem(last=False)
        return shot

    def _watch(self, shot: Shot, index: int, other: int) -> None:
        """Remember how the maps between two frames lay on disk before they are read."""
        for i in range(min(index, other), max(index, other) + 1):
            number = shot.timeline.numbers[i]
            self._stamps.setdefault(number, _stamps(shot, number))
        while len(self._stamps) > KEPT_STAMPS:
            self._stamps.pop(next(iter(self._stamps)))
        self._last = shot

    def _forget_what_changed(self, number: int) -> None:
        """Open the maps anew when frames came or went; forget the pictures when references or maps near by changed."""
        folders, references = self._listing()
        far = bool(self._request.reference)  # what a reference shows of an instance is seen everywhere
        near = [n for n in self._stamps if far or abs(n - number) <= WATCHED_FRAMES]
        changed = self._last is not None and any(self._stamps[n] != _stamps(self._last, n) for n in near)
        if changed or references != self._references:
            self._pictures.clear()
            self._stamps.clear()
        if changed or (folders, references) != (self._folders, self._references):
            self._shots.clear()
            self._folders, self._references = folders, references

    def _listing(self) -> tuple[tuple[Stamp, ...], tuple[Stamp, ...]]:
        """How the folders of the maps, which list the frames, and the reference pictures lie on disk now."""
        request = self._request
        sources = [source for source in (request.labels, request.instances, request.motion) if source is not None]
        folders = (path if path.is_dir() else path.parent for path in map(Path, sources))
        return tuple(map(_stamp, folders)), tuple(_stamp(Path(file)) for _, file in request.reference)


def _halved(shot: Shot) -> Shot | None:
    """The shot at half resolution, None where that would be too small for the model. Reads through `shot`."""
    h, w = shot.size_px
    if min(h, w) // 2 < shot.model.config.stride_px:
        return None
    ids = np.asarray(shot.model.table.ids, np.uint16)

    def labels(number: int) -> NDArray[Any]:
        return ids[shot.maps(_place(shot, number)).classes[::2, ::2]]

    def instances(number: int) -> NDArray[Any]:
        found = shot.maps(_place(shot, number)).instances
        assert found is not None
        return np.ascontiguousarray(found[::2, ::2])

    size = ((h + 1) // 2, (w + 1) // 2)
    small = replace(shot.labels, size=size, load=labels, filled={})
    partner = replace(shot.instances, size=size, load=instances, filled={}) if shot.instances else None
    return Shot(shot.model, small, partner, None, shot.planned, shot.timeline)


def _enlarged(picture: Picture, shot: Shot, index: int) -> Picture:
    """A picture of the halved shot at the size of the maps; what lies across an outline takes its own side's colour."""
    h, w = shot.size_px
    labels = shot.maps(index).ids[0]
    own = np.repeat(np.repeat(labels[::2, ::2], 2, axis=0), 2, axis=1)[:h, :w] == labels
    large = cv2.resize(picture, (2 * picture.shape[1], 2 * picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    return fill_from_same(np.ascontiguousarray(large[:h, :w], np.float32), own, labels)


def _place(shot: Shot, number: int) -> int:
    """Timeline index of a frame number that the shot has."""
    return bisect_left(shot.timeline.numbers, number)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _stamps(shot: Shot, number: int) -> tuple[Stamp, ...]:
    """How the maps of a frame, and those held in the place of missing ones, lie on disk now."""
    found = []
    for sequence in (shot.labels, shot.instances, shot.motion):
        if sequence is not None:
            held = sequence.filled.get(number)
            found += [_stamp(sequence.path(n)) for n in (number, held) if n is not None]
    return tuple(found)
