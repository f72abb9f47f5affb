# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that cannot be read in the middle of a shot: their frames fail, or others stand for them; the job lives."""

from __future__ import annotations

import json
import re

import pytest

from mapreel.core.contract.errors import DamagedFileError, FramesLostError, MixedSizesError
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import DraftRequest, Quality
from mapreel.core.media import sequence
from mapreel.core.media.images import read_color
from mapreel.core.media.takecheck import check_take
from mapreel.core.vid2vid.draft import DraftStudio

SHOT = "1001-1018"
NUMBERS = range(1001, 1019)


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    """As a file system leaves a file after a power cut."""
    path.write_bytes(bytes(path.stat().st_size))


def text(path):
    path.write_text("Permission denied\n")


def beheaded(path):
    path.write_bytes(path.read_bytes()[:20])


HARMS = [cut, empty, zeros, text, beheaded]


def path_of(shot, kind, number):
    return next((shot / kind).glob(f"{number}.*"))


def story(folder):
    return json.loads((folder / "mapreel.json").read_text())


@pytest.fixture(scope="module")
def whole(street, tmp_path_factory, model):
    """The shot without damage, in both qualities."""
    from mapreel.core.contract.progress import SilentContext
    from mapreel.core.contract.requests import RenderRequest
    from mapreel.core.vid2vid.render_job import run_render

    takes = {}
    with pytest.MonkeyPatch.context() as patch:
        import functools

        from mapreel.core.vid2vid import shot as shot_module
        from mapreel.core.vid2vid.timeline import Timeline

        patch.setattr(shot_module, "Timeline", functools.partial(Timeline, every=12, run_in=4))
        for quality in (Quality.FULL, Quality.FAST):
            take = tmp_path_factory.mktemp("whole") / quality.value
            request = RenderRequest(
                labels=str(street / "label"),
                instances=str(street / "instance"),
                motion=str(street / "motion"),
                model=str(model),
                out=str(take),
                frames=SHOT,
                quality=quality,
            )
            run_render(request, take, SilentContext())
            takes[quality] = {path.name: path.read_bytes() for path in sorted(take.glob("*.png"))}
    return takes


@pytest.mark.parametrize("quality", [Quality.FULL, Quality.FAST])
@pytest.mark.parametrize("kind", ["label", "instance", "motion"])
def test_the_frame_fails_the_others_are_made_and_a_second_attempt_makes_what_is_owed(
    own_street, render, whole, short_timeline, tmp_path, pictures, kind, quality
):
    broken = path_of(own_street, kind, 1008)
    good = broken.read_bytes()
    cut(broken)
    with pytest.raises(FramesLostError) as caught:
        render(own_street, "take", frames=SHOT, quality=quality)
    error = caught.value
    assert (error.frame, error.exit_code, error.file) == (1008, 1, str(broken))
    assert "frame 1008 is not rendered, the other 17 are: frame 1008" in str(error)
    made = pictures(tmp_path / "take")
    assert set(made) == set(whole[quality]) - {"1008.png"}
    before = [name for name in whole[quality] if name < "1002.png"]  # no key frame or fade can lean on the damage
    assert {name: made[name] for name in before} == {name: whole[quality][name] for name in before}
    assert (story(tmp_path / "take")["finished"], list(story(tmp_path / "take")["failed"])) == (False, ["1008"])
    assert any("not finished" in fault for fault in check_take(tmp_path / "take").faults)

    with pytest.raises(FramesLostError):  # nothing was mended: just that frame is tried
        render(own_street, "take", frames=SHOT, quality=quality, resume=True)
    assert pictures(tmp_path / "take") == made

    broken.write_bytes(good)
    result = render(own_street, "take", frames=SHOT, quality=quality, resume=True)
    assert pictures(tmp_path / "take") == whole[quality]
    assert result["rendered"] < 18
    assert story(tmp_path / "take")["finished"] is True
    assert "failed" not in story(tmp_path / "take")
    assert check_take(tmp_path / "take").faults == []


@pytest.mark.parametrize("policy", [MissingFrames.HOLD, MissingFrames.BLACK])
@pytest.mark.parametrize("kind", ["label", "instance", "motion"])
def test_with_a_policy_others_stand_for_what_is_broken(own_street, render, tmp_path, pictures, kind, policy):
    for number in (1003, 1004):
        cut(path_of(own_street, kind, number))
    result = render(own_street, "take", frames="1001-1006", missing=policy)
    assert len(pictures(tmp_path / "take")) == result["frames"] == 6
    (note,) = result["notes"]
    how = "black" if policy is MissingFrames.BLACK else "held from the nearest frame"
    assert note.startswith(f"2 frames (1003-1004) are {how}, because files cannot be read: frame 1003")
    assert story(tmp_path / "take")["finished"] is True


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["label", "motion"])
def test_every_kind_of_damage_costs_its_frame_only(own_street, render, tmp_path, pictures, kind, harm):
    harm(path_of(own_street, kind, 1004))
    with pytest.raises(FramesLostError, match="frame 1004 is not rendered, the other 5 are"):
        render(own_street, "take", frames="1001-1006")
    assert list(pictures(tmp_path / "take")) == [f"{n}.png" for n in (1001, 1002, 1003, 1005, 1006)]


@pytest.mark.parametrize("harm", [cut, empty])
def test_the_first_frame_may_be_the_broken_one(own_street, render, tmp_path, pictures, harm):
    for kind in ("label", "instance"):
        harm(path_of(own_street, kind, 1001))
    with pytest.raises(FramesLostError, match="frame 1001 is not rendered, the other 3 are"):
        render(own_street, "take", frames="1001-1004")
    held = render(own_street, "held", frames="1001-1004", missing=MissingFrames.HOLD)
    assert held["frames"] == len(pictures(tmp_path / "held")) == 4


def test_a_shot_without_one_good_map_is_refused_with_what_is_wrong_with_the_first(own_street, render, tmp_path):
    for number in NUMBERS:
        empty(path_of(own_street, "label", number))
    with pytest.raises(DamagedFileError, match="frame 1001"):
        render(own_street, "take", frames="1001-1004")
    assert not (tmp_path / "take").exists()


def test_broken_maps_are_given_up_after_a_few(own_street, render, tmp_path, monkeypatch):
    for number in NUMBERS:
        text(path_of(own_street, "label", number))
    asked = []
    real = sequence.read_label_map
    monkeypatch.setattr(sequence, "read_label_map", lambda *a, **k: asked.append(a) or real(*a, **k))
    with pytest.raises(DamagedFileError, match="frame 1001"):
        render(own_street, "take", frames=SHOT)
    assert len(asked) == sequence.FIRST_TRIES
    assert not (tmp_path / "take").exists()


def test_all_planned_frames_are_broken(own_street, render, tmp_path):
    for number in (1003, 1004):
        cut(path_of(own_street, "label", number))
    with pytest.raises(DamagedFileError, match="frame 1003"):
        render(own_street, "take", frames="1003-1004")


def test_chunks_see_the_same_in_the_place_of_a_broken_map(own_street, render, short_timeline, tmp_path, pictures):
    """A chunk whose run-in begins at the broken map takes the same map for it as the whole shot does."""
    cut(path_of(own_street, "label", 1010))  # the run-in of the segment from 1013 on
    cut(path_of(own_street, "label", 1009))
    render(own_street, "whole", frames=SHOT, missing=MissingFrames.HOLD)
    render(own_street, "chunk", frames="1013-1018", missing=MissingFrames.HOLD)
    there = pictures(tmp_path / "whole")
    assert pictures(tmp_path / "chunk") == {f"{n}.png": there[f"{n}.png"] for n in range(1013, 1019)}


def test_a_map_that_vanishes_or_changes_its_size_on_the_way_fails_its_frame(own_street, render, tmp_path, listener):
    class Meddler(listener):
        def report(self, progress):
            super().report(progress)
            if progress.done == 2:
                path_of(own_street, "label", 1016).unlink()
                path = path_of(own_street, "instance", 1017)
                path.write_bytes((tmp_path / "small.png").read_bytes())

    import numpy as np

    from mapreel.core.media.images import write_png

    write_png(tmp_path / "small.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(FramesLostError, match=re.escape("2 frames (1016-1017) are not rendered, the other 16 are")):
        render(own_street, "take", frames=SHOT, context=Meddler())
    failed = story(tmp_path / "take")["failed"]
    assert "is not there" in failed["1016"]
    assert "mixes sizes" in failed["1017"]


def test_sizes_that_are_mixed_from_the_start_are_refused_at_the_start(own_street, render, tmp_path, maps):
    small = maps(tmp_path / "small", [1004], size=(24, 40))
    path_of(own_street, "label", 1004).write_bytes(path_of(small, "label", 1004).read_bytes())
    with pytest.raises(MixedSizesError):
        render(own_street, "take", frames="1001-1006")
    assert not (tmp_path / "take").exists()


def test_a_movie_waits_until_all_its_frames_are_there(own_street, render, tmp_path):
    broken = path_of(own_street, "label", 1004)
    good = broken.read_bytes()
    cut(broken)
    with pytest.raises(FramesLostError):
        render(own_street, "take.mp4", frames="1001-1006")
    assert not (tmp_path / "take.mp4").exists()
    broken.write_bytes(good)
    assert render(own_street, "take.mp4", frames="1001-1006", resume=True)["rendered"] < 6
    assert (tmp_path / "take.mp4").is_file()


def test_a_reference_needs_its_own_maps(own_street, render, tmp_path):
    cut(path_of(own_street, "label", 1003))
    picture = str(own_street / "color" / "1003.png")
    assert read_color(picture).shape == (48, 80, 3)
    with pytest.raises(DamagedFileError, match="frame 1003"):
        render(own_street, "take", frames="1001-1006", reference=((1003, picture),))


def test_a_draft_says_what_is_wrong_or_shows_what_stands_for_it(own_street, model):
    cut(path_of(own_street, "label", 1004))
    fields = {"labels": str(own_street / "label"), "model": str(model), "quality": Quality.FULL}
    studio = DraftStudio()
    with pytest.raises(DamagedFileError, match="frame 1004"):
        studio.draft(DraftRequest(frame=1004, **fields))
    facts, pixels = studio.draft(DraftRequest(frame=1004, missing=MissingFrames.HOLD, **fields))
    assert len(pixels) == facts["width"] * facts["height"] * 3
    assert studio.draft(DraftRequest(frame=1005, **fields))[0]["number"] == 1005
