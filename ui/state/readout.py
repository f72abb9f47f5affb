# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies under the mouse: colour as it stands in the file, class, instance, motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapreel.ui.state.shot import Layer

if TYPE_CHECKING:
    from mapreel.ui.state.darkroom import Class
    from mapreel.ui.state.frames import FrameStore
    from mapreel.ui.state.shot import ShotState

Value = tuple[float, ...]


@dataclass(frozen=True)
class ReadOut:
    """x, y: pixel of the picture, from its upper left corner. colors: of each picture layer that is shown, whole
    numbers of a file as they are, light of an EXR. class_id and the rest: None where there is none (or none yet)."""

    x: int
    y: int
    colors: tuple[tuple[Layer, Value], ...] = ()
    class_id: int | None = None
    class_name: str = ""
    instance: int | None = None
    motion: tuple[float, float] | None = None


def read_out(
    store: FrameStore,
    shot: ShotState,
    number: int,
    at: tuple[int, int],
    layers: tuple[Layer, ...],
    classes: tuple[Class, ...],
) -> ReadOut:
    """Of what is in memory. at: pixel of a picture of the shot's size; other sizes are read where that lies in them."""
    found = {layer: value for layer in Layer if (value := _value(store, shot, layer, number, at)) is not None}
    pictures = (Layer.LABELS, Layer.INSTANCES, Layer.MOTION)
    colors = tuple((layer, found[layer]) for layer in dict.fromkeys(layers) if layer in found and layer not in pictures)
    label, instance, motion = (found.get(layer) for layer in pictures)
    class_id = int(label[0]) if label is not None and len(label) == 1 else None
    if label is not None and len(label) == 3:
        colors = ((Layer.LABELS, label), *colors)
    return ReadOut(
        at[0],
        at[1],
        colors,
        class_id,
        next((name for number, name, _ in classes if number == class_id), ""),
        int(instance[0]) if instance is not None else None,
        (motion[0], motion[1]) if motion is not None else None,
    )


def _value(store: FrameStore, shot: ShotState, layer: Layer, number: int, at: tuple[int, int]) -> Value | None:
    pixels = store.get(shot, layer, number)
    if pixels is None:
        return None
    h, w = pixels.shape[:2]
    width, height = shot.size if all(shot.size) else (w, h)
    x, y = min(at[0] * w // width, w - 1), min(at[1] * h // height, h - 1)
    value = pixels[y, x]
    return tuple(float(part) for part in value.reshape(-1))
