# SPDX-License-Identifier: GPL-3.0-or-later
"""What the paper's networks are made of: one frozen record for teacher and student, and presets for its tasks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace

from mapreel.core.contract.errors import DamagedModelError
from mapreel.core.vid2vid.config import TASKS

DOWNS = 3
"""Times the encoders halve the picture and the heads double it; the channels double and halve with it."""
BLOCKS_IN = 5
"""Residual blocks of each encoder."""
BLOCKS_OUT = 4
"""Residual blocks of each head."""
BLOCKS_FOREGROUND = 9
"""Residual blocks of the foreground branch, which is one chain from labels to picture."""


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Shape of one composite generator (Wang et al., NeurIPS 2018; its student: Zhuo et al., ECCV 2022)."""

    width: int
    """Picture width in pixels the model was trained at."""
    height: int
    """Picture height in pixels the model was trained at."""
    classes: int = 0
    """Label classes, one-hot; 0 where the maps are drawings."""
    edges: bool = False
    """Instance edges as one more channel of each label frame."""
    conditions: int = 0
    """Further channels of each label frame: a drawn face or pose, distance maps."""
    task: str = "city"
    """What the maps are, one of TASKS: label maps, or drawings (or the landmarks to draw)."""
    canvas_px: tuple[int, int] = (0, 0)
    """(H, W) of the pictures in which landmarks of the training data counted pixels; 0 where nobody knows."""
    previous: int = 2
    """Previous pictures the network sees; of label frames it sees one more, for this frame has labels, too."""
    ngf: int = 128
    """Channels at full resolution; they double with each halving, up to eight times as many."""
    student: bool = False
    """The spatially low-demand generator: it reads half the resolution and has mobile blocks instead of dense ones."""
    foreground: tuple[int, ...] = ()
    """Classes that a branch of their own draws, at half the channels and from the labels alone; none: no branch."""

    @property
    def label_channels(self) -> int:
        """Channels of one label frame."""
        return self.classes + int(self.edges) + self.conditions

    @property
    def stride_px(self) -> int:
        """A picture side must be a multiple of this."""
        return int(2**DOWNS)

    @property
    def smallest_px(self) -> int:
        """Smallest picture side: the innermost maps must have two pixels for their borders to be mirrored."""
        return 2 * self.stride_px

    def as_student(self, ngf: int | None = None) -> PaperConfig:
        """The student of this teacher, with as many channels or fewer."""
        return replace(self, student=True, ngf=self.ngf if ngf is None else ngf)


# Cityscapes' own ids of what moves: persons, riders and vehicles.
CITYSCAPES_FOREGROUND = tuple(range(24, 34))

PRESETS = {
    "face": PaperConfig(task="face", width=512, height=512, conditions=15),
    "city": PaperConfig(width=512, height=256, classes=35, edges=True, foreground=CITYSCAPES_FOREGROUND),
    "pose": PaperConfig(task="pose", width=448, height=512, conditions=6),
}
"""The teachers of the paper's three tasks: Sketch2Face, Segmentation2City and Pose2Body."""


def paper_config_from_dict(values: dict[str, object], *, file: str) -> PaperConfig:
    """Rebuild a config from a model's header.

    Raises:
        DamagedModelError: a field is unknown, missing, of the wrong type or out of range.
    """
    try:
        return _checked(PaperConfig(**{k: _typed(k, v) for k, v in values.items()}))  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise DamagedModelError(
            f"the settings inside the model {file} are not usable",
            "fetch or train it again",
            detail=str(exc),
            file=file,
        ) from exc


def _typed(name: str, value: object) -> object:
    if name not in {f.name for f in dataclasses.fields(PaperConfig)}:
        raise ValueError(f"{name} is not known to this version")
    if name in ("foreground", "canvas_px"):
        if not isinstance(value, list | tuple) or not all(type(v) is int for v in value):
            raise ValueError(f"{name} must be a list of whole numbers")
        return tuple(value)
    wanted = bool if name in ("edges", "student") else str if name == "task" else int
    if type(value) is not wanted:
        raise ValueError(f"{name} must be {wanted.__name__}")
    return value


def _checked(config: PaperConfig) -> PaperConfig:
    sane = (
        0 <= config.classes <= 1024
        and 0 <= config.conditions <= 1024
        and config.label_channels > 0
        and 1 <= config.width <= 16384
        and 1 <= config.height <= 16384
        and 1 <= config.previous <= 16
        and 2 <= config.ngf <= 512
        and all(0 <= c < config.classes for c in config.foreground)
        and config.task in TASKS
        and tuple(0 <= side <= 1 << 20 for side in config.canvas_px) == (True, True)
    )
    if not sane:
        raise ValueError(f"sizes out of range: {config}")
    return config
