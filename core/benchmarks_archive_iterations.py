# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training iteration of our profiles costs: milliseconds on this device, and floating-point operations.

Both are of the very loop that encodes, on the clip's first group. Operations are those of matrix products and
convolutions, forwards and backwards, a multiplication and an addition as two (torch.utils.flop_counter).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mapreel.core.benchmarks_archive_clip import Clip

if TYPE_CHECKING:
    from torch import Tensor

Run = Callable[[int], object]  # does so many iterations

WARM_UP, TIMED = 5, 20
SEED = 0


def iteration_cost(profile: str, clip: Clip) -> dict[str, Any]:
    """ms and flop of one iteration, and the pixels (of all frames) that it sees; empty: the profile does not tell."""
    prepare = _RUNS.get(profile)
    return {} if prepare is None else _cost(*prepare(clip))


def _cost(run: Run, pixels: int) -> dict[str, Any]:
    from torch.utils.flop_counter import FlopCounterMode

    from mapreel.core.device import pick_device, synchronize

    device = pick_device()

    def seconds(iterations: int) -> float:
        synchronize(device)
        started = time.perf_counter()
        run(iterations)
        synchronize(device)
        return time.perf_counter() - started

    def operations(iterations: int) -> int:
        with FlopCounterMode(display=False) as counter:
            run(iterations)
        return int(counter.get_total_flops())

    run(WARM_UP)
    return {
        "ms": 1000 * (seconds(WARM_UP + TIMED) - seconds(WARM_UP)) / TIMED,
        "flop": operations(2) - operations(1),
        "pixels": pixels,
    }


def _first_group(clip: Clip, group_frames: int) -> Tensor:
    """The frames of the first group [T, 3, H, W] in 0..1, on the device."""
    import numpy as np
    import torch

    from mapreel.core.device import pick_device

    pixels = np.stack([clip.read(number) for number in clip.numbers[:group_frames]])
    return torch.from_numpy(pixels).to(pick_device()).permute(0, 3, 1, 2).float() / 255.0


def _nirvana(clip: Clip) -> tuple[Run, int]:
    from mapreel.core.nirvana.config import PRESETS, network_for
    from mapreel.core.nirvana.fit import fit_group
    from mapreel.core.nirvana.kinds import kind_of
    from mapreel.core.nirvana.start import first_start

    fit = replace(PRESETS["draft"], first_search=0)
    network = network_for(*clip.size, kind_of(fit).group_frames)
    frames = _first_group(clip, network.group_frames)
    start = first_start(network, fit, frames, SEED)

    def run(iterations: int) -> None:
        fit_group(network, fit, start, frames, iterations=iterations, seed=SEED)

    return run, len(frames) * clip.size[0] * clip.size[1]


def _reel(clip: Clip) -> tuple[Run, int]:
    from mapreel.core.nirvana.fit import training_dtype
    from mapreel.core.nirvana.kinds import kind_of
    from mapreel.core.nirvana.reel.encode import PRESETS
    from mapreel.core.nirvana.reel.fit import Flows, GroupFit, filled
    from mapreel.core.nirvana.reel.prior import load_prior

    fit = PRESETS["good"]
    kind = kind_of(fit)
    frames = _first_group(clip, min(kind.group_frames, max(1, kind.group_px // (clip.size[0] * clip.size[1]))))
    group = GroupFit(
        load_prior(),
        frames,
        None,
        None,
        price=fit.price,
        finer=fit.finer,
        seed=SEED,
        flows=Flows(filled(frames), None),
        waiting=lambda: None,
    )

    def run(iterations: int) -> None:
        group.run(replace(fit, iterations=iterations), lambda *_: None, training_dtype(frames.device))

    return run, len(frames) * clip.size[0] * clip.size[1]


_RUNS: MappingProxyType[str, Callable[[Clip], tuple[Run, int]]] = MappingProxyType({"nirvana": _nirvana, "reel": _reel})
