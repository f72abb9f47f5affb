# SPDX-License-Identifier: GPL-3.0-or-later
"""What a frame number needs in each mode of the viewer: which frames of which layers, and which prints of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from mapreel.ui.state.darkroom import Developed, Frame, Kind, Print, Setting
from mapreel.ui.state.shot import Layer

if TYPE_CHECKING:
    from mapreel.ui.state.frames import FrameKey, FrameStore
    from mapreel.ui.state.shot import ShotState

_PAINTED = (Layer.LABELS, Layer.INSTANCES, Layer.MOTION)
_ORDER = (
    Layer.LABELS,
    Layer.DRAFT,
    Layer.RESULT,
    Layer.TRUTH,
    Layer.ARCHIVE,
    Layer.INSTANCES,
    Layer.MOTION,
)


class Mode(StrEnum):
    """How the layers A and B are looked at."""

    SINGLE = "single"
    WIPE = "wipe"
    SIDE = "side"
    DIFFERENCE = "difference"
    FLICKER = "flicker"


TWO = (Mode.WIPE, Mode.SIDE, Mode.DIFFERENCE)
"""Modes that look at B as well."""


def layers_of(shot: ShotState) -> tuple[Layer, ...]:
    """What there is to look at; drafts can be made of every shot with labels."""
    there = (*shot.layers(), *((Layer.DRAFT,) if shot.labels else ()))
    return tuple(layer for layer in _ORDER if layer in there)


def first_pair(layers: tuple[Layer, ...]) -> tuple[Layer, Layer]:
    """A and B of a shot that was just opened."""
    a = next((layer for layer in (Layer.RESULT, Layer.ARCHIVE, Layer.LABELS) if layer in layers), Layer.TRUTH)
    b = next((layer for layer in (Layer.TRUTH, Layer.LABELS) if layer in layers and layer is not a), a)
    return a, b


@dataclass(frozen=True, eq=False)
class Shown:
    """What is on the screen: one picture for each pane (None: there is none), and why not."""

    number: int
    mode: Mode
    layers: tuple[Layer, ...]
    panes: tuple[Developed | None, ...]
    notes: tuple[str, ...] = ()

    @property
    def measure(self) -> float | None:
        """Mean difference or flicker, in 8-bit steps."""
        return self.panes[0].measure if self.panes and self.panes[0] is not None else None

    def same(self, other: Shown) -> bool:
        """Whether nothing on the screen would change."""
        mine, theirs = ((one.number, one.mode, one.layers, one.panes, one.notes) for one in (self, other))
        return mine == theirs


@dataclass(frozen=True)
class Plan:
    """How one number is shown, in the terms of a shot."""

    shot: ShotState
    mode: Mode
    a: Layer
    b: Layer
    setting: Setting
    size: tuple[int, int] | None = None
    exact: bool = True

    def panes(self) -> tuple[Layer, ...]:
        """Layers that have a picture of their own on the screen."""
        return (self.a, self.b) if self.mode in (Mode.WIPE, Mode.SIDE) else (self.a,)

    def needs(self, number: int, before: int | None) -> tuple[FrameKey, ...]:
        """Frames that have to be in memory for the prints of a number."""
        shot = self.shot
        layers = [self.a, self.b] if self.mode in TWO else [self.a]
        if self._overlaid(self.a) or (self.mode in TWO and self._overlaid(self.b)):
            layers.append(Layer.LABELS)
        keys: list[FrameKey] = [(shot, layer, number) for layer in dict.fromkeys(layers)]
        if self.mode is Mode.FLICKER and before is not None:
            keys.append((shot, self.a, before))
            keys += [(shot, layer, number) for layer in self._guides()]
            keys += [(shot, layer, before) for layer in self._guides() if layer is not Layer.MOTION]
        return tuple(dict.fromkeys(keys))

    def prints(self, number: int, before: int | None, store: FrameStore) -> tuple[Print | None, ...]:
        """A print for each pane; None where a frame is not in memory."""
        if self.mode is Mode.DIFFERENCE:
            return (self._print(Kind.DIFFERENCE, number, ((self.a, number), (self.b, number)), store),)
        if self.mode is Mode.FLICKER:
            return (self._flicker(number, before, store),)
        return tuple(self._picture(layer, number, store) for layer in self.panes())

    def _picture(self, layer: Layer, number: int, store: FrameStore) -> Print | None:
        over = ((Layer.LABELS, number),) if self._overlaid(layer) else ()
        return self._print(Kind.PICTURE, number, ((layer, number), *over), store)

    def _flicker(self, number: int, before: int | None, store: FrameStore) -> Print | None:
        if before is None:
            return self._picture(self.a, number, store)
        guides = tuple((layer, number) for layer in self._guides())
        old = tuple((layer, before) for layer in self._guides() if layer is not Layer.MOTION)
        return self._print(Kind.FLICKER, number, ((self.a, number), (self.a, before), *guides, *old), store)

    def _guides(self) -> tuple[Layer, ...]:
        """What tells where things went: given motion, and the maps that say what was hidden."""
        if not self.shot.motion:
            return ()
        maps = [layer for layer, source in self._maps() if source]
        return (Layer.MOTION, *maps)

    def _maps(self) -> tuple[tuple[Layer, str], ...]:
        return (Layer.LABELS, self.shot.labels), (Layer.INSTANCES, self.shot.instances)

    def _overlaid(self, layer: Layer) -> bool:
        return self.setting.overlay > 0.0 and layer not in _PAINTED and bool(self.shot.labels)

    def _print(self, kind: Kind, number: int, parts: tuple[tuple[Layer, int], ...], store: FrameStore) -> Print | None:
        frames = []
        for layer, at in parts:
            pixels = store.get(self.shot, layer, at)
            if pixels is None:
                return None
            serial = store.serial(self.shot, layer, at)
            frames.append(Frame(layer, serial, store.space(self.shot, layer), pixels))
        setting, exact = self._relevant(kind, tuple(layer for layer, _ in parts))
        return Print(kind, number, tuple(frames), setting, self.size, exact)

    def _relevant(self, kind: Kind, layers: tuple[Layer, ...]) -> tuple[Setting, bool]:
        """The setting without what changes nothing here, so that nothing is made twice."""
        setting = self.setting
        if kind is not Kind.DIFFERENCE:
            setting = replace(setting, gain=1.0)
        if Layer.LABELS not in layers:
            setting = replace(setting, classes=(), patterns=False)
        if all(layer in _PAINTED for layer in layers):
            plain = Setting(gain=setting.gain, patterns=setting.patterns, scale=setting.scale, classes=setting.classes)
            return plain, True
        return setting, self.exact or not setting.display
