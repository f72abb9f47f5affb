# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile reel: fit a group to a PSNR, to a number of bytes, or at a price of a bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

from torch import Tensor

from mapreel.core.contract.errors import UsageError
from mapreel.core.nirvana.fit import training_dtype
from mapreel.core.nirvana.groupencoder import Check, Target
from mapreel.core.nirvana.profile import REEL_MEANS_EVERY, GroupDecoder, PictureShape
from mapreel.core.nirvana.reel.config import LONGEST_PREDICTION
from mapreel.core.nirvana.reel.decode import ReelDecoder, ReelState
from mapreel.core.nirvana.reel.fit import Flows, GroupFit, Measured, ReelFit, filled
from mapreel.core.nirvana.reel.payload import Deltas, pack_group
from mapreel.core.nirvana.reel.prior import load_prior

GROUP_FRAMES = 24
GROUP_PX = 3 << 20  # of all frames of a group: a fit takes about a kilobyte for each
INTRA_INTERVAL = 4  # a frame needs at most four groups, and of the earlier ones their anchors only
PRESETS = MappingProxyType(
    {
        "draft": ReelFit(iterations=4, price=400.0, latent_rate=0.01),
        "good": ReelFit(iterations=24, price=300.0, latent_rate=0.01),
        "best": ReelFit(iterations=240, price=200.0),
    }
)
_SHORT_SPAN, _SHORT_FINER = 2, (48, 24, 0)  # where motion changes from frame to frame
_ABOVE_DB = 0.08  # aimed at above the PSNR that is asked for, of which it must not fall short
_WITHIN_DB = 0.2
_BELOW = 0.985  # share of the bytes that may not be exceeded which is aimed at
_LEAST = 0.97
_DB_FOR_E = 3.0  # how much PSNR falls when the price grows e-fold, about
_RATE_FOR_E = 0.7  # how much the logarithm of the rate falls, about
_GUESSES = 6
_ATTEMPTS, _LONG_ATTEMPTS, _MOST_ATTEMPTS = 4, 2, 8  # the most: to stay within a size
_PRICES = (1.0, 20000.0)
_LEAP = 1.5  # of the logarithm of the price at once
_NEAR = 0.02  # of the logarithm of the price, where a first guess is good enough
_STEERED = 100  # iterations from which on the price follows while a group is fitted; shorter ones are tried again
_PULL, _STRIDE = 0.3, 0.2  # how fast the price follows whenever a state is measured


class ReelEncoder:
    """See `groupencoder.GroupEncoder`."""

    check_every = 4
    block_means = REEL_MEANS_EVERY

    def __init__(self, fit: ReelFit, shape: PictureShape, seed: int) -> None:
        self._fit, self._seed = fit, seed
        self.prior = load_prior()
        self.settings = self.prior.fingerprint
        self._decoder = ReelDecoder(shape, self.prior)

    @property
    def decoder(self) -> GroupDecoder:
        return self._decoder

    def iterations(self, intra: bool) -> int:  # noqa: ARG002 - both kinds take as long
        return self._fit.iterations

    def fit(
        self,
        frames: Tensor,
        number: int,
        previous: ReelState | None,
        target: Target,
        check: Check,
    ) -> bytes:
        """See GroupEncoder. The price of a bit is moved until the target is met; without one it is the preset's."""
        deltas = None if previous is None else previous.deltas
        aim = _Aim(target)
        found: list[tuple[bool, float, bytes]] = []  # whether it holds, how near it is
        before = None if previous is None else previous.picture.to(frames.device)
        flows = Flows(filled(frames), before)

        def guess(price: float, span: int = LONGEST_PREDICTION) -> GroupFit:
            return GroupFit(
                self.prior,
                frames,
                before,
                deltas,
                price=price,
                finer=self._fit.finer if span == LONGEST_PREDICTION else _SHORT_FINER,
                span=span,
                seed=self._seed + number,
                flows=flows,
                waiting=lambda: check(0),
            )

        if len(frames) > _SHORT_SPAN:
            guess = partial(guess, span=self._span(guess, deltas))
        for attempt in range(1 if aim.free else _MOST_ATTEMPTS):
            if attempt >= self._attempts and (target.most_bytes is None or max(found)[0]):
                break

            group = self._guess(guess, aim, deltas)
            self._run(group, aim, check, attempt)
            symbols = group.symbols()
            payload = pack_group(symbols, deltas, self.prior)
            seen = group.measure(symbols)
            away = aim.away(seen, len(payload))
            found.append((aim.kept(seen, len(payload)), -abs(away), payload))
            if aim.met(seen, len(payload)):
                break
            aim.shift(away)
        if target.most_bytes is not None and not max(found)[0]:
            smallest = min(len(payload) for _, _, payload in found)
            raise UsageError(
                f"{target.most_bytes} bytes are too few for a group of {len(frames)} frames, which took {smallest}",
                "allow a larger archive",
            )
        return max(found)[2]

    def _span(self, guess: Callable[..., GroupFit], deltas: Deltas | None) -> int:
        """How far apart anchors stand: what takes fewer bytes, a decibel being worth what it costs elsewhere."""
        costs = {}
        for span in (LONGEST_PREDICTION, _SHORT_SPAN):
            group = guess(self._fit.price, span=span)
            symbols = group.symbols()
            size = len(pack_group(symbols, deltas, self.prior))
            costs[span] = math.log(size) - group.measure(symbols).psnr_db * _RATE_FOR_E / _DB_FOR_E
        return min(costs, key=costs.__getitem__)

    @property
    def _attempts(self) -> int:
        """Short fits are cheap to try again; long ones are steered while they run."""
        return _ATTEMPTS if self._fit.iterations < _STEERED else _LONG_ATTEMPTS

    def _run(self, group: GroupFit, aim: _Aim, check: Check, attempt: int) -> None:
        total = self._fit.iterations

        def during(done: int, seen: Measured | None) -> None:
            check(min(done, total - 1) if attempt == 0 else total)
            if total >= _STEERED and seen is not None:
                group.price = aim.moved(group.price, seen)

        if total:
            group.run(self._fit, during, training_dtype(group.device))

    def _guess(self, guess: Callable[[float], GroupFit], aim: _Aim, deltas: Deltas | None) -> GroupFit:
        """The first guess at a price that comes near what is aimed at."""
        price = self._fit.price
        points: list[tuple[float, float]] = []
        group = None
        for _ in range(_GUESSES):
            group = guess(price)
            if aim.free:
                return group
            symbols = group.symbols()
            size = len(pack_group(symbols, deltas, self.prior))
            points.append((math.log(price), aim.wanting(group.measure(symbols), size)))
            if abs(points[-1][1]) < aim.near:
                break
            price = _within(math.exp(_root(points, aim.slope)))
        assert group is not None
        return group


class _Aim:
    """How a price of a bit is moved towards a target; a distance above 0 is dB too good or e-folds too large."""

    def __init__(self, target: Target) -> None:
        self.psnr_db, self.most_bytes = target.psnr_db, target.most_bytes
        self.slope = _DB_FOR_E if target.psnr_db is not None else _RATE_FOR_E
        self.near = _NEAR * self.slope
        self._offset = 0.0  # what the fit takes away from the first guess

    @property
    def free(self) -> bool:
        """Whether there is no target."""
        return self.psnr_db is None and self.most_bytes is None

    def shift(self, away: float) -> None:
        """Begin the next attempt so much lower."""
        self._offset += away

    def moved(self, price: float, seen: Measured) -> float:
        """The price for the next iteration: a little nearer."""
        if self.free:
            return price
        pull = _PULL * self.away(seen, seen.bits / 8.0) / self.slope
        return _within(price * math.exp(max(-_STRIDE, min(_STRIDE, pull))))

    def wanting(self, seen: Measured, size: float) -> float:
        """How far a first guess is from where it should begin."""
        return self.away(seen, size) + self._offset

    def away(self, seen: Measured, size: float) -> float:
        """How far from the middle of what is accepted."""
        if self.psnr_db is not None:
            return seen.psnr_db - self.psnr_db - _ABOVE_DB
        return 0.0 if self.most_bytes is None else math.log(max(size, 1.0) / (_BELOW * self.most_bytes))

    def kept(self, seen: Measured, size: int) -> bool:
        """Whether what was asked for is held, however far it is passed."""
        if self.psnr_db is not None:
            return seen.psnr_db >= self.psnr_db
        return self.most_bytes is None or size <= self.most_bytes

    def met(self, seen: Measured, size: int) -> bool:
        """Whether the target is held and hardly passed."""
        if not self.kept(seen, size):
            return False
        if self.psnr_db is not None:
            return seen.psnr_db <= self.psnr_db + _WITHIN_DB
        return self.most_bytes is None or size >= _LEAST * self.most_bytes


def _root(points: list[tuple[float, float]], slope: float) -> float:
    """Where the distance should be 0: between points on both sides if there are, else along the slope."""
    over = [p for p in points if p[1] > 0]
    under = [p for p in points if p[1] <= 0]
    if over and under:
        (a, away_a), (b, away_b) = min(over, key=lambda p: p[1]), max(under, key=lambda p: p[1])
        return a + (b - a) * away_a / (away_a - away_b)
    at, away = points[-1]
    return at + max(-_LEAP, min(_LEAP, away / slope))


def _within(price: float) -> float:
    return max(_PRICES[0], min(_PRICES[1], price))
