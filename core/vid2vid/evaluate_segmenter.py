# SPDX-License-Identifier: GPL-3.0-or-later
"""A small network that reads label maps out of pictures: do the frames show what the maps asked for?

It learns on true frames of training shots, so no download is needed, and a frame of a render is judged by whoever
never saw a rendered one.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mapreel.core.contract.errors import DamagedModelError, MissingInputError, MissingModelError
from mapreel.core.contract.takes import write_atomically
from mapreel.core.media.sequence import MapKind, ShotSequence, open_maps

FORMAT, VERSION = "mapreel-segmenter", "1"
_WIDTHS = (16, 32, 64, 96)
_STRIDE_PX = 2 ** len(_WIDTHS)
_CROP_PX = 128
STEPS = 1500
"""Enough for a street: its classes differ in colour and place."""
_BATCH = 4
_RATE = 2e-3
_FRESH_EVERY = 40
"""Steps after which another frame replaces one of those kept decoded."""
_KEPT = 24


class Segmenter(nn.Module):
    """U-Net of 0.4 M values, half resolution inside; logits at full resolution."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        super().__init__()
        self.ids = ids
        before = (12, *_WIDTHS[:-1])
        self.downs = nn.ModuleList(_pair(a, b) for a, b in zip(before, _WIDTHS, strict=True))
        self.ups = nn.ModuleList(
            _pair(_WIDTHS[i + 1] + _WIDTHS[i], _WIDTHS[i]) for i in reversed(range(len(_WIDTHS) - 1))
        )
        self.out = nn.Conv2d(_WIDTHS[0], 4 * len(ids), 1)

    def forward(self, pictures: Tensor) -> Tensor:  # [N, 3, H, W] 0..1 -> [N, classes, H, W]
        h, w = pictures.shape[2:]
        x = F.pad(pictures * 2 - 1, (0, -w % _STRIDE_PX, 0, -h % _STRIDE_PX), mode="replicate")
        x = F.pixel_unshuffle(x, 2)
        skips = []
        for level, down in enumerate(self.downs):
            x = down(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        return F.pixel_shuffle(self.out(x), 2)[..., :h, :w]

    @torch.inference_mode()
    def label(self, picture: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Index into `ids` of each pixel: [H, W, 3] sRGB -> [H, W]."""
        found: NDArray[np.intp] = self(_tensor(picture)[None]).argmax(dim=1)[0].numpy()
        return found


def _pair(channels_in: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (channels_in, channels):
        layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers)


def _tensor(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255


def train_segmenter(
    folders: list[Path], steps: int = STEPS, seed: int = 1, report: Callable[[int], None] | None = None
) -> Segmenter:
    """Learn labels from the true frames of training shots (`color/` and `label/`); gives the network, ready to label.

    report: hears how many steps are done, after each.

    Raises:
        MissingInputError: no shot, or one without frames in both folders.
        InputError: what the readers raise.
    """
    frames = _Frames(folders, random.Random(seed))
    torch.manual_seed(seed)
    network = Segmenter(frames.ids)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-4)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (1.0 - step / steps) * min(1.0, (step + 1) / 20)
        pictures, labels = frames.batch(step)
        loss = F.cross_entropy(network(pictures), labels, weight=frames.weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if report is not None:
            report(step + 1)
    return network.eval()


class _Frames:
    """Crops of true frames; a few frames are kept decoded and replaced one by one."""

    def __init__(self, folders: list[Path], rng: random.Random) -> None:
        self._rng = rng
        self._shots = [_open(folder) for folder in folders]
        self._all = [(shot, n) for shot in self._shots for n in shot[0].numbers]
        if not self._all:
            raise MissingInputError("there is no training shot", "name a folder that holds color/ and label/")
        smallest = np.min([shot[0].size for shot in self._shots], axis=0)
        self._crop_px = (min(_CROP_PX, int(smallest[0])), min(_CROP_PX, int(smallest[1])))
        chosen = rng.sample(self._all, min(_KEPT, len(self._all)))
        self._kept = [(shot[0].read(n), shot[1].read(n)) for shot, n in chosen]
        spread = rng.sample(self._all, min(200, len(self._all)))
        counts: Counter[int] = Counter()
        for shot, n in spread:
            found, pixels = np.unique(shot[1].read(n), return_counts=True)
            counts.update(dict(zip(found.tolist(), pixels.tolist(), strict=True)))
        self.ids = tuple(sorted(counts))
        rarity = torch.tensor([counts[i] for i in self.ids], dtype=torch.float32).rsqrt()
        self.weights = rarity / rarity.mean()
        """Of each class in the loss: a person is a few pixels and as much of a class as the road."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """[N, 3, h, w] 0..1 and class indices [N, h, w]; pixels of other classes are -100 and teach nothing."""
        if step % _FRESH_EVERY == _FRESH_EVERY - 1:
            shot, number = self._rng.choice(self._all)
            self._kept[self._rng.randrange(len(self._kept))] = (shot[0].read(number), shot[1].read(number))
        pairs = [self._crop() for _ in range(_BATCH)]
        return torch.stack([p for p, _ in pairs]), torch.stack([c for _, c in pairs])

    def _crop(self) -> tuple[Tensor, Tensor]:
        color, label = self._rng.choice(self._kept)
        high, wide = self._crop_px
        top, left = (self._rng.randint(0, side - crop) for side, crop in zip(label.shape, self._crop_px, strict=True))
        color, label = (x[top : top + high, left : left + wide] for x in (color, label))
        if self._rng.random() < 0.5:
            color, label = color[:, ::-1], label[:, ::-1]
        picture, indices = _tensor(color), class_indices(label, self.ids)
        return picture * self._rng.uniform(0.85, 1.15), torch.from_numpy(indices)


def _open(folder: Path) -> tuple[ShotSequence, ShotSequence]:
    return open_maps(folder / "color", MapKind.COLOR), open_maps(folder / "label", MapKind.LABEL)


def class_indices(labels: NDArray[np.unsignedinteger], ids: tuple[int, ...]) -> NDArray[np.int64]:
    """Place of each label in `ids`, ascending; -100 where it is none of them."""
    known = np.asarray(ids)
    places = np.minimum(np.searchsorted(known, labels), len(ids) - 1)
    return np.where(known[places] == labels, places, -100).astype(np.int64)


def confusion(found: NDArray[np.intp], wanted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Pixels of each (wanted, found) pair: [classes, classes]; pixels that want no class are left out."""
    counted = wanted >= 0
    pairs = wanted[counted] * classes + found[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mean_iou(pairs: NDArray[np.int64]) -> float:
    """Mean over the classes that were wanted somewhere of shared pixels over pixels that either has; 0 without any."""
    shared = np.diag(pairs)
    either = pairs.sum(axis=0) + pairs.sum(axis=1) - shared
    wanted = pairs.sum(axis=1) > 0
    return float((shared[wanted] / either[wanted]).mean()) if wanted.any() else 0.0


def save_segmenter(path: Path, network: Segmenter) -> None:
    """Write it as safetensors with its classes in the header."""
    header = {"format": FORMAT, "version": VERSION, "ids": json.dumps(network.ids)}
    write_atomically(path, safetensors.torch.save(network.state_dict(), metadata=header))


def load_segmenter(path: Path) -> Segmenter:
    """Read what `save_segmenter` wrote.

    Raises:
        MissingModelError: no such file.
        DamagedModelError: not such a network.
    """
    if not path.is_file():
        raise MissingModelError(
            f"there is no segmenter {path}", "train one with `mapreel bench segmenter`", file=str(path)
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise ValueError(f"its header says {header}")
        ids = tuple(int(i) for i in json.loads(header["ids"]))
        network = Segmenter(ids)
        network.load_state_dict(tensors)
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as exc:
        raise DamagedModelError(
            f"{path} holds no segmenter",
            "train one with `mapreel bench segmenter`",
            detail=str(exc),
            file=str(path),
        ) from exc
    return network.eval().requires_grad_(False)
