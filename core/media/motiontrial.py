# SPDX-License-Identifier: GPL-3.0-or-later
"""Says how motion vectors are read and tries them on the labels or colours of the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.maps import MapOptions
from mapreel.core.media.cryptomatte import cryptomattes, read_cryptomatte
from mapreel.core.media.exrlayers import exr_layout
from mapreel.core.media.indexpass import index_layers, read_index
from mapreel.core.media.mapfacts import motion_source
from mapreel.core.media.motion import read_motion
from mapreel.core.media.motioncheck import combined, judge
from mapreel.core.media.readers import read_apart

TRIED = 3


def try_motion(source: str, numbers: list[int], options: MapOptions) -> dict[str, Any]:
    """axes, channels, why, and what the warp test says on the objects in the files. Raises what the readers raise."""
    pattern = find_sequence(source).pattern
    path = pattern.path(numbers[-1])
    found = motion_source(path, numbers[-1], options.motion_layout)
    told: dict[str, Any] = {"channels": [found.x.name, found.y.name], "axes": found.axes, "why": found.why}
    said = f"motion: {found.x.name} and {found.y.name} read as {found.axes} ({found.why})"
    there = set(numbers)
    tried = [number for number in numbers if number - 1 in there][:TRIED]
    verdict = judge(
        (
            read_motion(pattern.path(n), frame=n, layout=options.motion_layout),
            objects_beside(pattern.path(n), n),
            objects_beside(pattern.path(n - 1), n - 1),
        )
        for n in tried
    )
    better = verdict.better
    if better is not None:
        right = combined(found.axes, better.axes)
        said += f"; but read as {right} objects meet on {better.this_way:.0%} of {better.telling_px} pixels that tell, "
        said += f"not on {better.as_read:.0%}: --motion-layout {right}"
        told["better"] = right
    elif verdict.sure:
        said += "; a warp test on its objects agrees"
    else:
        said += "; too little moves here to try it" if tried else "; one frame alone cannot be tried"
    return {**told, "sure": verdict.sure, "said": said}


@read_apart
def objects_beside(path: Path, number: int) -> NDArray[np.unsignedinteger]:
    """What stands in the file beside its motion: ids, or the codes of a Cryptomatte, [H, W].

    Raises InputError where there is neither, and what the readers raise.
    """
    layout = exr_layout(path, number)
    indices = list(index_layers(layout).values())
    if indices:
        return read_index(indices[-1], path, number)
    mattes = cryptomattes(layout, path, number)
    if not mattes:
        raise InputError("there are no objects beside the motion to try it on", "render tries it on the label maps")
    return read_cryptomatte(mattes[-1], path, number).codes
