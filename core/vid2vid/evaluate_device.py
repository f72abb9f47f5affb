# SPDX-License-Identifier: GPL-3.0-or-later
"""What `mapreel bench render --device` measures: fast quality from maps to frames, both in a device's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import RenderRequest
from mapreel.core.device import memory_guard, pick_device, synchronize
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.resident import DeviceMaps, ResidentRenderer, upload
from mapreel.core.vid2vid.shot import open_shot

LEAST_S = 2.0
"""A shot is rendered again and again for so long."""


def measure_device(request: RenderRequest, device_name: str) -> dict[str, Any]:
    """Frames a second of a shot of label maps, device to device; reading maps and choosing keys is not in it.

    While the clock runs on a graphics card, torch refuses every operation that would wait for it.

    Returns:
        device, precision, frames, key_share, frames_per_second, seconds_reading (maps on disk to device), peak_mb (of
        the card's memory, None on a processor).

    Raises:
        UsageError: there is no such device, or the model draws faces or bodies.
        MapreelError: the device has not enough memory.
    """
    device = pick_device(device_name)
    model = load_model(request.model)
    if model.config.task != "city":
        raise UsageError("the measure is for label maps", "choose a model that was trained on label maps")
    started = time.perf_counter()
    shot = open_shot(model, request)
    with memory_guard("render this shot on the device alone"):
        maps = upload(shot, model, device)
        reading = time.perf_counter() - started
        renderer = ResidentRenderer(model, device, shot.size_px)
        rate = _rate(renderer, maps, device)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": str(renderer.kind).removeprefix("torch."),
        "frames": len(maps),
        "key_share": len(maps.keys) / len(maps),
        "frames_per_second": rate,
        "seconds_reading": reading,
        "peak_mb": torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None,
    }


def _rate(renderer: ResidentRenderer, maps: DeviceMaps, device: torch.device) -> float:
    for _ in renderer.frames(maps):  # libraries choose their kernels, the graph is captured
        pass
    synchronize(device)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < LEAST_S:
        with _no_waiting(device):
            made = list(renderer.frames(maps))
        synchronize(device)
        count += len(made)
    return count / (time.perf_counter() - started)


@contextmanager
def _no_waiting(device: torch.device) -> Iterator[None]:
    """Make an error of every wait for the card that torch knows of."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
