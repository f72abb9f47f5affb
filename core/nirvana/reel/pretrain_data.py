# SPDX-License-Identifier: GPL-3.0-or-later
"""What the prior of `reel` learns from: three frames at a time, cut from shots, from still pictures, or drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]  # [T, H, W, 3]
Flows = npt.NDArray[np.float32]

_DISTANCES = (2, 4, 8)
_SHRINK = (1.0, 1.0, 1.4, 2.0)  # pictures made smaller show finer detail for each pixel
_DRAWN, _STILL = 0.12, 0.4  # shares of triples that are drawn, and up to which they come from stills


class Triples:
    """Frames 0, d and d / 2 of something that moves, with the optical flow 1 -> 0, 2 -> 0 and 2 -> 1."""

    def __init__(self, shots: Sequence[Pictures], stills: Sequence[Pictures], seed: int) -> None:
        self._shots, self._stills = list(shots), list(stills)
        self._random = np.random.default_rng(seed)
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def batch(self, count: int, side: int) -> tuple[npt.NDArray[np.float32], Flows]:
        """-> pictures [N, 3, 3, side, side] in 0..1 and flows [N, 3, 2, side, side] in px, x then y."""
        pictures, flows = [], []
        for _ in range(count):
            three = self._varied(self._three(side))
            pictures.append(three.transpose(0, 3, 1, 2).astype(np.float32) / 255.0)
            flows.append(np.stack([self._flow(three[a], three[b]) for a, b in ((1, 0), (2, 0), (2, 1))]))
        return np.stack(pictures), np.stack(flows).transpose(0, 1, 4, 2, 3)

    def _flow(self, here: Pictures, there: Pictures) -> Flows:
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (here, there)]
        return np.asarray(self._search.calc(grey[0], grey[1], None), np.float32)  # type: ignore[call-overload]

    def _three(self, side: int) -> Pictures:
        r = self._random
        three: list[Pictures]
        kind = r.random()
        distance = int(r.choice(_DISTANCES))
        if kind < _DRAWN:
            return self._drawn(side, distance)
        still = kind < _STILL and len(self._stills) > 0
        sources = self._stills if still else self._shots
        source = sources[int(r.integers(len(sources)))]
        height, width = source.shape[1:3]
        cut = min(height, width, int(side * r.choice(_SHRINK)))
        y, x = r.integers(0, height - cut + 1), r.integers(0, width - cut + 1)
        if still:
            three = self._shifted(source[r.integers(len(source))], distance, (y, x), cut)
        else:
            first = r.integers(0, len(source) - distance)
            three = [source[k][y : y + cut, x : x + cut] for k in (first, first + distance, first + distance // 2)]
            if r.random() < 0.5:
                three = [three[1], three[0], three[2]]
        if cut != side:
            three = [np.asarray(cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA), np.uint8) for one in three]
        return np.stack(three)

    def _shifted(self, picture: Pictures, distance: int, corner: tuple[int, int], cut: int) -> list[Pictures]:
        """A still picture under a camera that pans, rolls and comes nearer."""
        speed = self._random.normal(0, 1, 2) * self._random.choice([0, 0.5, 1.5])
        roll, nearer = self._random.normal(0, 0.003, 2) * self._random.choice([0, 1])
        moved = []
        for t in (0, distance, distance / 2):
            a, b, half = 1 + nearer * t, roll * t, cut / 2
            at = (
                np.array([[a, -b], [b, a]]) @ (-half - corner[1] - speed[0] * t, -half - corner[0] - speed[1] * t)
                + half
            )
            move = np.array([[a, -b, at[0]], [b, a, at[1]]], np.float32)
            options = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REFLECT}
            moved.append(np.asarray(cv2.warpAffine(picture, move, (cut, cut), **options), np.uint8))  # type: ignore[call-overload]
        return moved

    def _drawn(self, side: int, distance: int) -> Pictures:
        """Polygons over one another, flat or striped, each with a motion of its own."""
        r = self._random
        frames = np.empty((3, side, side, 3), np.float32)
        frames[:] = r.integers(0, 256, 3)
        speed = r.choice([0.3, 1.0, 2.5])
        camera = r.normal(0, speed, 2)
        rows, cols = np.mgrid[:side, :side]
        for _ in range(int(r.integers(5, 30))):
            at, motion = r.uniform(-10, side + 10, 2), camera + r.normal(0, speed * 0.5, 2)
            angles = np.sort(r.uniform(0, 2 * np.pi, int(r.integers(3, 9))))
            radius = r.uniform(2, 50) * r.uniform(0.5, 1, (len(angles), 1))
            corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius
            colour, pitch, turn = r.integers(0, 256, 3), r.uniform(0.05, 0.8), r.uniform(0, np.pi)
            stripes = r.uniform(5, 50) if r.random() < 0.5 else 0.0
            for k, t in enumerate((0, distance, distance / 2)):
                place = at + motion * t
                mask = np.zeros((side, side), np.uint8)
                cv2.fillPoly(mask, [np.rint((corners + place) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
                wave = np.sin(((cols - place[0]) * np.cos(turn) + (rows - place[1]) * np.sin(turn)) * pitch)
                shown = colour + stripes * wave[..., None]
                frames[k] += (mask[..., None] / 255.0) * (shown - frames[k])
        return np.clip(np.rint(frames), 0, 255).astype(np.uint8)

    def _varied(self, three: Pictures) -> Pictures:
        """Mirrored, turned, and in other colours: a shot's own colours and directions must not be learnt."""
        r = self._random
        if r.random() < 0.5:
            three = three[:, :, ::-1]
        if r.random() < 0.5:
            three = three[:, ::-1]
        if r.random() < 0.5:
            three = three.swapaxes(1, 2)
        if r.random() < 0.6:
            x = three[..., r.permutation(3)].astype(np.float32) / 255.0
            if r.random() < 0.3:
                grey = x.mean(axis=-1, keepdims=True)
                x = np.clip(grey + (x - grey) * r.uniform(0, 1.6), 0, 1)
            x = (x ** r.uniform(0.6, 1.5) - 0.5) * r.uniform(0.6, 1.4) + 0.5 + r.uniform(-0.15, 0.15)
            three = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(three)
