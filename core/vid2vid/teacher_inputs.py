# SPDX-License-Identifier: GPL-3.0-or-later
"""From integer maps to the label frames that the paper's networks read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapreel.core.media.labels import instance_edges
from mapreel.core.vid2vid.paper_config import PaperConfig


def label_frame(
    config: PaperConfig,
    classes: NDArray[np.intp],
    instances: NDArray[np.unsignedinteger] | None,
    condition: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """One frame's labels: [label_channels, H, W], 0 or 1, but 0..1 in the channels of a drawing.

    Args:
        config: of the network.
        classes: [H, W] class indices.
        instances: [H, W] ids; None counts as no edge anywhere.
        condition: [H, W, conditions] what `media.drawing.conditions` reads of a drawing, 0..1.
    """
    frame = np.zeros((config.label_channels, *classes.shape), np.float32)
    np.put_along_axis(frame, classes[None], 1.0, axis=0)
    if config.edges and instances is not None:
        frame[config.classes] = instance_edges(instances)
    if config.conditions:
        assert condition is not None
        frame[config.classes + int(config.edges) :] = condition.transpose(2, 0, 1)
    return frame
