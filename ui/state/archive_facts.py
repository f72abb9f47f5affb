# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive holds, asked of the worker: the panel itself never loads the codec."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapreel.core.contract.frames import FrameRange

if TYPE_CHECKING:
    from mapreel.core.contract.client import ServiceClient
    from mapreel.ui.state.shot import FoundShot


def ask_facts(found: FoundShot, client: ServiceClient) -> FoundShot:
    """The archive with its frame numbers, size and rate. Raises what the archive is refused with."""
    from mapreel.core.contract.requests import PeekRequest

    told = client.peek(PeekRequest(archive=found.archive, frame=None)).facts["archive"]
    numbers = tuple(FrameRange.parse(told["frames"]))
    return replace(found, numbers=numbers, size=(told["width"], told["height"]), fps=float(told["fps"]))
