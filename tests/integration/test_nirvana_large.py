# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of 4096 x 2160 and regions of them in bounded memory, in a process of its own that is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from mapreel.core.nirvana.config import NetworkConfig, write_settings
from mapreel.core.nirvana.groups import pack_group
from mapreel.core.nirvana.header import Header
from mapreel.core.nirvana.quantise import CodedGroup
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.shaper import Shaper
from mapreel.core.nirvana.writer import FinishedGroup, Parts, write_archive

MEASURED = """
import json, resource, sys
import torch
torch.set_num_threads(1)
from mapreel.core.nirvana.archive import Archive
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Archive(sys.argv[1]) as archive:
    part = archive.frame(1, region=(2048, 1024, 64, 32))
    small = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = archive.frame(2)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
same = bool((whole.shape, part.shape) == ((2160, 4096, 4), (32, 64, 4)))
print(json.dumps([same, small - before, after - before]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="measures with getrusage")
def test_4096_by_2160_half_floats_with_alpha(tmp_path):
    network, rng = NetworkConfig(hidden=4, group_frames=2, features=8), np.random.default_rng(0)
    symbols = {layer.name: rng.integers(-9, 10, layer.shape).astype(np.int32) for layer in network.layers}
    payload = pack_group(CodedGroup(symbols, dict.fromkeys(symbols, 2.0**-7)), None, network)
    form = PictureFormat(samples=SampleFormat.HALF, alpha=True, shaper=Shaper(0.0, 16.0))
    header = Header(
        total_bytes=0, width=4096, height=2160, frames=2, fps=Fraction(24), group_frames=2, intra_interval=1,
        pictures=form,
    )  # fmt: skip
    group = FinishedGroup(payload, b"", payload)
    path = tmp_path / "large.nirv"
    write_archive(path, Parts(header=header, numbers=(1, 2), settings=(write_settings(network),) * 2, groups=[group]))
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], check=True, capture_output=True, text=True, timeout=120
    )
    same, small, all_of_it = json.loads(run.stdout)
    unit = 1024 if sys.platform != "darwin" else 1
    assert same
    assert small * unit < 200 << 20
    pictures = 2 * 2160 * 4096 * 4 * 2  # samples of the group
    assert all_of_it * unit < pictures + (400 << 20)
