# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of all open shots: read in threads, kept in memory as long as they fit, told when they come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import pyqtSignal

from mapreel.ui.state.crew import Crew
from mapreel.ui.state.frame_cache import FrameCache, usual_limit_bytes
from mapreel.ui.state.frame_sources import Came, Origin, Source, origin_of, read_frame
from mapreel.ui.state.messages import sentence
from mapreel.ui.state.observable import Observable
from mapreel.ui.state.shot import Layer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mapreel.core.contract.errors import MapreelError
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.shot import ShotState

READERS = 2
AGAIN_S = 0.5
"""Until a frame that was not there, or could not be read, is looked for again."""
_SOURCES = {
    Layer.LABELS: ("labels", "palette", "classes"),
    Layer.INSTANCES: ("instances",),
    Layer.MOTION: ("motion",),
    Layer.TRUTH: ("truth",),
    Layer.RESULT: ("result",),
    Layer.ARCHIVE: ("archive",),
}
_OF_MAPS = (Layer.LABELS, Layer.INSTANCES, Layer.MOTION, Layer.DRAFT)

FrameKey = tuple["ShotState", Layer, int]


@dataclass(frozen=True)
class _Wish:
    origin: Origin
    number: int


class FrameStore(Observable):
    """Frames by shot, layer and frame number.

    Pictures are [H, W, 3]: uint8 or uint16 (sRGB), float16 (an EXR's light). Labels and instances are [H, W] uint8 or
    uint16 ids; labels [H, W, 3] where a map has colours that nobody has explained. Motion is [H, W, 2] float16.
    """

    came = pyqtSignal(object, object, int)
    """Shot, layer and number of a frame that can be had now (or a better one)."""
    failed = pyqtSignal(object, object, int, str)
    """Shot, layer and number of a frame that cannot be read, and a sentence why."""
    forgotten = pyqtSignal(object, object)
    """Shot and layer whose frames count no more."""

    def __init__(self, bridge: ServiceBridge, *, limit_bytes: int | None = None) -> None:
        super().__init__()
        self._bridge = bridge
        self._cache = FrameCache(limit_bytes or usual_limit_bytes())
        self._counts: dict[tuple[int, Layer], int] = {}
        self._shots: dict[int, ShotState] = {}
        self._sources: dict[Origin, Source] = {}
        self._asked: list[FrameKey] = []
        self._wanted: list[FrameKey] = []
        self._missing: dict[tuple[int, Layer, int], tuple[str, float]] = {}
        self._spaces: dict[tuple[int, Layer], str] = {}
        self._peeking: FrameKey | None = None
        self._crew = Crew("frames", READERS, self._read, alone=self._alone, parent=self)
        self._crew.came.connect(self._came)
        self._crew.failed.connect(self._failed)

    # -- asking ------------------------------------------------------------------------------------------------------

    def get(self, shot: ShotState, layer: Layer, number: int) -> NDArray[Any] | None:
        """The frame if it is in memory; reads nothing. Not to be written into."""
        return self._cache.get((id(shot), layer, number))

    def has(self, shot: ShotState, layer: Layer, number: int) -> bool:
        """Whether the frame is in memory."""
        return (id(shot), layer, number) in self._cache

    def serial(self, shot: ShotState, layer: Layer, number: int) -> int:
        """A number that the pixels of the frame have, and no others; 0 while there are none."""
        return self._cache.serial((id(shot), layer, number))

    def numbers(self, shot: ShotState, layer: Layer) -> frozenset[int]:
        """Numbers of the frames that are in memory."""
        return self._cache.numbers(id(shot), layer)

    def why(self, shot: ShotState, layer: Layer, number: int) -> str | None:
        """Why a frame does not come: a sentence; empty: it is not there yet; None: nothing is known against it."""
        found = self._missing.get((id(shot), layer, number))
        return found[0] if found is not None else None

    def space(self, shot: ShotState, layer: Layer) -> str:
        """Colour space of a layer's pictures, as core.media.plates calls it."""
        return self._spaces.get((id(shot), layer), "srgb")

    def want(self, frames: Iterable[FrameKey]) -> None:
        """Read these, the foremost first, in place of what was wanted before. What is here, or cannot be, is left out.

        For the viewer alone; others `ask`, and that comes after the first one.
        """
        self._wanted = list(frames)
        self._send()

    def ask(self, shot: ShotState, layer: Layer, number: int) -> None:
        """Read one frame, whatever else is wanted; `came` or `failed` tells."""
        self._missing.pop((id(shot), layer, number), None)
        if (shot, layer, number) not in self._asked:
            self._asked.append((shot, layer, number))
        self._send()

    # -- giving ------------------------------------------------------------------------------------------------------

    def put(self, shot: ShotState, layer: Layer, number: int, pixels: NDArray[np.generic], *, quality: int = 0) -> bool:
        """Keep a frame that was made elsewhere; False where a better one is there already."""
        self._watch(shot)
        if not self._cache.put((id(shot), layer, number), pixels, quality):
            return False
        self._missing.pop((id(shot), layer, number), None)
        self.came.emit(shot, layer, number)
        return True

    def quality(self, shot: ShotState, layer: Layer, number: int) -> int | None:
        """Quality of the frame that is in memory."""
        return self._cache.quality((id(shot), layer, number))

    def forget(self, shot: ShotState, layer: Layer | None = None) -> None:
        """Drop what is known of a layer, or of the whole shot; it is read anew when it is wanted."""
        for one in (layer,) if layer is not None else tuple(Layer):
            key = (id(shot), one)
            self._counts[key] = self._counts.get(key, 0) + 1
            self._cache.forget(*key)
            self._spaces.pop(key, None)
            for frame in [frame for frame in self._missing if frame[:2] == key]:
                del self._missing[frame]
            self.forgotten.emit(shot, one)

    def keep_only(self, shots: Sequence[ShotState]) -> None:
        """Forget every shot but these."""
        for shot in [shot for shot in self._shots.values() if shot not in shots]:
            self.forget(shot)
            del self._shots[id(shot)]

    @property
    def used_bytes(self) -> int:
        """Memory that the frames take."""
        return self._cache.used_bytes

    @property
    def limit_bytes(self) -> int:
        """Memory that they may take."""
        return self._cache.limit_bytes

    def close(self) -> None:
        """End the threads and close movies."""
        self._crew.close()
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    # -- from the Qt thread to the threads and back --------------------------------------------------------------------

    def _watch(self, shot: ShotState) -> None:
        """Forget what changes of a shot."""
        if id(shot) in self._shots:
            return
        self._shots[id(shot)] = shot
        for layer, names in _SOURCES.items():
            for name in names:
                getattr(shot, f"{name}_changed").connect(partial(self._changed, shot, (layer,)))
        shot.maps_version_changed.connect(partial(self._changed, shot, _OF_MAPS))

    def _changed(self, shot: ShotState, layers: tuple[Layer, ...], _: object) -> None:
        if id(shot) in self._shots:
            for layer in layers:
                self.forget(shot, layer)

    def _origin(self, shot: ShotState, layer: Layer) -> Origin:
        return origin_of(shot, layer, self._counts.get((id(shot), layer), 0))

    def _send(self) -> None:
        wishes, archive = [], []
        self._asked = [key for key in self._asked if not self._known(key)]
        for key in dict.fromkeys((*self._wanted[:1], *self._asked, *self._wanted[1:])):
            shot, layer, number = key
            self._watch(shot)
            if self._known(key) or layer is Layer.DRAFT:
                continue
            origin = self._origin(shot, layer)
            if layer is Layer.ARCHIVE:
                archive.append(key)
            elif origin.source:
                wishes.append(_Wish(origin, number))
        self._crew.want(wishes)
        self._peek(archive)

    def _known(self, key: FrameKey) -> bool:
        shot, layer, number = key
        if self.has(*key):
            return True
        found = self._missing.get((id(shot), layer, number))
        return found is not None and time.monotonic() - found[1] < AGAIN_S

    def _came(self, wish: _Wish, value: Came) -> None:
        origin = wish.origin
        shot = self._shots.get(origin.owner)
        if shot is None or origin.count != self._counts.get((origin.owner, origin.layer), 0):
            return
        self._spaces[origin.owner, origin.layer] = value.space
        for number, pixels in value.frames.items():
            self._cache.put((origin.owner, origin.layer, number), pixels)
        if wish.number not in value.frames:
            self._lack(shot, origin.layer, wish.number, "")
            return
        for number in value.frames:
            self._missing.pop((origin.owner, origin.layer, number), None)
            self.came.emit(shot, origin.layer, number)

    def _failed(self, wish: _Wish, error: MapreelError) -> None:
        shot = self._shots.get(wish.origin.owner)
        if shot is not None and wish.origin.count == self._counts.get((wish.origin.owner, wish.origin.layer), 0):
            self._lack(shot, wish.origin.layer, wish.number, sentence(error.what))

    def _lack(self, shot: ShotState, layer: Layer, number: int, why: str) -> None:
        self._missing[id(shot), layer, number] = (why, time.monotonic())
        self.failed.emit(shot, layer, number, why)

    # -- in the threads ------------------------------------------------------------------------------------------------

    def _alone(self, wish: _Wish) -> Origin | None:
        """Sources that one thread at a time may read, and those that are not open yet."""
        source = self._sources.get(wish.origin)
        return None if source is not None and not source.single else wish.origin

    def _read(self, wish: _Wish) -> Came:
        for old in [old for old in list(self._sources) if _replaced(old, wish.origin)]:
            gone = self._sources.pop(old, None)
            if gone is not None:
                gone.close()
        return read_frame(self._sources, wish.origin, wish.number)

    # -- archives: the worker decodes ----------------------------------------------------------------------------------

    def _peek(self, wanted: list[FrameKey]) -> None:
        """One frame at a time; which one is next is decided when it has come."""
        if self._peeking is not None or not wanted:
            return
        from mapreel.ui.state.archive_frames import ask_frame

        shot, layer, number = self._peeking = wanted[0]
        count = self._counts.get((id(shot), layer), 0)
        self._bridge.ask(
            partial(ask_frame, shot.archive, number),
            partial(self._peeked, shot, number, count),
            partial(self._refused, shot, number, count),
            lane="peek frames",
        )

    def _peeked(self, shot: ShotState, number: int, count: int, pixels: NDArray[Any]) -> None:
        self._peeking = None
        if count == self._counts.get((id(shot), Layer.ARCHIVE), 0) and id(shot) in self._shots:
            self.put(shot, Layer.ARCHIVE, number, pixels)
        self._send()

    def _refused(self, shot: ShotState, number: int, count: int, error: MapreelError) -> None:
        self._peeking = None
        if count == self._counts.get((id(shot), Layer.ARCHIVE), 0) and id(shot) in self._shots:
            self._lack(shot, Layer.ARCHIVE, number, sentence(error.what))
        self._send()


def _replaced(old: Origin, new: Origin) -> bool:
    return (old.owner, old.layer) == (new.owner, new.layer) and old.count < new.count
