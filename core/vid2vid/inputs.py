# SPDX-License-Identifier: GPL-3.0-or-later
"""From integer maps to what the network reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapreel.core.contract.errors import UnknownLabelError
from mapreel.core.vid2vid.config import GeneratorConfig


class ClassTable:
    """Label ids of the user's maps to class indices of a model, by exact value."""

    def __init__(self, ids: tuple[int, ...], names: tuple[str, ...]) -> None:
        if len(set(ids)) != len(ids) or not all(type(i) is int and 0 <= i < 65536 for i in ids):
            raise ValueError(f"class ids must be different whole numbers from 0 to 65535, not {ids}")
        self.ids, self.names = ids, names
        self._index = np.full(65536, -1, np.int32)
        self._index[list(ids)] = np.arange(len(ids))

    def listed(self) -> list[dict[str, int | str]]:
        """Ids and names in their order, as headers keep them."""
        return [{"id": i, "name": n} for i, n in zip(self.ids, self.names, strict=True)]

    def indices(self, labels: NDArray[np.unsignedinteger], *, file: str, frame: int) -> NDArray[np.intp]:
        """Class indices of a label map [H, W].

        Raises:
            UnknownLabelError: the map holds ids the model was not trained on; names them with their pixel counts.
        """
        indices: NDArray[np.intp] = self._index[labels].astype(np.intp)
        if indices.min() < 0:
            unknown, counts = np.unique(labels[indices < 0], return_counts=True)
            shown = ", ".join(f"{i} ({n} pixels)" for i, n in list(zip(unknown, counts, strict=True))[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            known = ", ".join(f"{i} {name}" for i, name in zip(self.ids, self.names, strict=True))
            raise UnknownLabelError(
                f"frame {frame} ({file}) holds labels this model does not know: {shown}{more}",
                f"remap them to the model's classes ({known}) or choose another model",
                file=file,
                frame=frame,
            )
        return indices


@dataclass(frozen=True)
class FrameInputs:
    """What the generator reads of one frame, apart from its memory."""

    labels: Tensor  # [N, label_channels, H, W] float32 0..1, 0 or 1 but for the channels of a drawing
    extras: Tensor  # [N, 3 * looks + 2 * position + trust, H, W] float32 -1..1


def encode_frame(
    config: GeneratorConfig,
    classes: NDArray[np.intp],
    edges: NDArray[np.bool_] | None,
    looks: NDArray[np.float32] | None,
    origin_px: tuple[int, int] = (0, 0),
    full_px: tuple[int, int] | None = None,
    trust: NDArray[np.float32] | None = None,
    condition: NDArray[np.float32] | None = None,
) -> FrameInputs:
    """One frame's maps as network input, batch of one.

    Args:
        config: of the generator.
        classes: [H, W] class indices.
        edges: [H, W] instance edges; None counts as no edge anywhere.
        looks: [H, W, 3] instance colours, sRGB 0..1.
        origin_px: (y, x) of the maps' first pixel in the whole picture, for crops.
        full_px: (H, W) of the whole picture; None means the maps are the whole picture.
        trust: [H, W] how far `looks` may be believed, 0..1.
        condition: [H, W, conditions] what `media.drawing.conditions` reads of a drawing, 0..1.
    """
    h, w = classes.shape
    labels = np.zeros((h, w, config.label_channels), np.float32)  # rows of pixels: channels-last memory from here on
    np.put_along_axis(labels, classes[..., None], 1.0, axis=2)
    if config.edges and edges is not None:
        labels[..., config.classes] = edges
    if config.conditions:
        assert condition is not None
        labels[..., config.classes + int(config.edges) :] = condition
    extras = []
    if config.looks:
        assert looks is not None
        extras.append(looks * np.float32(2.0) - np.float32(1.0))
    if config.position:
        extras.append(_coordinates((h, w), origin_px, full_px or (h, w)))
    if config.trust:
        assert trust is not None
        extras.append(trust[..., None] * np.float32(2.0) - np.float32(1.0))
    joined = np.concatenate(extras, axis=2) if extras else np.zeros((h, w, 0), np.float32)
    return FrameInputs(_planes(labels), _planes(joined))


def _planes(rows: NDArray[np.float32]) -> Tensor:
    """[H, W, C] -> [1, C, H, W] of the same memory."""
    return torch.from_numpy(rows).permute(2, 0, 1)[None]


def _coordinates(size: tuple[int, int], origin_px: tuple[int, int], full_px: tuple[int, int]) -> NDArray[np.float32]:
    y = (np.arange(size[0], dtype=np.float32) + origin_px[0] + 0.5) / full_px[0] * 2 - 1
    x = (np.arange(size[1], dtype=np.float32) + origin_px[1] + 0.5) / full_px[1] * 2 - 1
    return np.stack(np.broadcast_arrays(y[:, None], x[None, :]), axis=2).astype(np.float32)


def picture_to_tensor(picture: NDArray[np.float32]) -> Tensor:
    """[H, W, 3] float32 in -1..1 -> [1, 3, H, W], channels last."""
    return _planes(np.require(picture, np.float32, ["C", "W"]))


def tensor_to_picture(tensor: Tensor) -> NDArray[np.float32]:
    """[1, 3, H, W] in -1..1 -> [H, W, 3] float32 contiguous."""
    return np.ascontiguousarray(tensor[0].float().numpy().transpose(1, 2, 0))
