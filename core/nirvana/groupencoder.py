# SPDX-License-Identifier: GPL-3.0-or-later
"""The border between the encode of a shot and the codecs: what fits one group, and profile nirvana's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from mapreel.core.nirvana.config import FitConfig, NetworkConfig, write_settings
from mapreel.core.nirvana.decode import NirvanaDecoder
from mapreel.core.nirvana.fit import fit_group
from mapreel.core.nirvana.groups import pack_group
from mapreel.core.nirvana.profile import GroupDecoder, PictureShape, State
from mapreel.core.nirvana.start import first_start, next_start

Check = Callable[[int], None]  # called in every iteration with those done; may raise


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a group's fit aims at: a PSNR of codes, or bytes that it may not exceed; neither: as good as time allows."""

    psnr_db: float | None = None
    most_bytes: int | None = None


class GroupEncoder(Protocol):
    """Fits groups of one shape; keeps settings, nothing of any group."""

    settings: bytes  # payload of PSET
    check_every: int  # iterations between reports
    block_means: int  # one block in so many has its mean stored

    @property
    def decoder(self) -> GroupDecoder:
        """Reads what `fit` writes."""
        ...

    def iterations(self, intra: bool) -> int:
        """About how many iterations a group takes."""
        ...

    def fit(self, frames: Tensor, number: int, previous: State | None, target: Target, check: Check) -> bytes:
        """Frames [T, 3, H, W] of codes 0..1 -> payload; previous: the state of the group before, None: intra."""
        ...


class NirvanaEncoder:
    """Groups by the network of the paper."""

    block_means = 1

    def __init__(self, network: NetworkConfig, fit: FitConfig, shape: PictureShape, seed: int) -> None:
        self.network, self._fit, self._seed = network, fit, seed
        self.settings = write_settings(network)
        self._decoder = NirvanaDecoder(network, shape)
        self.check_every = fit.check_every

    @property
    def decoder(self) -> GroupDecoder:
        return self._decoder

    def iterations(self, intra: bool) -> int:
        return self._fit.first_iterations if intra else self._fit.next_iterations

    def fit(self, frames: Tensor, number: int, previous: State | None, target: Target, check: Check) -> bytes:
        """See GroupEncoder; a group ends early when it has reached the PSNR."""
        net, fit, seed = self.network, self._fit, self._seed + number

        def waiting() -> None:
            check(0)

        if previous is None:
            start = first_start(net, fit, frames, seed, waiting)
        else:
            start = next_start(net, fit, previous, frames, waiting)
        fitted = fit_group(
            net,
            fit,
            start,
            frames,
            iterations=self.iterations(previous is None),
            seed=seed,
            target_mse=None if target.psnr_db is None else 10.0 ** (-target.psnr_db / 10.0),
            check=check,
        )
        return pack_group(fitted.coded, previous, net)
