# SPDX-License-Identifier: GPL-3.0-or-later
"""From integer maps to the label frames that the paper's networks read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.labels import instance_edges
from mapreel.core.vid2vid.paper_config import PaperConfig


def label_frame(
    config: PaperConfig, classes: NDArray[np.intp], instances: NDArray[np.unsignedinteger] | None
) -> NDArray[np.float32]:
    """One frame's labels: class indices [H, W] and instance ids [H, W] or None -> [label_channels, H, W], 0 or 1."""
    frame = np.zeros((config.label_channels, *classes.shape), np.float32)
    np.put_along_axis(frame, classes[None], 1.0, axis=0)
    if config.edges and instances is not None:
        frame[config.classes] = instance_edges(instances)
    return frame
