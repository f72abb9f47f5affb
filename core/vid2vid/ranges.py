# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a generator's blocks read on training frames, which tells how to round it to 8 bits (`quantised`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.takes import write_atomically
from mapreel.core.vid2vid.checkpoint import RANGES, load_model, open_model
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.dataset import TrainingShot, check_shots
from mapreel.core.vid2vid.inputs import tensor_to_picture
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.quantised import BlockRange, RangeMeter, as_header
from mapreel.core.vid2vid.streams import CropStream
from mapreel.core.vid2vid.training_data import load_data

CROPS = 48
LARGEST_CROP_PX = 256


@torch.inference_mode()
def measure_ranges(
    generator: Generator, config: GeneratorConfig, shots: list[TrainingShot], device: torch.device
) -> dict[str, BlockRange]:
    """What the blocks read in crops of the shots, as training sees them; the same ones each time.

    CROPS of them, or as many as there are frames.
    """
    h, w = (min(side, LARGEST_CROP_PX) // config.stride_px * config.stride_px for side in _smallest(shots))
    stream = CropStream(shots, config, (h, w), np.random.default_rng(0))
    meter = RangeMeter()
    with meter.watching(generator):
        for _ in range(min(CROPS, sum(map(len, shots)))):
            sample = stream.next()
            given = (sample.inputs.labels, sample.inputs.extras, sample.warped, sample.valid)
            made = generator(*(part.to(device, memory_format=torch.channels_last) for part in given))
            stream.keep(tensor_to_picture(made.cpu()))
    return meter.ranges


def add_ranges(data: list[Path], out: Path, *, model: str) -> dict[str, Any]:
    """Write a model's file once more, with the ranges of its blocks, into the folder `out`.

    Args:
        data: what it was trained on: folders with color and label, or prepared data sets.
        out: folder of the new model.
        model: name or path.

    Returns:
        model (path of the weights), blocks.

    Raises:
        InputError: the data cannot be used.
        ModelError: the model cannot be used.
        OutputError: it cannot be written.
    """
    if not data:
        raise InputError("no training data is given", "give at least one folder with color and label")
    file, loaded = open_model(model), load_model(model)
    shots = [load_data(path, loaded.table) for path in data]
    check_shots(shots, loaded.config)
    ranges = measure_ranges(loaded.generator, loaded.config, shots, torch.device("cpu"))
    path = out / MODEL_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {**file.header, RANGES: json.dumps(as_header(ranges))}
    write_atomically(path, safetensors.torch.save(file.tensors, metadata=header))
    return {"model": str(path), "blocks": len(ranges)}


def _smallest(shots: list[TrainingShot]) -> tuple[int, int]:
    return min(shot.size_px[0] for shot in shots), min(shot.size_px[1] for shot in shots)
