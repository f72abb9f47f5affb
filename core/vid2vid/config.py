# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generator is made of: one frozen record that travels inside every checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mapreel.core.contract.errors import DamagedModelError

FORMAT_NAME = "mapreel-vid2vid"
FORMAT_VERSION = 1
TASKS = ("city", "face", "pose")
"""What a model's maps are: label maps, a drawn face, a drawn body. The words of the paper's three tasks."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Shape of one generator.

    All sizes are counted in channels or blocks, so that a config says nothing about the picture size; a picture's
    sides are padded to multiples of `stride_px` before the network sees it.
    """

    classes: int
    """Number of label classes; the label map enters one-hot, so that ids carry no order."""
    width: int
    """Picture width in pixels the model was trained at: the scale of textures it knows."""
    height: int
    """Picture height in pixels the model was trained at."""
    widths: tuple[int, ...] = (32, 80, 160, 224)
    """Channels at 1/2, 1/4, 1/8 … of the resolution; few where pixels are many, many where they are few."""
    blocks: tuple[int, ...] = (2, 2, 2, 4)
    """Residual blocks on the way up at each of these resolutions (the last entry is the trunk)."""
    edges: bool = True
    """Instance edges as an input: they part two cars that share one label."""
    looks: bool = True
    """A colour for each instance as an input, so that objects of one class may differ and keep their colour in time."""
    position: bool = True
    """Picture coordinates as an input: a drive or a talking head is framed the same way in every frame."""
    trust: bool = False
    """How far each instance colour may be believed as an input, 0..1: a drawn one is a guess, a measured one is not."""
    previous: bool = True
    """The compensated previous frame as an input, with the blend weight that decides how much of it stays."""
    task: str = "city"
    """What the maps are, one of TASKS: label maps, or drawings (or the landmarks to draw)."""
    conditions: int = 0
    """Continuous channels of a drawing: edge map and distances of a face, or the drawn body's colours."""
    canvas_px: tuple[int, int] = (0, 0)
    """(H, W) of the pictures in which landmarks of the training data counted pixels; 0 where nobody knows."""

    @property
    def label_channels(self) -> int:
        """Channels that say what stands where: one-hot classes, instance edges and the channels of a drawing."""
        return self.classes + int(self.edges) + self.conditions

    @property
    def input_channels(self) -> int:
        """Channels of the whole input at full resolution."""
        return self.label_channels + 3 * self.looks + 2 * self.position + self.trust + 4 * self.previous

    def slim(self) -> GeneratorConfig:
        """A generator for the same maps with a fifth of the weights: for trials, and where time is short."""
        return dataclasses.replace(self, widths=(24, 48, 80, 112), blocks=(1, 1, 2, 2))

    @property
    def stride_px(self) -> int:
        """A picture side must be a multiple of this: the stem halves once and every further level halves again."""
        return int(2 ** len(self.widths))


def config_from_dict(values: dict[str, object], *, file: str) -> GeneratorConfig:
    """Rebuild a config from a checkpoint's header.

    Raises:
        DamagedModelError: a field is unknown, missing or of the wrong type.
    """
    known = {f.name for f in dataclasses.fields(GeneratorConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise DamagedModelError(
            f"the model {file} has settings this version does not know ({', '.join(unknown)})",
            "update Mapreel or use a model made with this version",
            file=file,
        )
    try:
        return _checked(GeneratorConfig(**{k: _typed(k, v) for k, v in values.items()}))  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise DamagedModelError(
            f"the settings inside the model {file} are not usable", "fetch the model again", detail=str(exc), file=file
        ) from exc


def _typed(name: str, value: object) -> object:
    if name in ("widths", "blocks", "canvas_px"):
        if not isinstance(value, list | tuple) or not all(type(v) is int for v in value):
            raise ValueError(f"{name} must be a list of whole numbers")
        return tuple(value)
    wanted = bool if name in ("edges", "looks", "position", "trust", "previous") else str if name == "task" else int
    if type(value) is not wanted:
        raise ValueError(f"{name} must be {wanted.__name__}")
    return value


def _checked(config: GeneratorConfig) -> GeneratorConfig:
    sane = (
        1 <= config.classes <= 1024
        and 1 <= config.width <= 16384
        and 1 <= config.height <= 16384
        and 2 <= len(config.widths) <= 8
        and len(config.blocks) == len(config.widths)
        and all(1 <= w <= 4096 for w in config.widths)
        and all(0 <= b <= 64 for b in config.blocks)
        and config.task in TASKS
        and 0 <= config.conditions <= 1024
        and (config.task == "city") == (config.conditions == 0)
        and tuple(0 <= side <= 1 << 20 for side in config.canvas_px) == (True, True)
    )
    if not sane:
        raise ValueError(f"sizes out of range: {config}")
    return config
