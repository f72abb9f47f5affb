# SPDX-License-Identifier: GPL-3.0-or-later
"""The playhead by a clock that the tests turn: true rate, dropped frames, loops, cuts, shuttle."""

from __future__ import annotations

import pytest

from mapreel.ui.state.playback import Playback
from mapreel.ui.state.shot import FoundShot, ShotKind


class Clock:
    """Seconds as the test says."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shot(studio):
    studio.drafts.enabled = False
    return add(studio, range(1001, 1011))


def add(studio, numbers, name="a", **words):
    found = FoundShot(
        kind=ShotKind.FOOTAGE, name=name, source=name, numbers=tuple(numbers), size=(8, 8), fps=25.0, **words
    )
    return studio.shots.add(found)


@pytest.fixture
def playback(studio, shot, clock):
    return Playback(studio.shots, clock=clock)


def pass_frames(playback, clock, frames):
    clock.now += frames / 25
    playback.tick()


def test_a_shot_begins_at_its_in_point_and_each_keeps_its_place(studio, playback, shot):
    assert playback.frame == 1001
    playback.go(1007)
    other = add(studio, range(1, 4), "b", cut=(2, 3))
    assert (playback.shot, playback.frame) == (other, 2)
    studio.shots.current = shot
    assert playback.frame == 1007


def test_time_is_never_stretched(playback, clock):
    playback.play()
    pass_frames(playback, clock, 1)
    assert playback.frame == 1002
    pass_frames(playback, clock, 4.5)
    assert playback.frame == 1006
    pass_frames(playback, clock, 0.5)
    assert playback.frame == 1007


def test_what_was_not_shown_in_time_is_counted(playback, clock):
    playback.play()
    for _ in range(3):
        pass_frames(playback, clock, 1)
        playback.count_shown(playback.frame)
    assert playback.dropped == 0
    pass_frames(playback, clock, 3)
    assert playback.dropped == 2
    playback.count_shown(playback.frame)
    playback.count_shown(playback.frame)
    pass_frames(playback, clock, 1)
    assert playback.dropped == 2
    playback.pause()
    playback.play()
    assert playback.dropped == 0


def test_it_loops_between_in_and_out_and_with_handles_over_all(playback, clock, shot):
    shot.cut_in, shot.cut_out = 1003, 1005
    playback.go(1003)
    playback.play()
    seen = []
    for _ in range(5):
        pass_frames(playback, clock, 1)
        seen.append(playback.frame)
    assert seen == [1004, 1005, 1003, 1004, 1005]
    playback.with_handles = True
    pass_frames(playback, clock, 2)
    assert playback.frame == 1007


def test_without_a_loop_it_rests_at_the_end_and_begins_again_from_there(playback, clock):
    playback.looping = False
    playback.go(1008)
    playback.play()
    pass_frames(playback, clock, 7)
    assert (playback.frame, playback.playing) == (1010, False)
    playback.play()
    assert (playback.frame, playback.playing) == (1001, True)


def test_backwards_and_twice_as_fast(playback, clock):
    playback.go(1009)
    playback.shuttle(-1)
    pass_frames(playback, clock, 2)
    assert playback.frame == 1007
    playback.shuttle(-1)
    assert playback.speed == 2
    pass_frames(playback, clock, 2)
    assert playback.frame == 1003
    playback.shuttle(1)
    assert (playback.speed, playback.direction) == (1, 1)


def test_steps_stop_at_the_ends_and_rest(playback):
    playback.play()
    playback.step(-1)
    assert (playback.frame, playback.playing) == (1001, False)
    playback.step(100)
    assert playback.frame == 1010


def test_home_and_end_go_to_the_cut_then_to_the_handles(playback, shot):
    shot.cut_in, shot.cut_out = 1003, 1008
    playback.go(1005)
    playback.to_first()
    assert playback.frame == 1003
    playback.to_first()
    assert playback.frame == 1001
    playback.to_last()
    assert playback.frame == 1008
    playback.to_last()
    assert playback.frame == 1010


def test_in_never_lies_behind_out(playback, shot):
    playback.go(1006)
    playback.set_out()
    playback.go(1008)
    playback.set_in()
    assert (shot.cut_in, shot.cut_out) == (1008, 1008)
    playback.clear_range()
    assert (shot.cut_in, shot.cut_out) == (1001, 1010)


def test_gaps_are_stepped_over_and_numbers_go_to_the_nearest(studio, clock):
    studio.drafts.enabled = False
    add(studio, (1, 2, 8, 9))
    playback = Playback(studio.shots, clock=clock)
    playback.go(7)
    assert playback.frame == 8
    playback.step(-1)
    assert playback.frame == 2
    playback.play()
    pass_frames(playback, clock, 2)
    assert playback.frame == 9


def test_what_comes_next_is_known_in_order(playback, shot):
    playback.go(1008)
    assert playback.ahead(4) == (1009, 1010)
    playback.play()
    assert playback.ahead(4) == (1009, 1010, 1001, 1002)
    assert playback.behind(3) == (1008, 1007, 1006)
    playback.direction = -1
    assert playback.ahead(2) == (1007, 1006)
    shot.cut_in, shot.cut_out = 1002, 1004
    playback.pause()
    playback.go(1009)
    assert playback.ahead(2) == (1008, 1007)


def test_a_shot_of_one_frame_and_none_do_not_play(studio, clock):
    studio.drafts.enabled = False
    playback = Playback(studio.shots, clock=clock)
    playback.toggle()
    playback.step(1)
    playback.to_last()
    assert not playback.playing
    add(studio, (5,))
    playback.toggle()
    assert (playback.frame, playback.playing) == (5, False)


def test_five_thousand_frames_are_found_without_a_search(studio, clock):
    studio.drafts.enabled = False
    add(studio, range(1, 5001))
    playback = Playback(studio.shots, clock=clock)
    for number in (1, 2500, 5000):
        playback.go(number)
        assert (playback.frame, playback.index) == (number, number - 1)
    playback.play()
    pass_frames(playback, clock, 25)
    assert playback.frame == 26
