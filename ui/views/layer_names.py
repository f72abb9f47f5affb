# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers are called on the screen."""

from __future__ import annotations

from mapreel.ui.state.shot import Layer
from mapreel.ui.text import tr


def layer_name(layer: Layer) -> str:
    """In the language of the panel."""
    return {
        Layer.LABELS: tr("Labels"),
        Layer.INSTANCES: tr("Instances"),
        Layer.MOTION: tr("Motion"),
        Layer.TRUTH: tr("Truth"),
        Layer.RESULT: tr("Result"),
        Layer.DRAFT: tr("Draft"),
        Layer.ARCHIVE: tr("Archive"),
    }[layer]
