# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes of frames what the screen shows, in a thread: colours by a look, maps painted, two compared, flicker found."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtGui import QImage

from mapreel.ui.state.crew import Crew
from mapreel.ui.state.shot import Layer

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

LIMIT_BYTES = 160 << 20
Color = tuple[int, int, int]
Class = tuple[int, str, Color]
"""Id, name and colour of a class of label maps."""


class Kind(StrEnum):
    """What is made."""

    PICTURE = "picture"
    DIFFERENCE = "difference"
    FLICKER = "flicker"


@dataclass(frozen=True)
class Setting:
    """What all prints have in common. See core.media.viewing.Look; gain: of a difference; overlay: opacity of the
    labels over a picture; patterns: hatch the classes; scale: screen pixels for a point."""

    display: str = ""
    view: str = ""
    exposure: float = 0.0
    gamma: float = 1.0
    config: str | None = None
    gain: float = 4.0
    overlay: float = 0.0
    patterns: bool = False
    scale: float = 1.0
    classes: tuple[Class, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One frame that goes in: its pixels are told apart by their serial number alone."""

    layer: Layer
    serial: int
    space: str = "srgb"
    pixels: NDArray[Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Print:
    """What is wanted: of which frames (for flicker: now, before, and then maps of now and before), how, in which size
    (screen pixels; None: its own), and whether to the last bit or quickly."""

    kind: Kind
    number: int
    frames: tuple[Frame, ...]
    setting: Setting
    size: tuple[int, int] | None = None
    exact: bool = True


@dataclass(frozen=True, eq=False)
class Developed:
    """A picture for the screen. measure: mean difference or flicker, in 8-bit steps. pixels: what the image lies on."""

    number: int
    image: QImage
    pixels: NDArray[np.uint8] = field(repr=False)
    measure: float | None = None


class Darkroom(QObject):
    """Prints that were made lately, and two threads that make more: one of them is never held up by slow prints."""

    came = pyqtSignal(object)
    """A print that can be had now."""
    failed = pyqtSignal(object, object)
    """A print and why it cannot be made, one of our errors."""

    def __init__(self, parent: QObject | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        super().__init__(parent)
        self._made: OrderedDict[Print, Developed] = OrderedDict()
        self._used, self._limit = 0, limit_bytes
        self._crew = Crew("darkroom", 2, develop, alone=_slow, parent=self)
        self._crew.came.connect(self._keep)
        self._crew.failed.connect(self.failed)

    def get(self, wanted: Print) -> Developed | None:
        """The print, if it was made; a quick one where there is no exact one."""
        found = self._made.get(wanted)
        if found is None and wanted.exact:
            found = self._made.get(replace(wanted, exact=False))
        if found is None and not wanted.exact:
            found = self._made.get(replace(wanted, exact=True))
        return found

    def want(self, prints: Iterable[Print]) -> None:
        """Make these, the foremost first, in place of what was wanted before."""
        self._crew.want([one for one in prints if one not in self._made])

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted."""
        return self._crew.idle

    def close(self) -> None:
        """End the thread."""
        self._crew.close()

    def _keep(self, wanted: Print, made: Developed) -> None:
        self._made[_bare(wanted)] = made
        self._used += made.pixels.nbytes
        while self._used > self._limit and len(self._made) > 1:
            self._used -= self._made.popitem(last=False)[1].pixels.nbytes
        self.came.emit(wanted)


def _slow(wanted: Print) -> str | None:
    """Prints that take long are made one at a time."""
    exact = wanted.exact and bool(wanted.setting.display)
    return "slow" if exact or wanted.kind is Kind.FLICKER else None


def _bare(wanted: Print) -> Print:
    """The print without the pixels that it was made of: they may go."""
    return replace(wanted, frames=tuple(replace(frame, pixels=None) for frame in wanted.frames))


# -- in the thread -----------------------------------------------------------------------------------------------------


def develop(wanted: Print) -> Developed:
    """Makes a print. Raises UsageError for a view that cannot be shown."""
    from mapreel.core.media import viewing

    measure = None
    if wanted.kind is Kind.FLICKER:
        picture, measure = _flicker(wanted)
    elif wanted.kind is Kind.DIFFERENCE:
        first, second = (_codes(wanted, frame) for frame in wanted.frames[:2])
        picture, measure = viewing.difference(first, second, wanted.setting.gain)
    else:
        picture = _picture(wanted)
    pixels = viewing.for_screen(picture, wanted.size)
    h, w = pixels.shape[:2]
    image = QImage(pixels.data, w, h, 4 * w, QImage.Format.Format_RGB32)  # type: ignore[call-overload]
    return Developed(wanted.number, image, pixels, measure)


def _picture(wanted: Print) -> NDArray[np.uint8]:
    """One frame; labels over it where they are wanted, hatched where that is."""
    from mapreel.core.media import viewing

    setting, frame = wanted.setting, wanted.frames[0]
    picture = _codes(wanted, frame)
    over = wanted.frames[1] if len(wanted.frames) > 1 else None
    ids = frame.pixels if over is None else over.pixels
    if over is not None and setting.overlay > 0.0:
        picture = viewing.blend(picture, _codes(wanted, over), setting.overlay)
    hatched = setting.patterns and (frame if over is None else over).layer is Layer.LABELS
    if hatched and ids is not None and ids.ndim == 2:
        size = wanted.size or (picture.shape[1], picture.shape[0])
        tiles = _tiles(setting.classes)
        picture = viewing.hatch(viewing.fit_size(picture, size), viewing.fit_ids(ids, size), tiles, setting.scale)
    return picture


def _codes(wanted: Print, frame: Frame) -> NDArray[np.uint8]:
    """A frame as the screen shows it."""
    import numpy as np

    from mapreel.core.media import viewing

    pixels, setting = frame.pixels, wanted.setting
    assert pixels is not None
    if frame.layer is Layer.MOTION:
        return viewing.arrows(pixels)
    if pixels.ndim == 2 and frame.layer is Layer.LABELS:
        return viewing.paint(pixels, _colors(setting.classes))
    if pixels.ndim == 2:
        return viewing.shades(pixels)
    if frame.layer is Layer.LABELS:
        return np.asarray(pixels, np.uint8)
    look = viewing.Look(setting.display, setting.view, setting.exposure, setting.gamma, setting.config)
    return viewing.develop(pixels, look, space=frame.space, exact=wanted.exact)


def _colors(classes: tuple[Class, ...]) -> NDArray[np.uint8]:
    """Colour of every id; magenta where no class is, and in the last row."""
    import numpy as np

    table = np.empty((max((number for number, _, _ in classes), default=-1) + 2, 3), np.uint8)
    table[:] = (255, 0, 255)
    for number, _, color in classes:
        table[number] = color
    return table


@lru_cache(maxsize=4)
def _tiles(classes: tuple[Class, ...]) -> NDArray[np.bool_]:
    """Pattern of every id, as the palette editor shows it; none where no class is, and in the last place."""
    import numpy as np

    from mapreel.ui.state.patterns import TILE_PX, tile

    table = np.zeros((max((number for number, _, _ in classes), default=-1) + 2, TILE_PX, TILE_PX), np.bool_)
    for place, (number, _, _) in enumerate(classes):
        table[number] = tile(place)
    return table


def _flicker(wanted: Print) -> tuple[NDArray[np.uint8], float]:
    """Frames: now, before, then motion, maps of now and the same maps of before, as far as there are any."""
    import numpy as np

    from mapreel.core.media.flicker import flicker
    from mapreel.core.media.viewing import fit_size

    now, before = (_codes(wanted, frame) for frame in wanted.frames[:2])
    before = fit_size(before, (now.shape[1], now.shape[0]))
    rest = wanted.frames[2:]
    motion = next((frame.pixels for frame in rest if frame.layer is Layer.MOTION), None)
    maps = [frame.pixels for frame in rest if frame.layer is not Layer.MOTION and frame.pixels is not None]
    here, there = tuple(maps[: len(maps) // 2]), tuple(maps[len(maps) // 2 :])
    given = motion.astype(np.float32) if motion is not None else None
    found = flicker(before, now, given, here, there)
    return found.heat, found.steps
