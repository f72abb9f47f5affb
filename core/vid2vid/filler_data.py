# SPDX-License-Identifier: GPL-3.0-or-later
"""What a filler learns from: frames of training shots as fast quality and drafts bring them, beside the true ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapreel.core.contract.errors import MissingInputError
from mapreel.core.contract.frames import FoundSequence, find_sequence
from mapreel.core.contract.requests import Quality, RenderRequest
from mapreel.core.media.images import read_color
from mapreel.core.media.labels import instance_edges
from mapreel.core.vid2vid.checkpoint import Model
from mapreel.core.vid2vid.compensation import carried_from, in_betweens
from mapreel.core.vid2vid.filler import STRIDE_PX, Carried, pixel_codes, places
from mapreel.core.vid2vid.renderer import Renderer, key_after, to_pixels
from mapreel.core.vid2vid.shot import FrameMaps, Shot, open_shot
from mapreel.core.vid2vid.timeline import Segment

WAYS_TO_RENDER = 3
"""From maps alone, with the first two true frames of every segment given, with motion (where the shot has it)."""
GIVEN = 2


@dataclass(frozen=True)
class Sample:
    """One frame as the renderer brings it, and as it was."""

    picture: NDArray[np.uint8]  # [H, W, 3] sRGB
    truth: NDArray[np.uint8]  # [H, W, 3] sRGB
    codes: NDArray[np.int16]  # [H, W], see `pixel_codes`
    differ: NDArray[np.float16]  # [H, W] 0..2
    nearness: float

    def crop(self, top: int, left: int, size_px: tuple[int, int], *, mirrored: bool) -> tuple[Tensor, ...]:
        """A window as tensors: picture [3, h, w], codes [h, w], differ [1, h, w], place [3, h / 4, w / 4], truth.

        A mirrored one keeps its coordinates, as streams do: the sun stays on its side.
        """
        h, w = size_px
        window = (slice(top, top + h), slice(left, left + w))

        def cut(whole: NDArray[np.generic]) -> Tensor:
            part = whole[window]
            return torch.from_numpy(np.ascontiguousarray(part[:, ::-1] if mirrored else part))

        place = places((h, w), self.codes.shape, self.nearness, (top, left))
        picture, truth = (cut(p).permute(2, 0, 1).float() / 127.5 - 1 for p in (self.picture, self.truth))
        return (
            picture,
            cut(self.codes).long(),
            cut(self.differ).float()[None],
            place.flip(-1) if mirrored else place,
            truth,
        )


def gather_samples(
    model: Model, folders: list[Path], device: torch.device, tell: Callable[[int, int], None]
) -> list[Sample]:
    """Render the shots and keep every frame that is no true one.

    Every segment is rendered in two of the WAYS_TO_RENDER, in turn. `tell` hears after each frame how many segments of
    how many are done, and may raise.

    Raises:
        MissingInputError: a shot has no `color` or `label`.
    """
    renderer = Renderer(model, device)
    parts = [part for folder in folders for part in _parts(model, folder)]
    samples = []
    with ThreadPoolExecutor(1) as pool:
        for done, (shot, segment, color) in enumerate(parts):
            for sample in _of_segment(renderer, shot, segment, color, pool):
                samples.append(sample)
                tell(done, len(parts))
    return samples


def _parts(model: Model, folder: Path) -> Iterator[tuple[Shot, Segment, FoundSequence]]:
    if not (folder / "color").is_dir() or not (folder / "label").is_dir():
        raise MissingInputError(
            f"the training shot {folder} has no folders color and label",
            "give a folder of frames: a filler learns from rendering them, which a prepared data set does not allow",
            file=str(folder),
        )
    color = find_sequence(folder / "color")
    for way in range(WAYS_TO_RENDER):
        shot = _opened(model, folder, color, way)
        if shot is not None:
            segments = enumerate(shot.timeline.segments(set(shot.planned)))
            yield from ((shot, segment, color) for number, segment in segments if number % WAYS_TO_RENDER != way)


def _opened(model: Model, folder: Path, color: FoundSequence, way: int) -> Shot | None:
    parts = {name: str(folder.resolve() / name) for name in ("instance", "motion") if (folder / name).is_dir()}
    if way == 2 and "motion" not in parts:
        return None
    plain = RenderRequest(
        labels=str(folder.resolve() / "label"),
        instances=parts.get("instance"),
        motion=parts["motion"] if way == 2 else None,
        model=model.name,
        out=str(folder.resolve() / "not-written"),
        quality=Quality.FAST,
    )
    if way != 1:
        return open_shot(model, plain)
    timeline = open_shot(model, plain).timeline
    starts = {s.start + i for s in timeline.segments(set(timeline.numbers)) for i in range(GIVEN)}
    known = [timeline.numbers[i] for i in sorted(starts) if i < len(timeline)]
    given = tuple((n, str(color.pattern.path(n).resolve())) for n in known if n in set(color.numbers))
    return open_shot(model, replace(plain, reference=given))


def _of_segment(
    renderer: Renderer, shot: Shot, segment: Segment, color: FoundSequence, pool: Executor
) -> Iterator[Sample]:
    given = shot.references.indices if shot.references is not None else ()
    for index, carried in _carried(renderer, shot, segment, pool):
        number = shot.timeline.numbers[index]
        if index in given or number not in set(color.numbers):
            continue
        yield _sample(renderer.model, shot.maps(index), carried, read_color(color.pattern.path(number), frame=number))


def _carried(renderer: Renderer, shot: Shot, segment: Segment, pool: Executor) -> Iterator[tuple[int, Carried]]:
    """Keys and in-betweens as fast quality makes them; every other in-between also from the earlier key alone."""
    last = min(segment.end, len(shot.timeline) - 1)
    key, (picture, memory) = segment.start, renderer.render_frame(shot, segment.start, None)
    yield key, Carried.of_key(picture)
    while key < last:
        due = key_after(shot, key, last)
        following, memory = renderer.render_frame(shot, due, memory if due < segment.end else None)
        for index, carried in enumerate(in_betweens(shot, (key, picture), (due, following), pool), key + 1):
            yield index, carried
            if index % 2:
                yield index, carried_from(shot, index, key, picture)
        key, picture = due, following
        if key < segment.end:
            yield key, Carried.of_key(picture)


def _sample(model: Model, maps: FrameMaps, carried: Carried, truth: NDArray[np.uint8]) -> Sample:
    edges = instance_edges(maps.instances) if model.config.edges and maps.instances is not None else None
    codes = pixel_codes(maps.classes, edges, carried.keys, model.config.classes).astype(np.int16)
    return Sample(to_pixels(carried.picture), truth, codes, carried.differ.astype(np.float16), carried.nearness)


def crop_size(samples: list[Sample], wanted_px: int) -> tuple[int, int]:
    """The largest window of at most `wanted_px` a side that fits into all samples: multiples of the stride."""
    h, w = (min(s.codes.shape[side] for s in samples) for side in (0, 1))
    return min(h, wanted_px) // STRIDE_PX * STRIDE_PX, min(w, wanted_px) // STRIDE_PX * STRIDE_PX
