# SPDX-License-Identifier: GPL-3.0-or-later
"""One label map under the doctor's lamp: read as it stands, whatever it is, and measured for damage.

All measures look at equality of neighbours only, never at colours as light. Thresholds were set between maps rendered
clean and the same maps damaged on purpose; the tests hold both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import UnsupportedFileError
from mapreel.core.media.doctor_colours import (
    MANY_IDS,
    UNKNOWN,
    Box,
    Colours,
    Ids,
    Mask,
    Sample,
    changes,
    eight_bits,
    flat,
    pack,
)

FLAT_PX = 5
"""An unknown value that fills a square of this side is a surface; elsewhere it is the soft edge of something."""
_SOFT_SHARE, _SOFT_RATE = 0.10, 0.30  # rendered clean: at most 0.04 and 0.13; filtered: at least 0.18 and 0.45
_LONG_RAMPS = 0.2  # of the ramps: 0.05 to 0.14 where maps were made smaller, 0.33 and more where they were made larger
_EDGES = 200  # neighbours that differ, before their statistics mean anything
_GRID = 1.05  # blocks of 8 x 8 hit off the grid of a JPEG, as a share of those hit on it
_NOISE = 0.1  # of the changes; 0.4 and more after JPEG, whatever its quality
_UNIFORM_ODDS = 30.0  # e^-30: chance that lines change only where an enlargement lets them
_UNIFORM_LINES = 24
_PLACES = 40
_WIDE_BANDS = 0.12  # in squares of 3 x 3: 0.07 where edges were anti-aliased, 0.17 and more where maps were enlarged


@dataclass(kw_only=True)
class Look:
    """What one frame holds. ids: after what could be undone. counts, places: by the problem's name; note: one word."""

    number: int
    sample: Sample
    ids: Ids
    divided_by: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[Box]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    changes: tuple[Mask, Mask] | None = None  # of columns, of lines
    stand_in: bool = False  # a repair put another frame's ids here

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.ids.shape[0], self.ids.shape[1]

    @property
    def colored(self) -> bool:
        """True where the ids come from colours."""
        return self.sample.pixels.ndim == 3 and "grey-as-colour" not in self.counts

    @property
    def coarse(self) -> bool:
        """True where damage makes edges jump: only large events can be told from it."""
        return self.stand_in or not {"lossy", "soft-edges", "resized-smooth", "resized-nearest"}.isdisjoint(self.counts)

    @property
    def single(self) -> bool:
        """True where all pixels are of one class."""
        return int(np.count_nonzero(self.histogram)) < 2

    def tell(self, problem: str, count: int, places: list[Box] | None = None, note: str = "") -> None:
        """Note `count` of a problem."""
        self.counts[problem] = count
        self.places[problem] = places or []
        self.notes[problem] = note


def look_at(sample: Sample, number: int, colours: Colours) -> Look:
    """Measures one map; raises InputError for samples that are no whole numbers."""
    lossy_file = sample.kind == "jpeg"
    ids, divided, colored = _ids_of(sample, colours, learn=not lossy_file)
    look = Look(number=number, sample=sample, ids=ids, divided_by=divided)
    look.histogram = np.bincount(ids.ravel(), minlength=1)
    if divided > 1:
        look.tell("scaled-ids", ids.size, note=str(divided))
    if sample.channels == "grey+alpha" or (not colored and sample.pixels.ndim == 3):
        look.tell("grey-as-colour", 1, note=sample.channels)
    if colored and colours.palette is None:
        look.tell("colour-picture", 1, note=sample.channels)
    if look.single:
        look.tell("single-class", 1, note=str(int(ids[0, 0])))
        return look
    _measure_shape(look, colored=colored, lossy_file=lossy_file)
    _measure_values(look, colours, colored=colored)
    return look


def _ids_of(sample: Sample, colours: Colours, *, learn: bool) -> tuple[Ids, int, bool]:
    """Ids, what they were divided by, and whether they come from colours."""
    pixels = sample.pixels
    if not np.issubdtype(pixels.dtype, np.integer):
        raise UnsupportedFileError(f"a map has samples of type {pixels.dtype}", "save whole numbers")
    if pixels.ndim == 3:
        grey = pixels.shape[2] == 2 or _is_grey(pixels)
        if not grey:
            return colours.ids(eight_bits(pixels)[:, :, :3], learn=learn), 1, True
        pixels = pixels[:, :, 0]
    ids: Ids = np.ascontiguousarray(pixels, np.uint16)
    factor = _factor(ids, sample.bits, colours.known)
    return (ids // np.uint16(factor) if factor > 1 else ids), factor, False


def _is_grey(pixels: NDArray[Any]) -> bool:
    return bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 1] == pixels[:, :, 2]).all())


def _factor(ids: Ids, bits: int, known: frozenset[int] | None) -> int:
    """What the ids were multiplied by: 257 and 256 of 8 bits saved as 16, or whatever makes them known again."""
    values = np.flatnonzero(np.bincount(ids.ravel()))
    if len(values) == 0 or values[-1] == 0:
        return 1
    divisor = int(np.gcd.reduce(values))
    if bits == 16:
        for factor in (257, 256):
            if divisor % factor == 0 and (known is None or not known.issuperset(values.tolist())):
                return factor
    if known is None or divisor < 2 or len(values) < 2 or known.issuperset(values.tolist()):
        return 1
    return divisor if known.issuperset((values // divisor).tolist()) else 1


def _measure_values(look: Look, colours: Colours, *, colored: bool) -> None:
    """Ids and colours that the palette does not have."""
    if not colored and int(np.count_nonzero(look.histogram)) > MANY_IDS:
        look.tell("too-many-ids", int(np.count_nonzero(look.histogram)))
    unknown = unknown_mask(look, colours)
    if unknown is None or not unknown.any():
        return
    surface = surfaces(look, unknown)
    if not colored:
        strange = np.flatnonzero(np.bincount(look.ids[unknown]))
        listed = ", ".join(map(str, strange[:8])) + (" …" if len(strange) > 8 else "")
        look.tell("unknown-id", int(unknown.sum()), places_of(unknown), listed)
        return
    if surface.any():
        look.tell("unknown-colour", int(surface.sum()), places_of(surface))
    band = unknown & ~surface
    if band.any() and "lossy" not in look.counts:
        wide = cv2.erode(band.astype(np.uint8), np.ones((3, 3), np.uint8)).sum()
        name = "resized-smooth" if wide > _WIDE_BANDS * band.sum() else "soft-edges"
        look.tell(name, int(band.sum()), places_of(band))


def unknown_mask(look: Look, colours: Colours) -> Mask | None:
    """Pixels that the palette (or what was learnt) does not know; None where nothing is known at all."""
    if look.colored:
        return np.asarray(look.ids == UNKNOWN)
    if colours.known is None:
        return None
    table = np.ones(65536, np.bool_)
    table[sorted(colours.known)] = False
    return np.asarray(table[look.ids])


def surfaces(look: Look, unknown: Mask) -> Mask:
    """Those unknown pixels that lie in a square of FLAT_PX of one value."""
    pixels = look.sample.pixels
    code = pack(eight_bits(pixels)[:, :, :3]) if pixels.ndim == 3 else look.ids
    core = (flat(code, FLAT_PX) & unknown).astype(np.uint8)
    grown = cv2.dilate(core, np.ones((FLAT_PX, FLAT_PX), np.uint8)) if core.any() else core
    return np.asarray(grown.astype(np.bool_) & unknown)


def _measure_shape(look: Look, *, colored: bool, lossy_file: bool) -> None:
    code: NDArray[Any] = look.ids
    tones: NDArray[Any] = look.ids
    if colored:
        colors = eight_bits(look.sample.pixels)[:, :, :3]
        code, tones = pack(colors), cv2.cvtColor(np.ascontiguousarray(colors), cv2.COLOR_RGB2GRAY)
    across, down = changes(code)
    columns, lines = np.asarray(across.any(axis=0)), np.asarray(down.any(axis=1))
    look.changes = (columns, lines)
    enlarged = enlarged_from(columns, lines)
    if enlarged:
        look.tell("resized-nearest", 1, note=enlarged)
    if lossy_file or (not enlarged and _on_jpeg_grid(*(changes(tones) if colored else (across, down)))):
        look.tell("lossy", 1, note="JPEG" if lossy_file else "was JPEG")
    elif not colored:
        _measure_ramps(look)


def _measure_ramps(look: Look) -> None:
    """Soft edges in plain ids: a filter leaves values between those of both sides, one pixel or more wide."""
    for ids in (look.ids, look.ids.T):
        edges, ones, between, ramps, long_ramps = _ramps(ids)
        if edges < _EDGES or between < _SOFT_SHARE * edges or between < _SOFT_RATE * ones:
            continue
        name = "resized-smooth" if long_ramps > _LONG_RAMPS * ramps and _wide(look.ids) else "soft-edges"
        mask = between_mask(look.ids)
        look.tell(name, int(mask.sum()), places_of(mask))
        return


def _ramps(ids: Ids) -> tuple[int, int, int, int, int]:
    """Along lines: changes, runs of one pixel, those between both sides, and how many ramps go on for longer."""
    up, fall = ids[:, 1:] > ids[:, :-1], ids[:, 1:] < ids[:, :-1]
    change = up | fall
    mono = (up[:, :-1] & up[:, 1:]) | (fall[:, :-1] & fall[:, 1:])
    ones = int((change[:, :-1] & change[:, 1:]).sum())
    longer = int((mono[:, :-1] & mono[:, 1:]).sum())
    return int(change.sum()), ones, int(mono.sum()), int(mono.sum()), longer


def _wide(ids: Ids) -> bool:
    """Enlarging softens every edge: hardly any two surfaces meet without a value between them."""
    change = ids[:, 1:] != ids[:, :-1]
    both = change[:, :-1] & change[:, 1:]
    alone = int(change.sum()) - int(both.sum())
    return bool(alone < 0.75 * change.sum())


def between_mask(ids: Ids) -> Mask:
    """Pixels whose value lies strictly between those of their left and right, or upper and lower, neighbours."""
    mask = np.zeros(ids.shape, np.bool_)
    for source, target in ((ids, mask), (ids.T, mask.T)):
        left, here, right = source[:, :-2], source[:, 1:-1], source[:, 2:]
        target[:, 1:-1] |= ((left < here) & (here < right)) | ((left > here) & (here > right))
    return mask


def _on_jpeg_grid(across: Mask, down: Mask) -> bool:
    """A JPEG's noise ends at its 8 x 8 blocks: fewer windows are hit on that grid than on any other."""
    height, width = down.shape[0] + 1, across.shape[1] + 1
    if min(height, width) < 32 or across.sum() + down.sum() < _EDGES:
        return False
    if not (_is_noisy(across) or _is_noisy(down.T)):  # edges drawn on the grid are no noise that ends there
        return False
    hit = _hit_shares(across, down, height, width)
    on, off = hit[0, 0], hit[1:, 1:].min()
    if on <= 0.0:
        return bool(off > 0.01)
    spread = np.sqrt((1.0 - on) / (on * (height // 8) * (width // 8)))
    return bool(off / on > 1.0 + max(_GRID - 1.0, 3.0 * spread))


def _is_noisy(changes: Mask) -> bool:
    """Whether a good part of the changes come pixel after pixel."""
    return bool((changes[:, 1:] & changes[:, :-1]).sum() > _NOISE * changes.sum())


def _hit_shares(across: Mask, down: Mask, height: int, width: int) -> NDArray[np.float64]:
    """For each of 8 x 8 places of the grid: the share of blocks that are not of one value. [8, 8]"""
    rows, columns = height - 7, width - 7
    horizontal = cv2.integral(across.astype(np.uint8))
    vertical = cv2.integral(down.astype(np.uint8))
    changes = (
        horizontal[8:, 7:][:rows, :columns]
        - horizontal[:-8, 7:][:rows, :columns]
        - horizontal[8:, :-7][:rows, :columns]
        + horizontal[:-8, :-7][:rows, :columns]
        + vertical[7:, 8:][:rows, :columns]
        - vertical[:-7, 8:][:rows, :columns]
        - vertical[7:, :-8][:rows, :columns]
        + vertical[:-7, :-8][:rows, :columns]
    )
    hit = changes > 0
    return np.array([[hit[y::8, x::8].mean() for x in range(8)] for y in range(8)])


def enlarged_from(across: Mask, down: Mask) -> str:
    """`256x128` where columns (across) and lines (down) change only as an enlargement lets them, else nothing.

    Both say whether anything changes between a column (line) and the one before it, [side - 1].
    """
    width, height = _source_side(across), _source_side(down)
    return f"{width or len(across) + 1}x{height or len(down) + 1}" if width or height else ""


def _source_side(changes: Mask) -> int:
    """The shorter side that explains where values change, 0 where none does. changes: between neighbours, [side - 1]"""
    side, count = len(changes) + 1, int(changes.sum())
    if count < _UNIFORM_LINES or count * np.log(side / (count + 1)) < _UNIFORM_ODDS:
        return 0
    where = np.flatnonzero(changes) + 1
    last = min(side - 1, int(side * np.exp(-_UNIFORM_ODDS / count)))
    for first in range(count + 1, last + 1, 256):
        shorter = np.arange(first, min(first + 256, last + 1))[:, None]
        for offset in (0.0, 0.5):  # two habits: pixel corners and pixel centres
            here = np.floor((where + offset) * shorter / side + 1e-9)
            before = np.floor((where - 1 + offset) * shorter / side + 1e-9)
            fits = (here != before).all(axis=1)
            if fits.any():
                return int(shorter[np.argmax(fits), 0])
    return 0


def places_of(mask: Mask) -> list[Box]:
    """Boxes around the largest regions of a mask, at most _PLACES; near regions share a box."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    order = np.argsort(-stats[1:count, cv2.CC_STAT_AREA])[:_PLACES] + 1
    return [(int(x), int(y), int(w), int(h)) for x, y, w, h in stats[order, :4]]
