# SPDX-License-Identifier: GPL-3.0-or-later
"""KID on sets whose distance is known, and the network under it by its shapes and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mapreel.core.contract.errors import DamagedModelError, InputError, MissingModelError
from mapreel.core.quality_kid import EfficientNetLite0, efficientnet_lite0, kernel_distance


def stored_names(network: EfficientNetLite0) -> dict[str, torch.Tensor]:
    """The network's tensors under the names of the published file."""
    units = {
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "head.conv": "_conv_head",
        "head.norm": "_bn1",
        "expand.conv": "_expand_conv",
        "expand.norm": "_bn0",
        "spread.conv": "_depthwise_conv",
        "spread.norm": "_bn1",
        "project.conv": "_project_conv",
        "project.norm": "_bn2",
    }
    found = {}
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        before = [f"_{parts[0]}", parts[1]] if parts[0] == "blocks" else []
        unit = parts[2:4] if before else parts[:2]
        found[".".join([*before, units[".".join(unit)], parts[-1]])] = tensor.contiguous()
    return {**found, "_fc.weight": torch.zeros(3, 3), "_fc.bias": torch.zeros(3)}


def test_a_set_against_itself_is_near_zero_and_others_are_ordered():
    rng = np.random.default_rng(7)
    draw = rng.standard_normal((200, 16)).astype(np.float32)
    again = rng.standard_normal((200, 16)).astype(np.float32)
    near, far = again + 0.3, again + 1.0
    assert abs(kernel_distance(draw, again)) < 0.02
    assert kernel_distance(draw, draw) < 0.0  # unbiased: each picture is missing among its own set's pairs only
    assert abs(kernel_distance(draw, again)) < kernel_distance(draw, near) < kernel_distance(draw, far)
    assert kernel_distance(draw, far) == pytest.approx(kernel_distance(far, draw))


def test_two_points_by_hand():
    """k(x, y) = (x·y / 2 + 1)³: within {0, 0} it is 1, within {2, 2} of two dimensions 27, across 1."""
    zeros, twos = np.zeros((2, 2)), np.full((2, 2), np.sqrt(2.0))
    assert kernel_distance(zeros, zeros) == pytest.approx(0.0)
    assert kernel_distance(zeros, twos) == pytest.approx(1.0 + 27.0 - 2.0)


def test_one_picture_is_no_set():
    with pytest.raises(InputError, match="two"):
        kernel_distance(np.zeros((1, 4)), np.zeros((3, 4)))


@torch.no_grad()
def test_the_network_loads_by_the_published_names(tmp_path):
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    assert sum(p.numel() for p in network.parameters()) == 3_371_008  # 4.65 M with the classifier's 1.28 M
    save_file(stored_names(network), tmp_path / "lite0.safetensors")
    loaded = efficientnet_lite0(tmp_path / "lite0.safetensors")
    picture = torch.rand(2, 3, 40, 72)
    features = loaded(picture)
    assert features.shape == (2, 1280)
    assert torch.equal(features, network(picture))
    assert not any(p.requires_grad for p in loaded.parameters())


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MissingModelError):
        efficientnet_lite0(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    with pytest.raises(DamagedModelError):
        efficientnet_lite0(tmp_path / "text.safetensors")
    save_file({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "part.safetensors")
    with pytest.raises(DamagedModelError, match="EfficientNet"):
        efficientnet_lite0(tmp_path / "part.safetensors")
