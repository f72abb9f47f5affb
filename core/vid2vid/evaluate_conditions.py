# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which conditions renders are compared. Loads no torch, so that a wrong word is said at once."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """What is known of a shot beside its labels and instances."""

    MAPS = "maps"
    MOTION = "motion"
    FRAMES = "frames"
    BOTH = "motion+frames"

    @property
    def has_motion(self) -> bool:
        """Whether the renderer's motion is given; else it is estimated on the maps."""
        return self in {Condition.MOTION, Condition.BOTH}

    @property
    def has_frames(self) -> bool:
        """Whether the first true frames are given."""
        return self in {Condition.FRAMES, Condition.BOTH}
