# SPDX-License-Identifier: GPL-3.0-or-later
"""Which classes of a palette look alike to the colour-blind.

Sight without green (deuteranopia) or red cones (protanopia) is simulated on linear light with the matrices of severity
1.0 of G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, "A Physiologically-based Model for Simulation of Color Vision
Deficiency", IEEE TVCG 15(6), 2009. Colours are compared in CIE 1976 L*a*b* under D65 (CIE 15:2004, 8.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mapreel.ui.state.palette_document import ClassEntry

ALIKE = 12.0
"""Distance in L*a*b* below which two areas side by side are taken for one: five times what is just noticed (2.3)."""


class Sight(StrEnum):
    """Who looks."""

    USUAL = "usual"
    NO_GREEN = "deuteranopia"
    NO_RED = "protanopia"


_SEEN = {
    Sight.USUAL: np.eye(3),
    Sight.NO_GREEN: np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    Sight.NO_RED: np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
_XYZ = np.array(  # IEC 61966-2-1, relative to its white
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_BEND = (6 / 29) ** 3


@dataclass(frozen=True)
class AlikePair:
    """Two classes (ids) that one kind of sight takes for one."""

    first: int
    second: int
    sight: Sight


def simulated(colors: NDArray[np.uint8], sight: Sight) -> NDArray[np.uint8]:
    """Colours [N, 3] sRGB as this sight has them."""
    seen = np.clip(_linear(colors) @ _SEEN[sight].T, 0.0, 1.0)
    coded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(coded * 255), np.uint8)


def distances(colors: NDArray[np.uint8], sight: Sight) -> NDArray[np.float64]:
    """How far each colour [N, 3] sRGB is from each other for this sight, [N, N]."""
    seen = np.clip(_linear(colors) @ _SEEN[sight].T, 0.0, 1.0)
    xyz = seen @ _XYZ.T / _XYZ.sum(axis=1)
    bent = np.where(xyz > _BEND, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = bent.T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    return np.asarray(np.linalg.norm(lab[:, None] - lab[None, :], axis=2))


def alike_pairs(classes: tuple[ClassEntry, ...]) -> tuple[AlikePair, ...]:
    """Pairs of classes that look alike, the closest first. A pair that everybody takes for one is told once."""
    if len(classes) < 2:
        return ()
    colors = np.array([entry.color for entry in classes], np.uint8)
    upper = np.triu(np.ones((len(classes), len(classes)), np.bool_), 1)
    found: list[tuple[float, AlikePair]] = []
    usual = distances(colors, Sight.USUAL)
    for sight in Sight:
        apart = usual if sight is Sight.USUAL else distances(colors, sight)
        near = upper & (apart < ALIKE)
        if sight is not Sight.USUAL:
            near &= usual >= ALIKE
        for a, b in np.argwhere(near):
            found.append((float(apart[a, b]), AlikePair(classes[a].id, classes[b].id, sight)))
    return tuple(pair for _, pair in sorted(found, key=lambda item: item[0]))


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    coded = colors.astype(np.float64) / 255
    return np.asarray(np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4))
