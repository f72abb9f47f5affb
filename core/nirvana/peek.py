# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of archives for a screen, one at a time and at once, from archives that stay open."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.pictures import FileKind, FileSpec
from mapreel.core.device import pick_device
from mapreel.core.media.colour import LINEAR, SRGB, colour_config
from mapreel.core.media.delivery import Delivery
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat, Samples

if TYPE_CHECKING:
    from mapreel.core.contract.requests import PeekRequest
    from mapreel.core.contract.strict_json import JSON

KEPT_ARCHIVES = 2
"""The one that is looked at, and one to compare it with."""
_SCREEN = FileSpec(FileKind.PNG, 8, "", ".png")
Stamp = tuple[int, int, int]  # of a file: written (ns), size, inode


class ArchiveWindow:
    """Looks into one archive after the other; the last ones stay open, until their file changes on disk."""

    def __init__(self) -> None:
        self._device = pick_device()
        self._open: OrderedDict[tuple[str, Stamp | None], tuple[Archive, Delivery]] = OrderedDict()

    def close(self) -> None:
        """Let all archives go."""
        while self._open:
            self._open.popitem()[1][0].close()

    def peek(self, request: PeekRequest) -> tuple[dict[str, Any], bytes]:
        """Facts (number, width, height, seconds, opening_seconds) and pixels, RGB8 sRGB, rows from the top.

        Without a frame: the first number, 0, 0, seconds; and what the archive holds, as JSON. Raises ArchiveError,
        InputError, UsageError.
        """
        started = time.perf_counter()
        archive, delivery = self._archive(request.archive)
        opened = time.perf_counter()
        if request.frame is None:
            number, size, content = archive.numbers[0], (0, 0), json.dumps(archive_facts(archive)).encode()
        else:
            samples = archive.frame(request.frame, region=request.region, scale=request.scale)
            pixels = screen_pixels(samples, archive.header.pictures, delivery)
            number, size, content = request.frame, (pixels.shape[1], pixels.shape[0]), pixels.tobytes()
        facts = {"number": number, "width": size[0], "height": size[1], "seconds": time.perf_counter() - started}
        return {**facts, "opening_seconds": opened - started}, content

    def _archive(self, path: str) -> tuple[Archive, Delivery]:
        key = (path, _stamp(Path(path)))
        if key not in self._open:
            for other in [other for other in self._open if other[0] == path]:
                self._open.pop(other)[0].close()
            archive = Archive(path, self._device)
            self._open[key] = (archive, screen_delivery(archive.header.pictures))
        self._open.move_to_end(key)
        while len(self._open) > KEPT_ARCHIVES:
            self._open.popitem(last=False)[1][0].close()
        return self._open[key]


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def screen_delivery(form: PictureFormat) -> Delivery:
    """From the colours of an archive to the screen's: as its files would be decoded, and named spaces to sRGB."""
    half = form.samples is SampleFormat.HALF
    source = LINEAR if half and form.colour_space == SRGB else form.colour_space
    named = source not in (SRGB, LINEAR) and colour_config(None).find(source) is not None
    return Delivery(spec=_SCREEN, source=source, asked=SRGB if named else None, linear=half, trained=False)


def screen_pixels(samples: Samples, form: PictureFormat, delivery: Delivery) -> NDArray[np.uint8]:
    """Samples [H, W, 3 or 4] as the screen shows them: [H, W, 3] sRGB, over black where there is alpha."""
    half = form.samples is SampleFormat.HALF
    pixels = delivery.pixels(samples, peak=None if half else form.samples.peak, associated=half)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    over: NDArray[np.uint16] = (pixels[..., :3].astype(np.uint16) * pixels[..., 3:] + 127) // 255
    return over.astype(np.uint8)


def archive_facts(archive: Archive) -> dict[str, JSON]:
    """What an archive holds: see `ServiceClient.peek`."""
    info, head = archive.info, archive.header
    told = dataclasses.asdict(info)
    numbers, figures, notes = told.pop("numbers"), told.pop("figures"), told.pop("notes")
    notes["timecode"] = None if info.notes.timecode is None else str(info.notes.timecode)
    groups: list[JSON] = []
    for group, chunks in enumerate(archive.container.groups):
        here = head.frames_of(group)
        size = sum(chunk.size for chunk in chunks.all)
        groups.append([numbers[here.start], len(here), size, head.is_intra(group)])
    frames = {"frames": str(FrameRange.from_numbers(numbers)), "count": len(numbers), "groups": groups}
    return {**told, **figures, **notes, **frames}
