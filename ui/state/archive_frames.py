# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame out of an archive, decoded by the worker: the panel itself never loads the codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapreel.core.contract.requests import PeekRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mapreel.core.contract.client import ServiceClient


def ask_frame(archive: str, number: int, client: ServiceClient) -> NDArray[Any]:
    """Pixels [H, W, 3] uint8 of a frame number. Raises what the archive is refused with."""
    import numpy as np

    frame = client.peek(PeekRequest(archive=archive, frame=number))
    return np.frombuffer(frame.pixels, np.uint8).reshape(frame.height, frame.width, 3)
