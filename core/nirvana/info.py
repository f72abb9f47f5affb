# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive says of itself, from its header and its notes. Loads no torch: nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.container import Container
from mapreel.core.nirvana.metadata import Notes, read_notes
from mapreel.core.nirvana.profile import profile_named
from mapreel.core.nirvana.samples import SampleFormat


@dataclass(frozen=True, kw_only=True)
class ArchiveInfo:
    """What an archive says of itself, and what it costs."""

    format_version: int
    numbers: tuple[int, ...]
    height: int
    width: int
    fps: float
    pixel_aspect: float
    profile: str
    colour_space: str
    depth: str  # bits a channel, or half
    alpha: bool
    group_frames: int
    intra_interval: int
    figures: dict[str, int | float | str]  # of the codec
    shaper: tuple[float, float] | None  # lowest and highest value of half floats
    notes: Notes
    label_maps: int
    instance_maps: int
    faults: tuple[str, ...]  # of what opening reads; `verify` reads all
    file_bytes: int
    bits_per_pixel: float  # 8 · file bytes / (frames · height · width)


def archive_info(container: Container) -> ArchiveInfo:
    """The figures of an open archive."""
    head = container.header
    form = head.pictures
    faults = list(container.faults)
    notes = read_notes(container, faults)
    half = form.samples is SampleFormat.HALF
    return ArchiveInfo(
        format_version=head.version,
        numbers=container.numbers,
        height=head.height,
        width=head.width,
        fps=float(head.fps),
        pixel_aspect=float(form.pixel_aspect),
        profile=head.profile,
        colour_space=form.colour_space,
        depth=form.samples.value,
        alpha=form.alpha,
        group_frames=head.group_frames,
        intra_interval=head.intra_interval,
        figures=profile_named(head.profile).describe(container.settings[0], container.shape),
        shaper=(form.shaper.low, form.shaper.high) if half else None,
        notes=notes,
        label_maps=_count(container, bits.LABELS),
        instance_maps=_count(container, bits.INSTANCES),
        faults=tuple(faults),
        file_bytes=head.total_bytes,
        bits_per_pixel=8 * head.total_bytes / (head.frames * head.height * head.width),
    )


def _count(container: Container, kind: bytes) -> int:
    return sum(kind == other for other, _ in container.others)
