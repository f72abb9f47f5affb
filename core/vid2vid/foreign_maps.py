# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that others made, as a model takes them: classes by their names, and motion that was tried on the labels."""

from __future__ import annotations

import contextlib
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.maps import split_layout
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.mapfacts import motion_source
from mapreel.core.media.motioncheck import Pair, combined, judge
from mapreel.core.media.sequence import UNREADABLE, MapKind, ShotSequence
from mapreel.core.vid2vid.inputs import ClassTable

TRIED_PAIRS = 2
"""Frames whose motion is tried on the labels: enough to tell, cheap beside one frame of a network."""
MOST_TRIES = 8


def class_rules(rules: tuple[tuple[str, str], ...], table: ClassTable, model: str) -> ClassRules:
    """Rules of a request that lead to the classes of a model."""
    ids = {name: label for label, name in reversed(list(zip(table.ids, table.names, strict=True)))}
    return ClassRules(rules, MappingProxyType(ids), f"the model {model}")


def check_motion(
    labels: ShotSequence,
    instances: ShotSequence | None,
    motion: ShotSequence | None,
    planned: tuple[int, ...],
    told: str | None,
) -> str:
    """Carry the labels of a frame or two along their motion: they have to meet the same labels.

    Returns:
        A sentence of doubt where the artist said which way it points, and another way fits better; else nothing.

    Raises:
        InputError: another way fits clearly better, and nobody said otherwise.
    """
    if motion is None or labels.kind is not MapKind.LABEL:
        return ""
    pairs = _pairs(labels, instances, motion, planned)
    better = judge(pairs.values()).better
    if better is None:
        return ""
    number = next(iter(pairs))
    path = motion.path(number)
    source = motion_source(path, number, told)
    right = combined(source.axes, better.axes)
    doubt = (
        f"the motion {motion.source} seems to point the wrong way: read as {source.axes} ({source.why}), labels meet "
        f"on {better.as_read:.0%} of the {better.telling_px} pixels that tell, as {right} on {better.this_way:.0%}"
    )
    if told is not None and split_layout(told)[1] is not None:
        return doubt + "."
    raise InputError(
        doubt,
        f"write --motion-layout {right}, or --motion-layout {source.axes} to keep it",
        file=str(path),
        frame=number,
    )


def _pairs(
    labels: ShotSequence, instances: ShotSequence | None, motion: ShotSequence, planned: tuple[int, ...]
) -> dict[int, Pair]:
    """The first planned frames that are there with their motion and the frame before; broken files are passed over."""
    sequences = [labels, *([instances] if instances is not None else [])]
    there = set.intersection(*(set(s.numbers) - set(s.filled) for s in sequences))
    moved = set(motion.numbers) - set(motion.filled)
    pairs: dict[int, Pair] = {}
    for number in [n for n in planned if n in moved and n in there and n - 1 in there][:MOST_TRIES]:
        with contextlib.suppress(*UNREADABLE):  # the job says so when it comes there
            pairs[number] = _pair(labels, instances, motion, number)
        if len(pairs) == TRIED_PAIRS:
            break
    return pairs


def _pair(labels: ShotSequence, instances: ShotSequence | None, motion: ShotSequence, number: int) -> Pair:
    field: NDArray[np.float32] = motion.read(number)
    here, before = (_ids(labels, instances, n) for n in (number, number - 1))
    return field, here, before


def _ids(labels: ShotSequence, instances: ShotSequence | None, number: int) -> NDArray[np.uint32]:
    ids = labels.read(number).astype(np.uint32)
    return ids if instances is None else ids << np.uint32(16) | instances.read(number)
