# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks: one colour for each instance, so that objects of one class differ and each keeps its colour through a shot.

In training the colour is the true mean of that instance. In rendering it is drawn from the colours that instances of
the class had in training; which one depends on the instance id alone, so that no frame and no chunk disagrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VARIETY = 0.35
"""How much of an instance's own colour is kept against the mean of its class.

Maps do not tell colours, so a drawn one is a guess. Measured on frames of a street that is neither trained on nor
tested (LPIPS over that of class-mean paint, single frames): 0.60 with the full colours, 0.59 with this share, 0.58 with
the mean alone, where all cars are grey; 0.53 with the true colours, which reference frames tell.
"""
GUESS = 0.2
"""Trust in a drawn colour; that street does not tell values from 0 to 0.5 apart, and likes 1 least."""
SAMPLES = 48
"""Colours kept for each class: enough for a street of cars, small enough to travel in a checkpoint."""


@dataclass(frozen=True)
class Looks:
    """What a model knows about colours.

    Attributes:
        mean: [classes, 3] float32 sRGB 0..1, the mean colour of all pixels of a class.
        samples: [classes, SAMPLES, 3] float32 sRGB 0..1, mean colours of single instances.
        counts: [classes] int32, how many rows of `samples` are filled (0: use `mean`).
    """

    mean: NDArray[np.float32]
    samples: NDArray[np.float32]
    counts: NDArray[np.int32]

    def paint(self, classes: NDArray[np.intp], instances: NDArray[np.unsignedinteger] | None) -> NDArray[np.float32]:
        """Colour of each pixel's instance: class indices [H, W], instance ids [H, W] or None -> [H, W, 3] sRGB 0..1."""
        if instances is None:
            return self.mean[classes]
        table = np.concatenate([self.samples, self.mean[:, None]], axis=1)  # the mean stands last
        counts = self.counts[classes].astype(np.uint32)
        drawn = _scramble(instances.astype(np.uint32), classes.astype(np.uint32)) % np.maximum(counts, 1)
        return table[classes, np.where(counts > 1, drawn, SAMPLES)]


def _scramble(instances: NDArray[np.uint32], classes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A fixed integer hash, so that neighbouring ids do not get neighbouring colours (Steele et al., 2014, mix)."""
    with np.errstate(over="ignore"):
        x = instances * np.uint32(0x9E3779B1) + classes * np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
    return x


def instance_means(
    colors: NDArray[np.uint8], labels: NDArray[np.uint8], instances: NDArray[np.uint16], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean colour of each (class, instance) of a shot.

    Args:
        colors: [T, H, W, 3] sRGB.
        labels: [T, H, W] class indices.
        instances: [T, H, W] ids.
        classes: number of classes.

    Returns:
        means [classes, ids, 3] float32 0..1 (zero where nothing was seen) and pixel counts [classes, ids].
    """
    ids = int(instances.max()) + 1
    sums = np.zeros((3, classes * ids), np.float64)
    pixels = np.zeros(classes * ids, np.int64)
    for color, label, instance in zip(colors, labels, instances, strict=True):
        key = label.astype(np.int64).ravel() * ids + instance.ravel()
        pixels += np.bincount(key, minlength=classes * ids)
        for channel in range(3):
            sums[channel] += np.bincount(key, weights=color[..., channel].ravel(), minlength=classes * ids)
    means = (sums / np.maximum(pixels, 1) / 255.0).T.reshape(classes, ids, 3)
    return means.astype(np.float32), pixels.reshape(classes, ids)


def gather_looks(tables: list[tuple[NDArray[np.float32], NDArray[np.int64]]]) -> Looks:
    """Collect what a model keeps from the instance means of its training shots; big instances come first.

    Their colours are brought nearer to the class mean (see `VARIETY`).
    """
    classes = tables[0][0].shape[0]
    mean = np.zeros((classes, 3), np.float32)
    samples = np.zeros((classes, SAMPLES, 3), np.float32)
    counts = np.zeros(classes, np.int32)
    for index in range(classes):
        means = np.concatenate([m[index] for m, _ in tables])
        pixels = np.concatenate([p[index] for _, p in tables])
        if not pixels.any():
            mean[index] = 0.5
            continue
        mean[index] = (means * pixels[:, None]).sum(0) / pixels.sum()
        order = np.argsort(-pixels, kind="stable")[:SAMPLES]
        kept = order[pixels[order] > 0]
        drawn = mean[index] + VARIETY * (means[kept] - mean[index])
        samples[index, : len(kept)], counts[index] = drawn, len(kept)
    return Looks(mean, samples, counts)
