# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores rendered sequences against the true frames of their shot, all of them side by side in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.media.sequence import MapKind, ShotSequence, open_maps
from mapreel.core.quality import LpipsSqueeze, lpips_squeeze, psnr
from mapreel.core.quality_kid import EfficientNetLite0, efficientnet_lite0, kernel_distance
from mapreel.core.quality_video import mean_gradient, sharpness, true_motion, warping_error
from mapreel.core.vid2vid.evaluate_segmenter import Segmenter, class_indices, confusion, load_segmenter, mean_iou
from mapreel.core.vid2vid.evaluate_takes import GIVEN, Pictures, Pixels

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Judges:
    """The networks that judge; those that are not given leave their figure out."""

    lpips: LpipsSqueeze
    features: EfficientNetLite0 | None = None
    segmenter: Segmenter | None = None


def load_judges(lpips: Path, kid: Path | None, segmenter: Path | None) -> Judges:
    """Raises ModelError when a file is not what it should be."""
    return Judges(
        _in_rows(lpips_squeeze(lpips)),
        _in_rows(efficientnet_lite0(kid)) if kid is not None else None,
        _in_rows(load_segmenter(segmenter)) if segmenter is not None else None,
    )


def _in_rows(network: Network) -> Network:
    """Weights as pictures lie in memory, channels last: a third less time on a processor, to the same figures."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class TrueShot:
    """The true frames and labels of a shot, and which of its frames are scored."""

    color: ShotSequence
    label: ShotSequence
    scored: tuple[int, ...]


def open_truth(shot: Path, numbers: tuple[int, ...], every: int) -> TrueShot:
    """Every `every`-th of the frame numbers from the third on: the first two may have been given to the renderer.

    Raises:
        InputError: too few frames, or one has no true picture.
    """
    scored = numbers[GIVEN::every]
    if len(scored) < 2:
        raise InputError(
            f"{len(numbers)} frames leave {len(scored)} to score", "give a longer shot or a smaller --every"
        )
    frames = FrameRange.from_numbers(numbers)
    color = open_maps(shot / "color", MapKind.COLOR, frames)
    return TrueShot(color, open_maps(shot / "label", MapKind.LABEL, frames), scored)


@dataclass
class _Tally:
    """What is gathered of one sequence."""

    psnr_db: list[float] = field(default_factory=list)
    lpips: list[float] = field(default_factory=list)
    warping: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    confusion: NDArray[np.int64] | None = None


def score(truth: TrueShot, sequences: Mapping[str, Pictures], judges: Judges) -> dict[str, dict[str, float]]:
    """Figures of each sequence, and under the name `truth` those that the true frames themselves have.

    psnr_db, lpips: mean over frames. kid: over all frames. sharpness: mean gradient over the truth's. warping_error:
    8-bit steps along estimated motion. miou: of a segmenter against the label maps.
    """
    true_tally, tallies = _Tally(), {name: _Tally() for name in sequences}
    before_of = dict(zip(truth.color.numbers[1:], truth.color.numbers, strict=False))
    for number in truth.scored:
        true, before = truth.color.read(number), truth.color.read(before_of[number])
        motion = true_motion(before, true)
        wanted = class_indices(truth.label.read(number), judges.segmenter.ids) if judges.segmenter else None
        taps = _lpips_features(judges, true)
        true_tally.warping.append(warping_error(before, true, motion))
        _note(true_tally, true, judges, wanted)
        for name, picture_of in sequences.items():
            picture, tally = picture_of(number), tallies[name]
            tally.psnr_db.append(psnr(picture, true))
            tally.lpips.append(_between(judges, _lpips_features(judges, picture), taps))
            tally.warping.append(warping_error(picture_of(before_of[number]), picture, motion))
            _note(tally, picture, judges, wanted)
    return {name: _figures(tally, true_tally) for name, tally in [*tallies.items(), ("truth", true_tally)]}


def lpips_of(truth: TrueShot, picture_of: Pictures, numbers: tuple[int, ...], judges: Judges) -> list[float]:
    """LPIPS of each of the frame numbers to its true frame."""
    return [
        _between(judges, _lpips_features(judges, picture_of(n)), _lpips_features(judges, truth.color.read(n)))
        for n in numbers
    ]


def _note(tally: _Tally, picture: Pixels, judges: Judges, wanted: NDArray[np.int64] | None) -> None:
    tally.gradients.append(mean_gradient(picture))
    if judges.features is not None:
        tally.features.append(_pooled(judges.features, picture))
    if judges.segmenter is not None and wanted is not None:
        found = confusion(judges.segmenter.label(picture), wanted, len(judges.segmenter.ids))
        tally.confusion = found if tally.confusion is None else tally.confusion + found


def _figures(tally: _Tally, truth: _Tally) -> dict[str, float]:
    figures = {"sharpness": sharpness(tally.gradients, truth.gradients), "warping_error": float(np.mean(tally.warping))}
    if tally.lpips:
        figures |= {"psnr_db": float(np.mean(tally.psnr_db)), "lpips": float(np.mean(tally.lpips))}
    if tally.features and tally is not truth:
        figures["kid"] = kernel_distance(np.stack(tally.features), np.stack(truth.features))
    if tally.confusion is not None:
        figures["miou"] = mean_iou(tally.confusion)
    return figures


def _batch(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def _lpips_features(judges: Judges, picture: Pixels) -> list[Tensor]:
    return judges.lpips.features(_batch(picture))


@torch.no_grad()
def _between(judges: Judges, a: list[Tensor], b: list[Tensor]) -> float:
    return float(judges.lpips.between(a, b))


@torch.no_grad()
def _pooled(network: EfficientNetLite0, picture: Pixels) -> NDArray[np.float32]:
    pooled: NDArray[np.float32] = network(_batch(picture))[0].numpy()
    return pooled
