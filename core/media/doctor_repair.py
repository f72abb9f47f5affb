# SPDX-License-Identifier: GPL-3.0-or-later
"""The label doctor mends: writes a healthy copy of a sequence of label maps, and never touches the originals.

What is not trusted gets the class that most of its trusted neighbours have; no colour is ever blended or guessed. What
popped is filled with what stands there both before and after. A frame that needs nothing is copied byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapreel.core.contract.errors import DamagedFileError, GapError, InputError, OutputError
from mapreel.core.contract.frames import FoundSequence, FrameRange, MissingFrames, counted
from mapreel.core.contract.maps import MapOptions
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime, SilentContext
from mapreel.core.media.doctor import AS_THEY_ARE, examine, planned_frames
from mapreel.core.media.doctor_colours import UNKNOWN, Colours, Ids, Mask, eight_bits, try_read
from mapreel.core.media.doctor_copies import Copies
from mapreel.core.media.doctor_findings import Problem, Report
from mapreel.core.media.doctor_frames import Look, between_mask, look_at, surfaces, unknown_mask
from mapreel.core.media.doctor_time import LONGEST_POP, Event, TimeWindow, between_shapes
from mapreel.core.media.palettes import Palette, load_palette

_ROUNDS = 12  # pixels that a soft edge is mended inwards from each side
_ROUNDED = 10  # levels of a channel that a JPEG moves a flat colour at most
_FLAT_BLOCK_PX = 12  # of one value together, so that a JPEG's noise cannot be it


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What a repair came to. before, after: the doctor's reports on the originals and on the copies."""

    folder: Path
    before: Report
    after: Report
    mended: tuple[int, ...]
    copied: tuple[int, ...]
    filled: tuple[int, ...]
    pixels: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        problems = dict.fromkeys([*self.before.counts, *self.after.counts])
        return {
            "folder": str(self.folder),
            "mended": str(FrameRange.from_numbers(self.mended)),
            "copied": str(FrameRange.from_numbers(self.copied)),
            "filled": str(FrameRange.from_numbers(self.filled)),
            "pixels": self.pixels,
            "counts": {
                name: {"before": self.before.counts.get(name, 0), "after": self.after.counts.get(name, 0)}
                for name in problems
            },
        }


def repair(
    source: str | Path,
    folder: str | Path,
    *,
    palette: str | Path | Palette | None = None,
    frames: FrameRange | None = None,
    missing: MissingFrames = MissingFrames.ERROR,
    options: MapOptions = AS_THEY_ARE,
    context: JobContext | None = None,
) -> Repair:
    """Writes mended copies into `folder`, under the same names and numbers, and looks at them again.

    A map that was no PNG becomes one (name.png): a JPEG could not hold it. missing: what stands for frames that are not
    there or cannot be read: an error, the nearest frame before, or id 0. options: as of `examine`. Raises InputError,
    GapError, OutputError (the folder is that of the originals), DiskFullError, CancelledError.
    """
    watching = context or SilentContext()
    found, planned = planned_frames(source, frames)
    target = Path(folder)
    refuse_same_folder(found, target)
    known = palette if isinstance(palette, Palette) or palette is None else load_palette(palette)
    before = examine(source, palette=known, frames=frames, options=options, context=watching)
    _refuse_gaps(before, missing)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"the folder {target} cannot be made", "choose another", detail=str(exc)) from exc
    writer = Copies(found, target, before)
    remaining = RemainingTime()
    for count, item in enumerate(_mend(found, planned, before, missing), 1):
        watching.check()
        writer.write(*item)
        watching.report(Progress(count, len(planned), "repair", remaining.update(count, len(planned))))
    after = examine(writer.found(planned), palette=known, frames=FrameRange(planned), context=watching)
    return Repair(
        folder=target,
        before=before,
        after=after,
        mended=tuple(writer.mended),
        copied=tuple(writer.copied),
        filled=tuple(writer.filled),
        pixels=writer.pixels,
    )


def refuse_same_folder(found: FoundSequence, folder: Path) -> None:
    """Raises OutputError where the copies would lie among the originals, under whatever spelling."""
    here, there = found.pattern.folder.resolve(), folder.resolve()
    same = here == there
    if not same and folder.exists():
        same = here.samefile(there)
    if same:
        raise OutputError(
            f"{folder} holds the originals, which are never touched", "choose another folder", file=str(folder)
        )


def _refuse_gaps(report: Report, missing: MissingFrames) -> None:
    if not report.numbers:
        raise DamagedFileError(f"no frame of {report.source} can be read", "render or copy them again")
    if missing is not MissingFrames.ERROR:
        return
    for problem, kind in ((Problem.GAP, GapError), (Problem.DAMAGED, DamagedFileError)):
        finding = report.find(problem)
        if finding is not None:
            what = "missing from" if kind is GapError else "damaged in"
            raise kind(
                f"{counted(list(finding.frames))} {what} {report.source}",
                "bring the frame, leave it out with --frames, or choose --missing hold or --missing black",
                frame=finding.frames[0],
            )


@dataclass
class _Draft:
    """A frame on its way. look: with its ids as they are now, None where there is no frame; original: ids as read."""

    number: int
    look: Look | None
    original: Ids | None


Mended = tuple[int, Look | None, Ids, Ids | None]
"""Number, look, mended ids, ids as they were read."""


def _mend(found: FoundSequence, planned: tuple[int, ...], report: Report, missing: MissingFrames) -> Iterator[Mended]:
    """Every planned frame in order; LONGEST_POP + 2 of them wait in memory for those after them."""
    there, window = frozenset(found.numbers), TimeWindow()
    specks = report.find(Problem.SPECKS)
    speckled = frozenset(specks.frames) if specks is not None else frozenset()
    held: list[_Draft] = []
    last: Ids | None = None
    follows = ended = False
    for number in (*planned, *[None] * (LONGEST_POP + 2)):
        if number is not None:
            draft = _open(found, number, report, there)
            held.append(draft)
            for event in window.push(draft.look, follows=follows) if draft.look is not None else []:
                _fill(event, held, speckled)
            follows = draft.look is not None
        elif not ended:
            ended = True
            for event in window.finish() if follows else []:
                _fill(event, held, speckled)
        if held and (number is None or len(held) > LONGEST_POP + 2):
            ready = held.pop(0)
            last = ready.look.ids if ready.look is not None else _stand_in(found, report, missing, last)
            yield ready.number, ready.look, last, ready.original


def _stand_in(found: FoundSequence, report: Report, missing: MissingFrames, last: Ids | None) -> Ids:
    """What is written where no frame can be read: the frame before it as it was mended, at the start the first one."""
    near = last if last is not None else _first_ids(found, report)
    return np.zeros_like(near) if missing is MissingFrames.BLACK else near


def _open(found: FoundSequence, number: int, report: Report, there: frozenset[int]) -> _Draft:
    """The frame with its edges mended."""
    sample = try_read(found.pattern.path(number), number, report.colours.reading) if number in there else None
    if sample is None or isinstance(sample, InputError):
        return _Draft(number, None, None)
    look = look_at(sample, number, report.colours)
    original = look.ids.copy()
    if look.colored and "lossy" in look.counts:
        look.ids = _snap(look, report.colours)
    untrusted = _untrusted(look, report.colours)
    if untrusted.any():
        look.ids = vote(look.ids, untrusted)
        look.histogram = np.bincount(look.ids.ravel(), minlength=1)
    return _Draft(number, look, original)


def _first_ids(found: FoundSequence, report: Report) -> Ids:
    for number in report.numbers:
        sample = try_read(found.pattern.path(number), number, report.colours.reading)
        if not isinstance(sample, InputError):
            return look_at(sample, number, report.colours).ids
    raise DamagedFileError(f"no frame of {report.source} can be read", "render or copy them again")


def _untrusted(look: Look, colours: Colours) -> Mask:
    """Pixels that shall be voted anew: soft edges, thin unknown ids, a JPEG's noise."""
    unknown = unknown_mask(look, colours)
    mask = np.zeros(look.size, np.bool_) if unknown is None else unknown & ~surfaces(look, unknown)
    if "lossy" in look.counts:
        mask |= ~_in_large_parts(look.ids)
        if unknown is not None:
            mask |= look.ids == UNKNOWN if look.colored else unknown
    elif not look.colored and ("soft-edges" in look.counts or "resized-smooth" in look.counts):
        mask |= between_mask(look.ids)
        if "resized-smooth" in look.counts:
            mask |= _in_ramps(look.ids)
    return mask


def _snap(look: Look, colours: Colours) -> Ids:
    """Ids with the colours that a JPEG's rounding moved a little put back to the only class that they can be."""
    known = sorted({label for label in np.unique(look.ids).tolist() if label != UNKNOWN})
    if colours.palette is not None:
        known = [entry.id for entry in colours.palette.classes]
    if not known:
        return look.ids
    table = np.array([colours.color(label) for label in known], np.int16)
    lost = look.ids == UNKNOWN
    pixels = eight_bits(look.sample.pixels)[:, :, :3]
    colors, places = np.unique(pixels[lost], axis=0, return_inverse=True)
    nearest = np.full(len(colors), UNKNOWN, np.uint16)
    for start in range(0, len(colors), 4096):
        part = colors[start : start + 4096].astype(np.int16)
        distance = np.abs(part[:, None] - table[None]).max(axis=2)
        near = distance <= _ROUNDED
        sure = near.sum(axis=1) == 1
        nearest[start : start + 4096][sure] = np.array(known, np.uint16)[distance.argmin(axis=1)][sure]
    ids = look.ids.copy()
    ids[lost] = nearest[places.ravel()]
    return ids


def _in_large_parts(ids: Ids) -> Mask:
    """Pixels in parts of one value of at least _FLAT_BLOCK_PX pixels."""
    keep = np.zeros(ids.shape, np.bool_)
    for label in np.flatnonzero(np.bincount(ids.ravel())):
        surface = (ids == label).astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(surface, connectivity=4)
        large = stats[:, cv2.CC_STAT_AREA] >= _FLAT_BLOCK_PX
        large[0] = False
        keep |= large[parts]
    return keep


def _in_ramps(ids: Ids) -> Mask:
    """Thin pixels beside those between two values: a filter leaves steps of two and more of one value."""
    between = between_mask(ids)
    flat = cv2.erode((~between).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.dilate(flat, np.ones((3, 3), np.uint8)) == 0)


def vote(ids: Ids, untrusted: Mask) -> Ids:
    """Untrusted pixels get the id that most of their trusted 8 neighbours have, from the rim inwards.

    Where two ids have as many, the one nearer to the pixel's own value. What no trusted pixel is near keeps its own.
    """
    mended = np.pad(ids, 1, mode="edge")
    open_ = np.pad(untrusted, 1, constant_values=True)
    ys, xs = np.nonzero(np.pad(untrusted, 1))
    for _ in range(_ROUNDS):
        if len(ys) == 0:
            break
        around = np.stack([mended[ys + y, xs + x] for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])
        trusted = np.stack([~open_[ys + y, xs + x] for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])
        votes = np.stack([((around == one) & trusted).sum(axis=0) for one in around]) * trusted
        distance = np.abs(around.astype(np.int64) - mended[ys, xs].astype(np.int64))
        best = np.argmax(votes * 65536 - np.minimum(distance, 65535), axis=0)
        places = np.arange(len(ys))
        settled = votes[best, places] > 0
        mended[ys[settled], xs[settled]] = around[best, places][settled]
        open_[ys[settled], xs[settled]] = False
        ys, xs = ys[~settled], xs[~settled]
    return np.ascontiguousarray(mended[1:-1, 1:-1])


def _fill(event: Event, held: list[_Draft], speckled: frozenset[int]) -> None:
    """Mends the frames of an event in place: what stands there before and after fills what lies between."""
    looks = {draft.number: draft.look for draft in held}
    after = next((draft.look for draft in held if draft.number > event.frames[-1] and draft.look is not None), None)
    for number in event.frames:
        look = looks.get(number)
        if look is None or (event.problem == Problem.SPECKS and number not in speckled):
            continue
        x, y, width, height = event.box
        inner = (slice(y, y + height), slice(x, x + width))
        if event.problem == Problem.SPECKS:
            look.ids = vote(look.ids, event.mask)
        elif event.problem == Problem.SINGLE_CLASS and after is not None:
            late = 2 * event.frames.index(number) + 1 > len(event.frames)
            look.ids = after.ids.copy() if late else event.before.copy()
            look.stand_in = True
        elif event.shapes is not None:
            share = (event.frames.index(number) + 1) / (len(event.frames) + 1)
            shape = between_shapes(*event.shapes, share)
            look.ids = np.where(shape, np.uint16(event.class_), look.ids)
        else:
            ids = look.ids.copy()
            ids[inner][event.mask] = event.before[event.mask]
            look.ids = vote(ids, _rest_of(ids, event))
        look.histogram = np.bincount(look.ids.ravel(), minlength=1)


def _rest_of(ids: Ids, event: Event) -> Mask:
    """What is left, at the rim, of a region that came for a few frames."""
    x, y, width, height = event.box
    near = np.zeros(ids.shape, np.uint8)
    near[y : y + height, x : x + width][event.mask] = 1
    return np.asarray((cv2.dilate(near, np.ones((5, 5), np.uint8)) > 0) & (ids == event.class_))
