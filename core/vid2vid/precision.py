# SPDX-License-Identifier: GPL-3.0-or-later
"""Which number format a device computes fastest in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch


@cache
def has_fast_bfloat16(device: torch.device) -> bool:
    """True where bfloat16 convolutions run in hardware; elsewhere they would be emulated, slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check()) if check else False


def fast_precision(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where that is fast; weights stay float32 outside."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_fast_bfloat16(device))
