# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile's size is the paper's, and scales with the frame."""

from __future__ import annotations

import pytest

from mapreel.core.nirvana.config import LATENTS_PER_PIXEL, PRESETS, NetworkConfig, hidden_width, patch_grid


def test_uvg_settings_give_the_papers_counts():
    network = NetworkConfig(hidden=hidden_width(1080, 1920, 3), group_frames=3)
    assert network.hidden == 512
    assert network.latents == 2_360_320  # 2.36 M
    assert network.other_parameters == 19_700
    assert network.latents / (1920 * 1080 * 3) == LATENTS_PER_PIXEL < 0.38


@pytest.mark.parametrize(("height", "width"), [(256, 512), (720, 1280), (288, 352), (2160, 4096), (97, 1001)])
@pytest.mark.parametrize("frames", [1, 3, 8])
def test_width_is_the_widest_within_the_ratio(height, width, frames):
    hidden = hidden_width(height, width, frames)
    pixels = height * width * frames
    assert NetworkConfig(hidden=hidden, group_frames=frames).latents <= 0.38 * pixels or hidden == 1
    wider = NetworkConfig(hidden=hidden + 1, group_frames=frames)
    assert wider.latents > LATENTS_PER_PIXEL * pixels or hidden == 2048


def test_street_size():
    assert hidden_width(256, 512, 3) == 36
    assert hidden_width(1, 1, 3) == 1
    assert patch_grid(33, 1) == (2, 1)


def test_presets_spend_more_and_more():
    spent = [(PRESETS[name].first_iterations, PRESETS[name].next_iterations) for name in ("draft", "good", "best")]
    assert spent == sorted(spent)
    assert spent[2] == (16000, 2000)  # the paper's own
