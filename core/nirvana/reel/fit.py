# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit a frame group: latents, motion, network and scales together, by the price of a bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.quantise import straight_through
from mapreel.core.nirvana.reel.choose import SCALE_STEP, best_offsets, rounded_by_cost
from mapreel.core.nirvana.reel.coder import quality_of
from mapreel.core.nirvana.reel.config import (
    CHANNELS,
    CONTEXT_STEPS,
    LOG_RATE_CENTRE,
    LOG_RATE_SPREAD,
    LONGEST_PREDICTION,
    MOTION_CHANNELS,
    QUALITY_STEPS,
    padded,
)
from mapreel.core.nirvana.reel.hierarchy import BEFORE, Frame, hierarchy
from mapreel.core.nirvana.reel.motion import STEPS, guess_motion
from mapreel.core.nirvana.reel.network import Weights, dense_motion, inter_pictures, intra_pictures
from mapreel.core.nirvana.reel.payload import (
    Deltas,
    GroupSymbols,
    all_deltas,
    context_quality,
    empty_group,
    offset_counts,
)
from mapreel.core.nirvana.reel.pictures import (
    GroupTensors,
    Stages,
    batches,
    gains_of,
    group_tensors,
    make_pictures,
    quality_tensors,
)
from mapreel.core.nirvana.reel.prior import Prior
from mapreel.core.nirvana.reel.rate import nearly_rounded
from mapreel.core.nirvana.reel.weights import delta_step, weights_of

MEASURED_EVERY = 4  # iterations
_DEADZONE = 0.35  # of a symbol, where the choice of frames with references begins
_LIKELY = 0.7  # of a symbol: what the analysis gives below it is seldom worth its bits


@dataclass(frozen=True, kw_only=True)
class ReelFit:
    """How long and how boldly a group is fitted."""

    iterations: int
    finer: tuple[int, int, int] = (64, 40, 16)  # see `GroupSymbols`: what others lean on pays again and again
    price: float = 200.0  # of a bit, where no target is given: squared 8-bit steps of error it must save a pixel
    latent_rate: float = 0.004  # Adam's, in symbols
    least_bits: float = 1.0  # Adam's epsilon: a symbol that matters less than this moves less
    motion_rate: float = 0.02
    weight_rate: float = 0.02  # in steps of a weight
    offset_rate: float = 0.02
    sharpness: float = 4.0  # of the soft rounding of what is priced, at the start; three times that at the end


@dataclass(frozen=True)
class Measured:
    """Mean squared error in 8-bit steps for each frame, and bits as the context models estimate them."""

    errors: tuple[float, ...]
    bits: float

    @property
    def psnr_db(self) -> float:
        return float(np.mean([10 * math.log10(STEPS**2 / max(e, 1e-6)) for e in self.errors]))


def filled(frames: Tensor) -> Tensor:
    """Frames [T, 3, H, W] brought up to the size of whole cells, their edges repeated."""
    height, width = padded((frames.shape[2], frames.shape[3]))
    return F.pad(frames, (0, width - frames.shape[3], 0, height - frames.shape[2]), mode="replicate")


class GroupFit:
    """The trainable numbers of one group; `frames` [T, 3, H, W] in 0..1, `before` [1, 3, H, W] or None (intra)."""

    def __init__(
        self,
        prior: Prior,
        frames: Tensor,
        before: Tensor | None,
        previous: Deltas | None,
        *,
        price: float,
        finer: tuple[int, ...],
        span: int = LONGEST_PREDICTION,
        seed: int,
        flows: Flows,
        waiting: Callable[[], None],
    ) -> None:
        """finer, span: see `GroupSymbols`. waiting: called now and then while the first guess is made, may raise."""
        self.prior, self.before = prior, before
        self._flows_of, self._waiting = flows, waiting
        self.size = (frames.shape[2], frames.shape[3])
        self.wanted = filled(frames)
        self.device = frames.device
        self.intra = before is None
        self.plan, self.span = hierarchy(len(frames), self.intra, span), span
        self.price = price
        index = round(float(quality_of(torch.tensor([price]))) * QUALITY_STEPS)
        self.quality_index = min(max(index, -127), 127)
        self.finer = finer
        self.qualities = quality_tensors(self.plan, self.quality_index, self.finer, self.device)
        self.base = all_deltas(self.intra)
        if previous is not None:
            self.base.update({name: previous[name] for name in self.base})
        self.coders = {inter: prior.coder(inter, self.device) for inter in (False, True)}
        self.priced_as = {
            inter: torch.full((1, 1, 1, 1), context_quality(index) / CONTEXT_STEPS, device=self.device)
            for inter, index in ((False, self.quality_index - finer[0]), (True, self.quality_index))
        }
        self.gains = {
            inter: gains_of(self.plan, inter, self.quality_index, self.finer, prior, self.device)
            for inter in (False, True)
        }
        self.noise = torch.Generator(self.device).manual_seed(seed)
        self._first_guess()
        self.offsets = {name: value.requires_grad_() for name, value in self._best_offsets().items()}
        self._before_deltas = {
            name: torch.from_numpy(value.astype(np.float32)).to(self.device) for name, value in self.base.items()
        }
        self.deltas = {name: value.clone().requires_grad_() for name, value in self._before_deltas.items()}
        self._prior_weights = {
            inter: {name: value.to(self.device) for name, value in prior.weights(inter).items()}
            for inter in self._kinds()
        }

    @torch.no_grad()
    def _first_guess(self) -> None:
        """Motion from optical flow of the true pictures, latents from the analysis, frame after frame as decoded."""
        start = empty_group(self.size, len(self.plan), self.intra, self.quality_index, self.finer)
        self.intra_values, self.inter_values, *self.motion_values = (
            torch.from_numpy(grid).float().to(self.device) for grid in (start.intra, start.inter, *start.motion)
        )
        stages = Stages(self.before)
        weights = {inter: weights_of(self.prior, self.base, inter, self.device) for inter in self._kinds()}
        for frames in batches(self.plan, 8):
            self._waiting()
            wanted = self.wanted[[f.place for f in frames]]
            if not frames[0].refs:
                made = self._guess_intra(wanted, weights[False])
            else:
                made = self._guess_inter(frames, wanted, stages, weights[True])
            stages.keep_pictures(frames, made)
        self.intra_values = self.intra_values[:, : _used(self.intra_values)].clone()
        self.inter_values = self.inter_values[:, : _used(self.inter_values)].clone()

    def _kinds(self) -> tuple[bool, ...]:
        return (False, True) if self.intra else (True,)

    def _guess_intra(self, wanted: Tensor, weights: dict[str, Tensor]) -> Tensor:
        quality = self.qualities[0]
        values = self.coders[False].analysis(wanted, quality) * self.gains[False]
        self.intra_values.copy_(self._rounded(False, values, quality, self.gains[False], 0.0))
        return intra_pictures(weights, self.intra_values.round() / self.gains[False], self.qualities[0])

    def _guess_inter(self, frames: list[Frame], wanted: Tensor, stages: Stages, weights: dict[str, Tensor]) -> Tensor:
        rows = [f.row for f in frames]
        known = stages.known_motion(frames)
        flow = torch.cat([self._flows_of.of(f) for f in frames]).to(self.device)
        single = len(frames[0].refs) == 1
        references = tuple(stages.reference(frames, k) for k in range(1 if single else 2))
        quality, gains = self.qualities[1][rows], self.gains[True][rows]
        price = torch.exp(quality * LOG_RATE_SPREAD + LOG_RATE_CENTRE)
        thorough = not all(self._flows_of.chosen(f) for f in frames)
        fine, coarse = guess_motion(flow, known, wanted, references, price, thorough=thorough)
        self.motion_values[0][rows], self.motion_values[1][rows] = fine, coarse
        motion = dense_motion(coarse, fine)
        motion = motion if known is None else motion + known
        stages.keep_motion(frames, motion)
        self._flows_of.keep(frames, motion)
        first, second = stages.references(frames, motion)
        values = self.coders[True].analysis(wanted, quality, first, second) * gains
        values = self._rounded(True, values, quality, gains, _DEADZONE)
        self.inter_values[rows] = values
        return inter_pictures(weights, values.round() / gains, quality, first, second)

    def _rounded(self, inter: bool, values: Tensor, quality: Tensor, gains: Tensor, deadzone: float) -> Tensor:
        """Latents in symbols, near the whole numbers that cost least."""
        norms = self.prior.weights(inter)["patch.weight"][:, :CHANNELS, 0, 0].square().sum(dim=0).to(self.device)
        price = torch.exp(quality * LOG_RATE_SPREAD + LOG_RATE_CENTRE)
        weights = norms.view(1, -1, 1, 1) * (STEPS**2 / 3) / (gains.square() * price)
        return rounded_by_cost(self.coders[inter].context, values, self.priced_as[inter], weights, deadzone)

    def _best_offsets(self) -> dict[str, Tensor]:
        """Steps on scales that suit the symbols as they are."""
        found = {name: torch.zeros(count, device=self.device) for name, count in offset_counts().items()}
        for inter, name, values in ((False, "intra", self.intra_values), (True, "inter", self.inter_values)):
            if len(values):
                best = best_offsets(self.coders[inter].context, values.detach().round(), None, self.priced_as[inter])
                found[name][: len(best)] = best
        if len(self.inter_values):
            fine, coarse = (values.detach().round() for values in self.motion_values)
            contexts = self.coders[True].motion_contexts
            found["motion"][:MOTION_CHANNELS] = best_offsets(contexts[0], fine, coarse, self.priced_as[True])
            found["motion"][MOTION_CHANNELS:] = best_offsets(contexts[1], coarse, None, self.priced_as[True])
        return found

    # -- fitting -------------------------------------------------------------------------------------------------

    def _weights(self, inter: bool) -> dict[str, Tensor]:
        kind = "inter" if inter else "intra"
        return {
            name: value + straight_through(self.deltas[f"{kind}.{name}"]) * delta_step(name)
            for name, value in self._prior_weights[inter].items()
        }

    def _forward(self, dtype: torch.dtype) -> Tensor:
        """Squared error of each frame in 8-bit steps [T]."""
        tensors = GroupTensors(
            straight_through(self.intra_values) / self.gains[False][:, : self.intra_values.shape[1]],
            straight_through(self.inter_values) / self.gains[True][:, : self.inter_values.shape[1]],
            (straight_through(self.motion_values[0]), straight_through(self.motion_values[1])),
            self.qualities,
        )
        weights = (self._weights(False) if self.intra else None, self._weights(True))
        return self._errors(tensors, weights, dtype)

    def _errors(
        self, tensors: GroupTensors, weights: tuple[Weights | None, Weights], dtype: torch.dtype, most: int = 32
    ) -> Tensor:
        errors: dict[int, Tensor] = {}
        height, width = self.size
        for frames, made in make_pictures(self.plan, tensors, weights, self.before, dtype=dtype, most=most):
            wanted = self.wanted[[f.place for f in frames]]
            wrong = (made - wanted)[:, :, :height, :width].square().mean(dim=(1, 2, 3)) * STEPS**2
            errors.update({f.place: wrong[k] for k, f in enumerate(frames)})
        return torch.stack([errors[k] for k in range(len(self.plan))])

    def _bits(self, sharpness: float) -> Tensor:
        """Estimated bits of the group: latents, motion and what changed in the network."""
        total = self._delta_bits()
        for inter, values, name in ((False, self.intra_values, "intra"), (True, self.inter_values, "inter")):
            if len(values):
                symbols, priced = self._priced(values, sharpness)
                total = (
                    total
                    + self.coders[inter]
                    .latent_bits(symbols, priced, self.priced_as[inter], self._shift(name)[:, : values.shape[1]])
                    .sum()
                )
        if len(self.inter_values):
            (fine, priced_fine), (coarse, priced_coarse) = (self._priced(v, sharpness) for v in self.motion_values)
            shift = self._shift("motion")
            shifts = shift[:, :MOTION_CHANNELS], shift[:, MOTION_CHANNELS:]
            bits = self.coders[True].motion_bits(
                (fine, coarse), (priced_fine, priced_coarse), self.priced_as[True], shifts
            )
            total = total + bits.sum()
        return total

    def _priced(self, values: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
        return straight_through(values), nearly_rounded(values, sharpness, self.noise)

    def _shift(self, name: str) -> Tensor:
        return straight_through(self.offsets[name]).view(1, -1, 1, 1) * SCALE_STEP

    def _delta_bits(self) -> Tensor:
        """About what an adaptive Laplace distribution for each tensor costs."""
        total = torch.zeros((), device=self.device)
        for name, value in self.deltas.items():
            changed = value - self._before_deltas[name]
            size = changed.abs()
            spread = size.detach().mean().clamp_min(0.12)
            total = total + (size / (spread * math.log(2))).sum() + changed.numel() * torch.log2(1 + spread)
        return total

    def run(self, fit: ReelFit, check: Callable[[int, Measured | None], None], dtype: torch.dtype) -> None:
        """Adam on everything at once; `check(done, state)` may raise or set `price`; a state is given now and then."""
        latents = [self.intra_values, self.inter_values]
        for tensor in (*latents, *self.motion_values):
            tensor.requires_grad_()
        groups = [
            {"params": latents, "lr": fit.latent_rate},
            {"params": self.motion_values, "lr": fit.motion_rate},
            {"params": list(self.deltas.values()), "lr": fit.weight_rate},
            {"params": list(self.offsets.values()), "lr": fit.offset_rate},
        ]
        optimiser = torch.optim.Adam(groups, betas=(0.9, 0.98), eps=fit.least_bits)
        starts = [g["lr"] for g in optimiser.param_groups]
        pixels = len(self.plan) * self.size[0] * self.size[1]
        for done in range(fit.iterations):
            share = done / fit.iterations
            shrink = 0.5 + 0.5 * math.cos(math.pi * share)
            for group, start in zip(optimiser.param_groups, starts, strict=True):
                group["lr"] = start * max(shrink, 0.03)
            sharpness = fit.sharpness * (1.0 + 2.0 * share)
            errors = self._forward(dtype)
            bits = self._bits(sharpness)
            loss = errors.mean() * (pixels / self.price) + bits  # in bits of the whole group
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            seen = None
            if done % MEASURED_EVERY == 0:  # reading figures waits for the device
                seen = Measured(tuple(errors.detach().tolist()), float(bits.detach()))
            check(done, seen)
        with torch.no_grad():
            for name, best in self._best_offsets().items():
                self.offsets[name].copy_(best)

    @torch.no_grad()
    def measure(self, group: GroupSymbols) -> Measured:
        """Errors as a decoder of `group`, already packed, will have them, before it rounds to the shot's depth."""
        tensors = group_tensors(group, self.prior, self.device)
        intra = weights_of(self.prior, group.deltas, False, self.device) if self.intra else None
        weights = intra, weights_of(self.prior, group.deltas, True, self.device)
        return Measured(tuple(self._errors(tensors, weights, torch.float32, most=4).tolist()), math.nan)

    @torch.no_grad()
    def symbols(self) -> GroupSymbols:
        """The state in whole numbers."""

        def whole(x: Tensor) -> npt.NDArray[np.int32]:
            return x.detach().round().cpu().numpy().astype(np.int32)

        return GroupSymbols(
            self.quality_index,
            self.finer,
            _widened(whole(self.intra_values)),
            _widened(whole(self.inter_values)),
            (whole(self.motion_values[0]), whole(self.motion_values[1])),
            {name: whole(v) for name, v in self.offsets.items()},
            {name: whole(v) for name, v in self.deltas.items()},
            self.span,
        )


def _used(values: Tensor) -> int:
    """Channels up to the last one that is likely to hold anything."""
    there = (values.abs() > _LIKELY).any(dim=3).any(dim=2).any(dim=0).nonzero()
    return min(CHANNELS, int(there.max()) + 1 if len(there) else 1)


def _widened(grid: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    return np.pad(grid, ((0, 0), (0, CHANNELS - grid.shape[1]), (0, 0), (0, 0)))


class Flows:
    """Where motion is looked for: optical flow between the true pictures (DIS, Kroeger et al. 2016, from OpenCV), found
    once; then what was chosen last, so that a guess at another price starts from there."""

    def __init__(self, pictures: Tensor, before: Tensor | None) -> None:
        self._grey = {place: _grey(one) for place, one in enumerate(pictures)}
        if before is not None:
            self._grey[BEFORE] = _grey(before[0])
        self._found: dict[Frame, Tensor] = {}
        self._chosen: set[Frame] = set()
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def of(self, frame: Frame) -> Tensor:
        """Displacement to each reference [1, 4, H, W]; 0 for a second one that is not there."""
        if frame not in self._found:
            flows = [self._between(frame.place, ref) for ref in frame.refs]
            flows += [torch.zeros_like(flows[0])] * (2 - len(flows))
            self._found[frame] = torch.cat(flows)[None]
        return self._found[frame]

    def chosen(self, frame: Frame) -> bool:
        """Whether a guess at some price has been made."""
        return frame in self._chosen

    def keep(self, frames: Sequence[Frame], motion: Tensor) -> None:
        """Take the motion [N, 4, H, W] that a guess has chosen."""
        self._found.update({frame: motion[k : k + 1] for k, frame in enumerate(frames)})
        self._chosen.update(frames)

    def _between(self, place: int, ref: int) -> Tensor:
        flow = self._search.calc(self._grey[place], self._grey[ref], None)  # type: ignore[call-overload]
        return torch.from_numpy(np.asarray(flow, np.float32)).permute(2, 0, 1)


def _grey(picture: Tensor) -> npt.NDArray[np.uint8]:
    steps = (picture.clamp(0, 1) * STEPS + 0.5).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(steps), cv2.COLOR_RGB2GRAY))
