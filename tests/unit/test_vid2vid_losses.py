# SPDX-License-Identifier: GPL-3.0-or-later
"""The terms of the training loss and the critics: what they say of good and bad frames, and where gradient goes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mapreel.core.media.warping import positions, warp_picture
from mapreel.core.vid2vid.adversary import (
    CLIP_CHANNELS,
    OasisAdversary,
    PatchAdversary,
    TemporalAdversary,
    made_clip,
    true_clip,
)
from mapreel.core.vid2vid.config import GeneratorConfig
from mapreel.core.vid2vid.discriminator import MultiScaleDiscriminator
from mapreel.core.vid2vid.inputs import FrameInputs, picture_to_tensor, tensor_to_picture
from mapreel.core.vid2vid.losses import carried
from mapreel.core.vid2vid.oasis import (
    SegmentationDiscriminator,
    class_weights,
    fake_verdict,
    mixing_mask,
    pixel_verdict,
)
from mapreel.core.vid2vid.streams import Between, History, StreamSample, Taught

CONFIG = GeneratorConfig(classes=3, width=48, height=32, widths=(4, 4), blocks=(0, 0), trust=True)


def unshifted(pictures):
    return pictures


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(3)


# --- carried ----------------------------------------------------------------------------------------------------


def pattern(h=24, w=40, shift=0.0):
    y, x = np.mgrid[:h, :w].astype(np.float32)
    tones = [np.sin((x - shift) * 0.5) + np.cos(y * 0.3), np.cos((x - shift) * 0.2 + y * 0.4), np.sin(y * 0.7)]
    return np.stack(tones, axis=-1).astype(np.float32)


def moved(picture, motion):
    return tensor_to_picture(carried(picture_to_tensor(picture), picture_to_tensor(motion)))


def test_a_picture_is_carried_as_opencv_carries_it():
    random = np.random.default_rng(1)
    motion = cv2.GaussianBlur(random.normal(0, 12, (24, 40, 2)).astype(np.float32), (7, 7), 2)
    at = positions(motion)
    wanted = cv2.remap(pattern(), at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # OpenCV rounds places to 1/32 pixel
    assert np.abs(moved(pattern(), motion) - wanted).max() < 0.04


def test_whole_pixels_are_carried_exactly():
    motion = np.zeros((24, 40, 2), np.float32)
    motion[..., 0], motion[..., 1] = -3, 2
    assert np.abs(moved(pattern(), motion) - warp_picture(pattern(), motion)).max() < 1e-4


def test_a_moving_pattern_is_carried_to_where_it_went():
    motion = np.zeros((24, 40, 2), np.float32)
    motion[..., 0] = -2.5
    error = np.abs(moved(pattern(), motion) - pattern(shift=2.5))[:, 3:]
    assert error.max() < 0.04


def test_gradient_goes_back_to_where_the_picture_came_from():
    motion = torch.zeros(1, 2, 8, 12)
    motion[:, 0] = -3
    picture = torch.zeros(1, 1, 8, 12, requires_grad=True)
    carried(picture, motion)[..., 4, 7].sum().backward()
    assert picture.grad[0, 0, 4, 4] == pytest.approx(1, abs=1e-5)
    assert picture.grad.sum() == pytest.approx(1, abs=1e-5)


# --- the critic that labels pixels ------------------------------------------------------------------------------


def test_rare_classes_weigh_more():
    classes = torch.zeros(1, 8, 10, dtype=torch.long)
    classes[0, 0, :4] = 2
    weights = class_weights(classes, 4)
    assert weights[1] == weights[3] == 0
    assert weights[2] / weights[0] == pytest.approx(76 / 4)
    assert weights[classes].mean() == pytest.approx(1)


def test_a_verdict_is_low_for_the_right_class_only():
    classes = torch.randint(0, 3, (2, 6, 6))
    sure = 9 * torch.nn.functional.one_hot(classes, 4).permute(0, 3, 1, 2).float()
    weights = torch.ones(3)
    assert pixel_verdict(sure, classes, weights) < 0.01
    assert pixel_verdict(sure, (classes + 1) % 3, weights) > 5
    assert fake_verdict(sure) > 5
    assert fake_verdict(9 * torch.eye(4)[3].view(1, 4, 1, 1).expand(2, 4, 6, 6)) < 0.01


def test_a_mask_of_labelmix_keeps_to_the_classes():
    classes = torch.randint(0, 3, (16, 5, 7))
    mask = mixing_mask(classes, 3)
    assert mask.shape == (16, 1, 5, 7)
    for picture, mixed in zip(classes, mask[:, 0], strict=True):
        assert all(len(mixed[picture == kind].unique()) == 1 for kind in picture.unique())
    assert 0.2 < mask.float().mean() < 0.8


@pytest.mark.parametrize("size", [(32, 48), (31, 47), (32, 47), (17, 65)])
def test_scores_have_the_size_of_the_picture(size):
    critic = SegmentationDiscriminator(3, width=4)
    assert critic(torch.zeros(2, 3, *size)).shape == (2, 4, *size)


class PixelCritic(torch.nn.Module):
    """Says of each pixel what its colour says: nothing around it matters, so a mixture is judged as its parts."""

    def __init__(self):
        super().__init__()
        self.scores = torch.nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.scores(x)


def batch_of(n=2, h=32, w=48):
    labels = torch.zeros(n, 4, h, w)
    classes = torch.arange(w).view(1, 1, w).expand(n, h, w) * 3 // w
    labels[:, :3] = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2)
    truth = torch.tensor([-0.8, 0.0, 0.8])[classes][:, None] + 0.05 * torch.randn(n, 3, h, w)
    some = [torch.randn(n, 3, h, w) for _ in range(6)]
    valid = torch.ones(n, 1, h, w)
    history = History(some[0], some[1], some[2], valid)
    between = Between.none(h, w)
    return StreamSample(FrameInputs(labels, torch.zeros(n, 6, h, w)), some[3], valid, truth, valid, between, history)


def test_a_critic_of_single_pixels_is_consistent_under_labelmix():
    batch = batch_of()
    made = torch.randn_like(batch.truth)
    adversary = OasisAdversary(CONFIG, PixelCritic())
    loss, view = adversary.critic_loss(batch, made, unshifted)
    classes = batch.inputs.labels[:, :3].argmax(1)
    scores = adversary.critic(torch.cat([batch.truth, made])).chunk(2)
    told = pixel_verdict(scores[0], classes, class_weights(classes, 3)) + fake_verdict(scores[1])
    assert view == []
    assert loss.item() == pytest.approx(told.item(), abs=0.02)


def test_the_pixel_critic_learns_to_tell_classes_and_what_was_made():
    batch = batch_of(1, 16, 24)
    made = torch.rand_like(batch.truth) * 2 - 1
    adversary = OasisAdversary(CONFIG, SegmentationDiscriminator(3, width=8, levels=2))
    adam = torch.optim.Adam(adversary.critic.parameters(), 5e-3)
    before = adversary.generator_terms(batch, batch.truth, [], unshifted)["adversarial"]
    for _ in range(40):
        loss, _ = adversary.critic_loss(batch, made, unshifted)
        adam.zero_grad()
        loss.backward()
        adam.step()
    good, bad = (adversary.generator_terms(batch, p, [], unshifted)["adversarial"] for p in (batch.truth, made))
    assert good < 0.7 * before
    assert good < 0.7 * bad


def test_the_generator_hears_of_every_pixel():
    batch = batch_of()
    made = torch.zeros_like(batch.truth).requires_grad_()
    adversary = OasisAdversary(CONFIG, SegmentationDiscriminator(3, width=4))
    adversary.generator_terms(batch, made, [], lambda p: p[..., 1:, 1:])["adversarial"].backward()
    assert (made.grad[..., 1:, 1:] != 0).float().mean() > 0.9
    assert not made.grad[..., 0, :].any()


# --- patches and clips ------------------------------------------------------------------------------------------


def test_true_frames_match_themselves():
    batch = batch_of()
    adversary = PatchAdversary(CONFIG, MultiScaleDiscriminator(3 + 4 + 3, 4))
    _, real = adversary.critic_loss(batch, torch.randn_like(batch.truth), unshifted)
    adversary.critic.eval()  # spectral norm moves with every look while it trains
    _, real = adversary.critic_loss(batch, torch.randn_like(batch.truth), unshifted)
    terms = adversary.generator_terms(batch, batch.truth, real, unshifted)
    assert set(terms) == {"adversarial", "matching"}
    assert terms["matching"] < 1e-2
    assert adversary.generator_terms(batch, -batch.truth, real, unshifted)["matching"] > 5 * terms["matching"]


def test_a_clip_shows_this_frame_and_the_two_before_it():
    batch = batch_of()
    clip = made_clip(batch, batch.truth)
    assert clip.shape == (2, CLIP_CHANNELS, 32, 48)
    assert torch.equal(clip[:, :3], batch.truth)
    assert torch.equal(clip[:, 3:6], batch.warped)
    assert torch.equal(clip[:, 7:10], batch.history.earlier)
    same = replace(batch, warped=batch.history.true_before)
    same = replace(same, history=replace(batch.history, earlier=batch.history.true_earlier))
    assert torch.equal(made_clip(same, same.truth), true_clip(same))


def test_what_may_not_be_trusted_is_not_shown():
    batch = batch_of()
    batch = replace(batch, valid=torch.zeros_like(batch.valid), warped=torch.full_like(batch.warped, float("nan")))
    assert not made_clip(batch, batch.truth)[:, 3:7].any()


def clip_adversary():
    return TemporalAdversary(MultiScaleDiscriminator(CLIP_CHANNELS, 4))


def test_frames_without_two_before_them_are_left_out():
    batch = batch_of()
    nowhere = torch.zeros_like(batch.history.valid)
    nowhere[1] = 1
    adversary = clip_adversary().critic.eval()
    adversary = TemporalAdversary(adversary)
    half = replace(batch, history=replace(batch.history, valid=nowhere))
    made = torch.randn_like(batch.truth).requires_grad_()
    _, real = adversary.critic_loss(half, made.detach(), unshifted)
    assert real[0][0].shape[0] == 1
    terms = adversary.generator_terms(half, made, real, unshifted)
    sum(terms.values()).backward()
    assert made.grad[1].any()
    assert not made.grad[0].any()
    none = replace(batch, history=replace(batch.history, valid=torch.zeros_like(nowhere)))
    loss, real = adversary.critic_loss(none, made.detach(), unshifted)
    assert (loss.item(), real) == (0, [])
    assert [t.item() for t in adversary.generator_terms(none, made, real, unshifted).values()] == [0, 0]


def test_a_clip_like_the_teacher_s_is_near_to_it():
    batch = batch_of()
    same = Taught(batch.truth, batch.truth, batch.warped, batch.history.earlier)
    batch = replace(batch, taught=same)
    adversary = TemporalAdversary(clip_adversary().critic.eval())
    _, real = adversary.critic_loss(batch, batch.truth, unshifted)
    near = adversary.generator_terms(batch, batch.truth, real, unshifted)["taught_clip"]
    other = (-batch.truth).requires_grad_()
    far = adversary.generator_terms(batch, other, real, unshifted)["taught_clip"]
    far.backward()
    assert near < 1e-6
    assert far > 0.01
    assert other.grad.any()
