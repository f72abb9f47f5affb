# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile's size is the paper's, and scales with the frame."""

from __future__ import annotations

import dataclasses

import pytest

from mapreel.core.nirvana.config import (
    LATENTS_PER_PIXEL,
    MAX_JOINED_FLOATS,
    PRESETS,
    hidden_width,
    network_for,
    patch_grid,
)


def test_uvg_settings_give_the_papers_counts():
    network = network_for(1080, 1920, 3)
    assert (network.hidden, network.features) == (512, 16)
    assert network.latents == 2_360_320  # 2.36 M
    assert network.other_parameters == 19_700
    assert network.latents / (1920 * 1080 * 3) == LATENTS_PER_PIXEL < 0.38


@pytest.mark.parametrize(("height", "width"), [(256, 512), (720, 1280), (288, 352), (2160, 4096), (97, 1001)])
@pytest.mark.parametrize("frames", [1, 3, 8])
def test_width_is_the_widest_within_the_ratio(height, width, frames):
    network = network_for(height, width, frames)
    pixels = height * width * frames
    assert network.hidden == hidden_width(height, width, frames, network.features)
    assert network.latents <= 0.38 * pixels or network.hidden == 1
    wider = dataclasses.replace(network, hidden=network.hidden + 1)
    assert wider.latents > LATENTS_PER_PIXEL * pixels or wider.joined_floats > MAX_JOINED_FLOATS


def test_street_size():
    street = network_for(256, 512, 3)
    assert (street.hidden, street.features) == (70, 8)
    assert street.latents / (256 * 512 * 3) < 0.38
    assert network_for(1, 1, 3).hidden == 1
    assert patch_grid(33, 1) == (2, 1)


def test_presets_spend_more_and_more():
    spent = [(PRESETS[name].first_iterations, PRESETS[name].next_iterations) for name in ("draft", "good", "best")]
    assert spent == sorted(spent)
    assert spent[2] == (16000, 2000)  # the paper's own
