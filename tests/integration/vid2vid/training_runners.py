# SPDX-License-Identifier: GPL-3.0-or-later
"""The real runners with a network and critics small enough for a test, in the compute process of a real service."""

from __future__ import annotations

from dataclasses import replace

from mapreel.core import runners
from mapreel.core.vid2vid import adversary, train_job
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.oasis import SegmentationDiscriminator

_configured = train_job.generator_config


def _small(*known):
    return replace(_configured(*known), widths=(8, 16, 24), blocks=(1, 1, 1))


def run(request, take, context):
    train_job.generator_config = _small
    adversary.MultiScaleDiscriminator = lambda channels, *_: MultiScaleDiscriminator(channels, 4)
    adversary.SegmentationDiscriminator = lambda classes: SegmentationDiscriminator(classes, 4, 2)
    return runners.run(request, take, context)
