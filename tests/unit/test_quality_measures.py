# SPDX-License-Identifier: GPL-3.0-or-later
"""PSNR by its definition; LPIPS against the yardsticks of the shared data."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mapreel.core.contract.errors import DamagedModelError, InputError, MissingModelError, UsageError
from mapreel.core.device import pick_device, synchronize, thread_count
from mapreel.core.media.images import read_color
from mapreel.core.quality import IDENTICAL_DB, lpips_squeeze, mean_psnr, psnr

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
WEIGHTS = SHARED / "networks" / "lpips_squeeze.safetensors"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the shared networks are not here")


def test_psnr_of_known_errors():
    black = np.zeros((4, 6, 3), np.uint8)
    assert psnr(black, black) == IDENTICAL_DB
    assert psnr(black, black + 255) == pytest.approx(0.0)
    assert psnr(black, black + 1) == pytest.approx(48.1308, abs=1e-3)
    assert mean_psnr([(black, black + 255), (black, black + 1)]) == pytest.approx(24.0654, abs=1e-3)


def test_psnr_refuses_what_cannot_be_compared():
    with pytest.raises(InputError):
        psnr(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError):
        mean_psnr([])


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255.0


@needs_weights
@torch.no_grad()
def test_lpips_yardsticks():
    network = lpips_squeeze(WEIGHTS)
    paths = sorted((SHARED / "street" / "test" / "color").glob("*.png"))
    blurred, late = [], []
    for index in range(2, 96, 8):
        picture, before = read_color(paths[index]), read_color(paths[index - 1])
        if index % 32 == 2:
            blurred.append(float(network(tensor(picture), tensor(cv2.GaussianBlur(picture, (0, 0), 2)))))
        late.append(float(network(tensor(picture), tensor(before))))
    assert np.mean(blurred) == pytest.approx(0.353, abs=0.02)  # 0.3527 over all twelve; three are quicker
    assert np.mean(late) == pytest.approx(0.072, abs=0.001)


@needs_weights
def test_lpips_is_a_loss():
    network = lpips_squeeze(WEIGHTS)
    picture = torch.rand(2, 3, 40, 48, requires_grad=True)
    network(picture, torch.zeros(2, 3, 40, 48)).sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert float(picture.grad.abs().max()) > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network(picture, picture).tolist() == [0.0, 0.0]


def test_lpips_refuses_other_files(tmp_path):
    with pytest.raises(MissingModelError):
        lpips_squeeze(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    with pytest.raises(DamagedModelError):
        lpips_squeeze(tmp_path / "text.safetensors")
    save_file({"something": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DamagedModelError):
        lpips_squeeze(tmp_path / "other.safetensors")


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in {"cpu", "cuda", "mps"}
    assert thread_count() >= 1
    synchronize(torch.device("cpu"))
    for wrong in ("toaster", "cuda:99", "meta"):
        with pytest.raises(UsageError):
            pick_device(wrong)
