# SPDX-License-Identifier: GPL-3.0-or-later
"""What an encode or decode may ask for that this version cannot do. Loads no torch, so that it is said at once."""

from __future__ import annotations

from pathlib import Path

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.pictures import file_spec
from mapreel.core.contract.requests import DecodeRequest, EncodeRequest
from mapreel.core.contract.takes import is_file_take


def refuse_encode(request: EncodeRequest) -> None:
    """Raises UsageError for targets in bits or megabytes that the paper's profile cannot aim at."""
    if request.profile == "nirvana" and (request.bits_per_pixel is not None or request.size_mb is not None):
        raise UsageError("profile nirvana cannot aim at a size", "use --profile reel, or give --psnr or a preset")


def refuse_decode(request: DecodeRequest) -> None:
    """Raises UsageError for a movie with maps or in a file that holds no such; the rest the archive decides."""
    out = Path(request.out)
    if not is_file_take(out):
        return
    if request.maps:
        raise UsageError("a movie holds no maps", "name a folder, or leave them out")
    file_spec(out, request.image_format.value, request.bits, request.compression)
