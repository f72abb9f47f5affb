# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the prior that every `reel` archive starts from.

    python -m mapreel.core.nirvana.reel.pretrain OUT.safetensors --shot FOLDER … --still FOLDER … --minutes 60

Three frames at a time are coded as the codec would: one without references, one from it, one between both. Noise
stands for rounding where bits are counted; the synthesis sees rounded latents. Prices of a bit are drawn anew for each
triple, so that one prior serves all rates.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from mapreel.core.contract.takes import write_atomically
from mapreel.core.media.images import read_color
from mapreel.core.nirvana.quantise import straight_through
from mapreel.core.nirvana.reel.coder import Coder, quality_of
from mapreel.core.nirvana.reel.motion import STEPS, guess_motion
from mapreel.core.nirvana.reel.network import dense_motion, inter_pictures, intra_pictures, moved
from mapreel.core.nirvana.reel.pretrain_data import Triples
from mapreel.core.nirvana.reel.prior import FORMAT, Prior, prior_tensors, read_prior
from mapreel.core.nirvana.reel.rate import nearly_rounded

_log = logging.getLogger(__name__)
_PRICES = (20.0, 2500.0)  # squared 8-bit steps of error for a bit a pixel
_RATES = {"networks": 1.5e-3, "contexts": 2e-3}
_WARM_UP = 150
_FINER = (0.5, 2.0)  # logarithm of how much more a frame without references may pay for than those between
_FINER_BETWEEN = (0.0, 0.375)
_SHARPNESS = 4.0  # of the soft rounding of what is priced
_STEADY = 0.55  # share of the time before the rates fall


class Pretraining:
    """Both coders, their running averages, and one step."""

    def __init__(self, triples: Triples, *, batch: int, side: int, start: Prior | None = None) -> None:
        self.triples, self.batch, self.side = triples, batch, side
        self.coders = nn.ModuleList([Coder(False), Coder(True)])
        if start is not None:
            for which, inter in enumerate((False, True)):
                self.coders[which].load_state_dict(start.coder(inter).state_dict())
        named = list(self.coders.named_parameters())
        contexts = [p for name, p in named if "context" in name]
        networks = [p for name, p in named if "context" not in name]
        self.optimiser = torch.optim.Adam(
            [{"params": networks, "lr": _RATES["networks"]}, {"params": contexts, "lr": _RATES["contexts"]}],
            betas=(0.9, 0.98),
        )
        self.average = {name: value.clone() for name, value in self.coders.state_dict().items()}
        self.steps = 0

    def step(self, rate: float) -> list[float]:
        """One step at `rate` times the base rates -> loss, then error and bits a pixel of each of the three frames."""
        for group, base in zip(self.optimiser.param_groups, _RATES.values(), strict=True):
            group["lr"] = base * rate * min(1.0, (self.steps + 1) / _WARM_UP)
        pictures, flows = (torch.from_numpy(x) for x in self.triples.batch(self.batch, self.side))
        low, high = (math.log(price) for price in _PRICES)
        price = torch.exp(low + (high - low) * torch.rand(self.batch))
        prices = torch.stack([price * torch.exp(-finer) for finer in _finer(self.batch)])
        errors, bits, whole = self._code(pictures, flows, price, prices)
        rates = torch.stack(bits) / self.side**2
        loss = (torch.stack(errors) / prices + rates + torch.stack(whole) / self.side**2).sum(0).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.coders.parameters(), 5.0)
        self.optimiser.step()
        self.steps += 1
        keep = min(0.999, 1 - 1 / (1 + 0.1 * self.steps))
        with torch.no_grad():
            for name, value in self.coders.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        return [float(loss.detach()), *(float(e.detach().mean()) for e in errors), *rates.detach().mean(1).tolist()]

    def _code(
        self, pictures: Tensor, flows: Tensor, price: Tensor, prices: Tensor
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Errors, bits and bits of rounded symbols, each frame at its own price; prices [3, N]."""
        shared, qualities = quality_of(price), [quality_of(one) for one in prices]
        first, second, middle = pictures.unbind(1)
        intra, *intra_bits = self._frame(0, first, qualities[0], qualities[0])
        seen = intra.clamp(0, 1)
        to_one = torch.cat([flows[:, 0], torch.zeros_like(flows[:, 0])], dim=1)
        motion, motion_bits = self._motion(to_one, None, second, (seen,), shared, prices[1])
        place = moved(seen, motion[:, :2])
        later, *later_bits = self._frame(1, second, qualities[1], shared, place, place)
        known = torch.cat([0.5 * motion[:, :2], -0.5 * motion[:, :2]], dim=1)
        both = seen, later.clamp(0, 1)
        to_both = torch.cat([flows[:, 1], flows[:, 2]], dim=1)
        middle_motion, both_bits = self._motion(to_both, known, middle, both, shared, prices[2])
        references = moved(both[0], middle_motion[:, :2]), moved(both[1], middle_motion[:, 2:])
        between, *between_bits = self._frame(1, middle, qualities[2], shared, *references)
        made = ((intra, first), (later, second), (between, middle))
        errors = [(a - b).square().mean(dim=(1, 2, 3)) * STEPS**2 for a, b in made]
        bits = [intra_bits[0], later_bits[0] + motion_bits, between_bits[0] + both_bits]
        return errors, bits, [intra_bits[1], later_bits[1], between_bits[1]]

    def _frame(
        self, which: int, wanted: Tensor, quality: Tensor, shared: Tensor, *references: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Picture, its bits, and bits of its rounded symbols, from which context models learn."""
        coder = self.coders[which]
        assert isinstance(coder, Coder)
        gains = coder.gains(quality)
        with torch.autocast("cpu", torch.bfloat16):
            latents = coder.analysis(wanted, quality, *references)
        values = latents.float() * gains
        symbols = straight_through(values)
        priced = torch.stack([nearly_rounded(values, _SHARPNESS), symbols.detach()])
        bits, whole = coder.latent_bits(symbols, priced, shared)
        show: Callable[..., Tensor] = inter_pictures if references else intra_pictures
        with torch.autocast("cpu", torch.bfloat16):
            made = show(coder.weights, symbols / gains, quality, *references)
        return made.float(), bits, whole

    def _motion(
        self,
        flow: Tensor,
        known: Tensor | None,
        wanted: Tensor,
        references: tuple[Tensor, ...],
        quality: Tensor,
        price: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Flow [N, 4, H, W] as it is decoded, and its bits."""
        coder = self.coders[1]
        assert isinstance(coder, Coder)
        fine, coarse = guess_motion(flow, known, wanted, references, price.view(-1, 1, 1, 1), thorough=False)
        bits = coder.motion_bits((fine, coarse), (fine, coarse), quality, (0.0, 0.0))
        own = dense_motion(coarse, fine)
        return own if known is None else own + known, bits

    def save(self, path: Path, notes: dict[str, str]) -> None:
        """The averaged state in the format's whole numbers."""
        averaged = nn.ModuleList([Coder(False), Coder(True)])
        averaged.load_state_dict(self.average)
        intra, inter = averaged
        assert isinstance(intra, Coder)
        assert isinstance(inter, Coder)
        tensors = {name: value.contiguous() for name, value in prior_tensors(intra, inter).items()}
        write_atomically(path, save(tensors, {"format": FORMAT, **notes}))


def _finer(count: int) -> list[Tensor]:
    """Logarithms by which the three frames of each triple are finer than the price says."""
    low, high = _FINER
    first = low + (high - low) * torch.rand(count)
    return [first, first * (0.5 + 0.5 * torch.rand(count)), torch.tensor(_FINER_BETWEEN)[torch.randint(2, (count,))]]


def train(path: Path, run: Pretraining, *, minutes: float, notes: dict[str, str]) -> None:
    """Train for so many minutes; a line of JSON every 50 steps in PATH.log.jsonl, the prior every 500."""
    started, seen = time.monotonic(), []
    log = path.with_name(path.name + ".log.jsonl")
    with log.open("w", encoding="utf-8") as file:
        while (share := (time.monotonic() - started) / 60 / minutes) < 1:
            rate = 1.0 if share < _STEADY else max(0.01, (1 - share) / (1 - _STEADY))
            seen.append(run.step(rate))
            if run.steps % 50 == 0:
                names = ("loss", "intra", "later", "between", "intra_bpp", "later_bpp", "between_bpp")
                means = {name: round(float(v), 4) for name, v in zip(names, np.mean(seen, axis=0), strict=True)}
                file.write(json.dumps({"step": run.steps, "minutes": round(share * minutes, 2), **means}) + "\n")
                file.flush()
                seen = []
            if run.steps % 500 == 0:
                run.save(path, {**notes, "steps": str(run.steps)})
    run.save(path, {**notes, "steps": str(run.steps)})


def _pictures(folders: list[Path]) -> list[np.ndarray]:
    """Each folder's pictures in the order of their names; their numbers may have gaps."""
    return [np.stack([read_color(path) for path in sorted(folder.iterdir())]) for folder in folders]


def main() -> None:
    """The command in this module's docstring."""
    parser = argparse.ArgumentParser(description="Train the prior of the archive profile reel.")
    parser.add_argument("out", type=Path, help="the prior's file")
    parser.add_argument("--shot", type=Path, action="append", required=True, help="frames that follow each other")
    parser.add_argument("--still", type=Path, action="append", default=[], help="pictures of one size that do not")
    parser.add_argument("--start", type=Path, help="a prior to go on from")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--side", type=int, default=128, help="side of a cut in px")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    torch.set_num_threads(chosen.threads)
    triples = Triples(_pictures(chosen.shot), _pictures(chosen.still), chosen.seed)
    start = read_prior(chosen.start) if chosen.start is not None else None
    run = Pretraining(triples, batch=chosen.batch, side=chosen.side, start=start)
    notes = {"batch": str(chosen.batch), "side": str(chosen.side), "seed": str(chosen.seed), "license": "CC0-1.0"}
    train(chosen.out, run, minutes=chosen.minutes, notes=notes)


if __name__ == "__main__":
    main()
