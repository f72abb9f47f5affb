# SPDX-License-Identifier: Apache-2.0
"""How the maps of a request are to be read: palette, classes by name, layers of an EXR, what motion means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mapreel.core.contract.errors import UsageError

MAX_RULES = 10_000
MAX_NAME_CHARS = 1000
AXES = ("x,y", "x,-y", "-x,y", "-x,-y")
"""What motion means, right and down positive: of this frame towards the one before, with these signs."""
_LAYOUT = re.compile(r"(?:(?P<layer>[^\0]{1,200}):)?(?P<axes>-?x,-?y)?")


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """Fields of later versions, all of them; without them maps are read as they always were.

    palette: NAME or JSON file, what colours and ids of the label maps mean. classes: patterns of names in the maps (or
    ids) and the class each becomes, the first that fits counts. layer, instance_layer: of an EXR. motion_layout:
    `[LAYER:][AXES]`, see AXES.
    """

    palette: str | None = None
    classes: tuple[tuple[str, str], ...] = ()
    layer: str | None = None
    instance_layer: str | None = None
    motion_layout: str | None = None

    def map_options(self) -> dict[str, Any]:
        """These fields alone, as keyword arguments."""
        return {name: getattr(self, name) for name in MapOptions.__dataclass_fields__}

    def check_map_options(self) -> None:
        """Raises UsageError."""
        if len(self.classes) > MAX_RULES:
            raise UsageError(f"there are {len(self.classes)} classes", f"give at most {MAX_RULES}")
        for pattern, target in self.classes:
            if not 0 < len(pattern) <= MAX_NAME_CHARS or not 0 < len(target) <= MAX_NAME_CHARS:
                raise UsageError("a class has an empty or endless name", "write classes as PATTERN=CLASS")
        for field in ("layer", "instance_layer"):
            name = getattr(self, field)
            if name is not None and not 0 < len(name) <= MAX_NAME_CHARS:
                raise UsageError(f"{field} is empty or endless", "name a layer of the EXR")
        if self.motion_layout is not None:
            split_layout(self.motion_layout)


def split_layout(text: str) -> tuple[str | None, str | None]:
    """Layer and axes of `[LAYER:][AXES]`. Raises UsageError."""
    match = _LAYOUT.fullmatch(text.replace(" ", "") if ":" not in text else text)
    if match is None or not (match["layer"] or match["axes"]):
        raise UsageError(
            f"the motion layout is “{text[:100]}”", f"write one of {', '.join(AXES)}, or LAYER: and one of them"
        )
    return match["layer"], match["axes"]
