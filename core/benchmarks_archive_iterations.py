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
from typing import Any

from mapreel.core.benchmarks_archive_clip import Clip

WARM_UP, TIMED = 5, 20
GROUP_FRAMES, SEED = 3, 0  # of the paper's profile


def iteration_cost(profile: str, clip: Clip) -> dict[str, Any]:
    """ms and flop of one iteration, and the pixels (of all frames) that it sees; empty: the profile does not tell."""
    measure = _MEASURES.get(profile)
    return {} if measure is None else measure(clip)


def _nirvana(clip: Clip) -> dict[str, Any]:
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from mapreel.core.device import pick_device, synchronize
    from mapreel.core.nirvana.config import PRESETS, network_for
    from mapreel.core.nirvana.fit import fit_group
    from mapreel.core.nirvana.start import first_start

    device, fit = pick_device(), replace(PRESETS["draft"], first_search=0)
    network = network_for(*clip.size, GROUP_FRAMES)
    pixels = np.stack([clip.read(number) for number in clip.numbers[: network.group_frames]])
    frames = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255.0
    start = first_start(network, fit, frames, SEED)

    def run(iterations: int) -> float:
        synchronize(device)
        started = time.perf_counter()
        fit_group(network, fit, start, frames, iterations=iterations, seed=SEED)
        synchronize(device)
        return time.perf_counter() - started

    def operations(iterations: int) -> int:
        with FlopCounterMode(display=False) as counter:
            run(iterations)
        return int(counter.get_total_flops())

    run(WARM_UP)
    return {
        "ms": 1000 * (run(WARM_UP + TIMED) - run(WARM_UP)) / TIMED,
        "flop": operations(2) - operations(1),
        "pixels": len(pixels) * clip.size[0] * clip.size[1],
    }


_MEASURES: MappingProxyType[str, Callable[[Clip], dict[str, Any]]] = MappingProxyType({"nirvana": _nirvana})
