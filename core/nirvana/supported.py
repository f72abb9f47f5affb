# SPDX-License-Identifier: GPL-3.0-or-later
"""What an encode or decode may ask for that this version cannot do. Loads no torch, so that it is said at once."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, EncodeRequest
from mapreel.core.contract.takes import is_file_take


def refuse_encode(request: EncodeRequest) -> None:
    """Raises UsageError for targets in bits or megabytes that the paper's profile cannot aim at."""
    if request.profile == "nirvana" and (request.bits_per_pixel is not None or request.size_mb is not None):
        raise UsageError("profile nirvana cannot aim at a size", "use --profile reel, or give --psnr or a preset")


def refuse_decode(request: DecodeRequest) -> None:
    """Raises UsageError for movies other than MP4, and for a movie with maps or another format."""
    out = Path(request.out)
    if is_file_take(out) and (request.maps or request.image_format is not DecodeFormat.AUTO):
        raise UsageError("a movie holds neither maps nor another format", "name a folder, or leave them out")
    if is_file_take(out) and out.suffix.lower() != ".mp4":
        raise UsageError(f"movies are written as .mp4, not {out.suffix}", "name the output .mp4 or a folder")
