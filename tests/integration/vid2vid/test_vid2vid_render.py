# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering: every planned frame once, numbers in are numbers out, chunked equals unchunked, nothing is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os

import numpy as np
import pytest

from mapreel.core.contract.errors import (
    CancelledError,
    DiskFullError,
    FramesLostError,
    GapError,
    MissingInputError,
    MixedSizesError,
    ModelMismatchError,
    OutputError,
    OutputExistsError,
    UnknownLabelError,
    UsageError,
)
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import PICTURE_FIELDS, ImageFormat, KeyRule, Quality
from mapreel.core.contract.takes import claim_take, release_take
from mapreel.core.media import delivery
from mapreel.core.media.colour import to_light
from mapreel.core.media.images import read_color, read_color_float, write_png
from mapreel.core.media.movies import movie_info, read_movie, read_movie_frames
from mapreel.core.media.proof import prove_picture
from mapreel.core.quality import psnr
from mapreel.core.vid2vid import takefolder
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.reference import reference_digests
from mapreel.core.vid2vid.takefolder import plan_digest

NAMES = [f"{n}.png" for n in range(1001, 1041)]


def sidecar(take):
    return json.loads((take / "mapreel.json").read_text())


# --- a take -----------------------------------------------------------------------------------------------------


def test_every_planned_frame_is_there_and_reads(street, render, listener, short_timeline, quality, tmp_path, pictures):
    heard = listener()
    result = render(street, "take", quality=quality, context=heard)
    assert list(pictures(tmp_path / "take")) == NAMES
    for name in NAMES:
        assert read_color(tmp_path / "take" / name).shape == (48, 80, 3)
    assert (result["frames"], result["rendered"], result["planned"]) == (40, 40, "1001-1040")
    sizes = [path.stat().st_size for path in (tmp_path / "take").glob("*.png")]
    assert (result["width"], result["height"], result["bytes"]) == (80, 48, sum(sizes))
    assert [p.done for p in heard.heard] == list(range(41))
    assert {p.total for p in heard.heard} == {40}
    assert sorted(p.name for p in (tmp_path / "take").iterdir()) == [*NAMES, "mapreel.json"]
    if quality is Quality.FULL:
        assert result["key_share"] == 1.0
    else:
        assert 9 / 40 <= result["key_share"] <= 0.6


def test_the_picture_follows_the_maps(street, render, short_timeline, tmp_path, scene):
    """A renderer that ignored its maps, or wrote frames under the wrong number, would fail here."""
    render(street, "take", frames="1001-1012")
    car_colors, sky_colors = [], []
    for index in range(12):
        picture = read_color(tmp_path / "take" / f"{1001 + index}.png").astype(np.float32)
        label = scene.frame(index)[0]
        car_colors.append(picture[label == 5].mean(axis=0))
        sky_colors.append(picture[label == 0].mean(axis=0))
    apart = np.abs(np.mean(car_colors, axis=0) - np.mean(sky_colors, axis=0)).max()
    assert apart > 5 * np.std(car_colors, axis=0).max()
    assert apart > 4


def test_the_side_car_tells_what_made_the_frames(street, render, short_timeline, tmp_path, model):
    result = render(street, "take", frames="1001-1014", quality=Quality.FAST)
    told = sidecar(tmp_path / "take")
    assert (told["format"], told["version"]) == ("mapreel-take", 1)
    assert told["finished"] is True
    assert told["frames"] == "1001-1014"
    assert told["model"] == {"name": "tiny", "sha256": result["model_sha256"], "licence": "CC0-1.0"}
    assert tmp_path.joinpath("take", told["request"]["labels"]).resolve() == (street / "label").resolve()
    assert str(tmp_path) not in json.dumps(told)
    assert told["colour"]["to"] == "sRGB Encoded Rec.709 (sRGB)"
    assert sorted(told["written"]) == [str(number) for number in range(1001, 1015)]
    entry = told["written"]["1002"]
    assert entry["sha256"] == hashlib.sha256((tmp_path / "take" / "1002.png").read_bytes()).hexdigest()
    assert entry["from"]["labels"] == hashlib.sha256((street / "label" / "1002.png").read_bytes()).hexdigest()
    assert set(entry["from"]) == {"labels", "instances", "motion"}
    assert told["request"]["quality"] == "fast"
    assert told["color"] == "sRGB"
    assert told["notes"] == []
    assert set(told["made_with"]) == {"mapreel", "torch"}
    assert told["keys"][0] == 1001
    assert set(told["keys"]) <= set(range(1001, 1015))
    assert len(told["keys"]) / 14 == result["key_share"]


def test_without_instances_and_motion_the_maps_alone_must_do(street, render, short_timeline, tmp_path, pictures):
    render(street, "take", instances=None, motion=None, frames="1001-1008", quality=Quality.FAST)
    assert list(pictures(tmp_path / "take")) == NAMES[:8]


@pytest.mark.parametrize("size", [(48, 80), (50, 83), (8, 8), (17, 20)])
def test_any_picture_size_is_rendered_at_that_size(maps, render, tmp_path, size, make_model, quality):
    shot = maps(tmp_path / "maps", range(1, 9), size=(48, 80))
    for kind, value in (("label", np.uint8(1)), ("instance", np.uint16(7))):
        for number in range(1, 9):
            pixels = np.zeros(size, value.dtype)
            pixels[: size[0] // 2, number % 4 :] = value
            write_png(shot / kind / f"{number:04d}.png", pixels)
    render(shot, "take", motion=None, quality=quality)
    for number in range(1, 9):
        assert read_color(tmp_path / "take" / f"{number:04d}.png").shape == (*size, 3)


def test_a_model_without_memory_renders(street, render, short_timeline, make_model, tmp_path, pictures, quality):
    net = make_model(previous=False)
    render(street, "take", net=net, quality=quality, frames="1001-1016")
    assert list(pictures(tmp_path / "take")) == NAMES[:16]


def test_a_model_without_position_looks_and_edges_renders(street, render, make_model, tmp_path, pictures):
    net = make_model(position=False, looks=False, edges=False)
    render(street, "take", net=net, frames="1001-1003")
    assert list(pictures(tmp_path / "take")) == NAMES[:3]


# --- numbers ----------------------------------------------------------------------------------------------------


def test_the_roll_over_to_five_digits(maps, render, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(9998, 10003))
    render(shot, "take")
    assert set(pictures(tmp_path / "take")) == {"9998.png", "9999.png", "10000.png", "10001.png", "10002.png"}


def test_negative_frame_numbers(maps, render, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(-2, 3))
    pattern = {k: str(shot / k / f"####.{s}") for k, s in (("label", "png"), ("instance", "png"), ("motion", "exr"))}
    render(shot, "take", labels=pattern["label"], instances=pattern["instance"], motion=pattern["motion"])
    assert set(pictures(tmp_path / "take")) == {"-0002.png", "-0001.png", "0000.png", "0001.png", "0002.png"}


def test_padding_and_numbers_of_a_chunk_are_those_of_the_shot(maps, render, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(8, 13), digits=1)
    render(shot, "take", frames="12,10")
    assert set(pictures(tmp_path / "take")) == {"10.png", "12.png"}


def test_padding_where_the_number_is_not_the_end_of_the_name(maps, render, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(7, 10))
    for path in (shot / "label").iterdir():
        path.rename(path.with_name(f"v02.{path.stem}.left.png"))
    render(shot, "take", labels=str(shot / "label" / "v02.####.left.png"))
    assert set(pictures(tmp_path / "take")) == {"0007.png", "0008.png", "0009.png"}


# --- chunks and resuming ----------------------------------------------------------------------------------------


def test_chunked_equals_unchunked_pixel_for_pixel(street, render, short_timeline, quality, tmp_path, pictures):
    render(street, "whole", quality=quality)
    whole = pictures(tmp_path / "whole")
    for chunk in ("1006-1014", "1025-1037x3", "1040"):
        take = f"chunk_{chunk}"
        render(street, take, quality=quality, frames=chunk)
        part = pictures(tmp_path / take)
        assert part
        for name, pixels in part.items():
            assert pixels == whole[name], f"{name} of {chunk} differs"


@pytest.mark.parametrize("quality", [Quality.FAST, Quality.DRAFT], ids=lambda q: q.value)
def test_chunked_equals_unchunked_with_the_papers_keys(street, render, short_timeline, quality, tmp_path, pictures):
    fields = {"quality": quality, "keys": KeyRule.PAPER}
    render(street, "whole", **fields)
    render(street, "ours", quality=quality)
    whole, ours = pictures(tmp_path / "whole"), pictures(tmp_path / "ours")
    assert whole != ours
    for chunk in ("1006-1014", "1025-1037x3", "1040"):
        render(street, f"chunk_{chunk}", frames=chunk, **fields)
        part = pictures(tmp_path / f"chunk_{chunk}")
        assert part
        assert {name: whole[name] for name in part} == part


def test_a_take_is_not_gone_on_with_under_the_other_rule(street, render, tmp_path, pictures):
    render(street, "take", quality=Quality.FAST, frames="1001-1006", keys=KeyRule.PAPER)
    before = pictures(tmp_path / "take")
    assert json.loads((tmp_path / "take" / "mapreel.json").read_text())["request"]["keys"] == "paper"
    with pytest.raises(OutputExistsError):
        render(street, "take", quality=Quality.FAST, frames="1001-1012", resume=True)
    assert pictures(tmp_path / "take") == before
    again = render(street, "take", quality=Quality.FAST, frames="1001-1007", resume=True, keys=KeyRule.PAPER)
    assert again["rendered"] == 1


def test_a_take_from_before_there_were_rules_is_gone_on_with(street, render, model, request_of, tmp_path):
    """The digest of version 0.1.0: its requests had no field `keys`."""
    request = request_of(street, model, tmp_path / "take", quality=Quality.FAST)
    plan = {k: v for k, v in request.whole().items() if k not in ("out", "resume", "frames", "fps", "keys")}
    plan = {name: value for name, value in plan.items() if name not in (*PICTURE_FIELDS, *request.map_options())}
    loaded = load_model(str(model))
    plan |= {"reference": reference_digests(()), "model_sha256": loaded.sha256}
    assert plan_digest(request, loaded) == hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def test_chunked_equals_unchunked_at_the_real_anchors(maps, render, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(1, 56), size=(16, 24))
    render(shot, "whole")
    render(shot, "chunk", frames="49-53")
    whole, part = pictures(tmp_path / "whole"), pictures(tmp_path / "chunk")
    assert len(part) == 5
    assert {name: whole[name] for name in part} == part


def test_the_memory_matters_in_these_tests(street, render, short_timeline, tmp_path, pictures, opened):
    """The guard of the tests above: with this network a chain that began elsewhere gives other pixels."""
    render(street, "whole", frames="1001-1012")
    (tmp_path / "later").mkdir()
    for kind in ("label", "instance", "motion"):
        (tmp_path / "later" / kind).mkdir()
        for path in (street / kind).iterdir():
            if int(path.stem) >= 1003:
                os.link(path, tmp_path / "later" / kind / path.name)
    render(tmp_path / "later", "other", frames="1003-1008")
    whole, other = pictures(tmp_path / "whole"), pictures(tmp_path / "other")
    assert all(whole[name] != other[name] for name in other)


def test_chunks_agree_where_frames_are_held(own_street, render, short_timeline, quality, tmp_path, pictures):
    for kind in ("label", "instance", "motion"):
        for number in (1005, 1006, 1019):
            next((own_street / kind).glob(f"{number}.*")).unlink()
    render(own_street, "whole", quality=quality, missing=MissingFrames.HOLD, frames="1017-1028")
    render(own_street, "chunk", quality=quality, missing=MissingFrames.HOLD, frames="1023-1028")
    whole, part = pictures(tmp_path / "whole"), pictures(tmp_path / "chunk")
    assert list(whole) == NAMES[16:28]
    assert {name: whole[name] for name in part} == part


def test_deleted_frames_come_back_the_same(street, render, short_timeline, quality, tmp_path, pictures):
    render(street, "take", quality=quality, frames="1001-1026")
    before = pictures(tmp_path / "take")
    keys = sidecar(tmp_path / "take")["keys"]
    stamps = {name: (tmp_path / "take" / name).stat().st_mtime_ns for name in before}
    gone = ["1004.png", "1012.png", "1013.png", "1014.png", "1026.png"]
    for name in gone:
        (tmp_path / "take" / name).unlink()
    result = render(street, "take", quality=quality, resume=True, frames="1001-1026")
    assert result["rendered"] == len(gone)
    assert pictures(tmp_path / "take") == before
    assert sidecar(tmp_path / "take")["keys"] == keys
    kept = set(before) - set(gone)
    assert all((tmp_path / "take" / name).stat().st_mtime_ns == stamps[name] for name in kept)


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "other size"])
def test_a_damaged_frame_in_the_take_is_made_anew(street, render, tmp_path, pictures, how):
    render(street, "take", frames="1001-1006")
    before = pictures(tmp_path / "take")
    path = tmp_path / "take" / "1003.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    if how == "other size":
        write_png(path, np.zeros((4, 4, 3), np.uint8))
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b""}[how])
    assert render(street, "take", frames="1001-1006", resume=True)["rendered"] == 1
    assert pictures(tmp_path / "take") == before


@pytest.mark.parametrize("after", [5, 12, 13])
def test_a_cancel_keeps_what_is_finished_and_the_next_run_completes(
    street, render, listener, short_timeline, tmp_path, pictures, after
):
    undisturbed = render(street, "undisturbed", frames="1001-1018")
    with pytest.raises(CancelledError):
        render(street, "take", frames="1001-1018", context=listener(stop_after=after))
    kept = pictures(tmp_path / "take")
    assert list(kept) == NAMES[:after]
    assert sidecar(tmp_path / "take")["finished"] is False
    result = render(street, "take", frames="1001-1018", resume=True)
    assert result["rendered"] == 18 - after
    assert pictures(tmp_path / "take") == pictures(tmp_path / "undisturbed")
    assert result["key_share"] == undisturbed["key_share"] == 1.0
    assert sidecar(tmp_path / "take")["finished"] is True


def test_two_cancels_in_fast_quality(street, render, listener, short_timeline, tmp_path, pictures):
    undisturbed = render(street, "undisturbed", quality=Quality.FAST)
    for after in (7, 25):
        with pytest.raises(CancelledError):
            render(street, "take", quality=Quality.FAST, context=listener(stop_after=after))
    result = render(street, "take", quality=Quality.FAST)
    assert pictures(tmp_path / "take") == pictures(tmp_path / "undisturbed")
    assert sidecar(tmp_path / "take")["keys"] == sidecar(tmp_path / "undisturbed")["keys"]
    assert result["key_share"] == undisturbed["key_share"]


def test_a_finished_take_is_not_rendered_again(street, render, listener, tmp_path, pictures):
    render(street, "take", frames="1001-1004")
    before = pictures(tmp_path / "take")
    heard = listener()
    result = render(street, "take", frames="1001-1004", context=heard)
    assert result["rendered"] == 0
    assert result["frames_per_second"] is None
    assert [(p.done, p.total) for p in heard.heard] == [(4, 4)]
    assert pictures(tmp_path / "take") == before


@pytest.mark.parametrize(
    "change", [{"quality": Quality.DRAFT}, {"instances": None}, {"image_format": ImageFormat.EXR}, {"net": "other"}]
)
def test_a_take_of_other_settings_is_refused(street, render, tmp_path, pictures, change, make_model):
    render(street, "take", frames="1001-1003")
    before = pictures(tmp_path / "take")
    if change.get("net"):
        change = {"net": make_model(widths=(8, 16, 16))}
    with pytest.raises(OutputExistsError) as caught:
        render(street, "take", frames="1001-1003", resume=True, **change)
    assert "--resume" in str(caught.value)
    assert pictures(tmp_path / "take") == before


def test_pictures_of_somebody_else_are_neither_kept_nor_replaced(street, render, tmp_path, pictures):
    (tmp_path / "plates").mkdir()
    write_png(tmp_path / "plates" / "1001.png", np.zeros((48, 80, 3), np.uint8))
    write_png(tmp_path / "plates" / "1002.png", np.zeros((4, 4, 3), np.uint8))
    before = pictures(tmp_path / "plates")
    with pytest.raises(OutputExistsError, match="no render made"):
        render(street, "plates", frames="1001-1003", resume=True)
    assert pictures(tmp_path / "plates") == before
    assert not (tmp_path / "plates" / "mapreel.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"plan": 1', '{"keys": []}', "\x00"])
def test_a_damaged_side_car_is_told(street, render, tmp_path, text):
    (tmp_path / "take").mkdir()
    (tmp_path / "take" / "mapreel.json").write_text(text)
    with pytest.raises(OutputError) as caught:
        render(street, "take", frames="1001-1003")
    assert "mapreel.json" in str(caught.value)
    assert list((tmp_path / "take").iterdir()) == [tmp_path / "take" / "mapreel.json"]


# --- bad input --------------------------------------------------------------------------------------------------


def refused(render, kind, maps, take="take", **fields):
    with pytest.raises(kind) as caught:
        render(maps, take, **fields)
    return caught.value


@pytest.mark.parametrize("kind", ["label", "instance", "motion"])
def test_a_gap_is_an_error_by_default_and_nothing_is_written(own_street, render, tmp_path, kind):
    next((own_street / kind).glob("1007.*")).unlink()
    error = refused(render, GapError, own_street)
    assert "1007" in str(error)
    assert error.frame == 1007
    assert not (tmp_path / "take").exists()


@pytest.mark.parametrize("policy", [MissingFrames.HOLD, MissingFrames.BLACK])
@pytest.mark.parametrize("kind", ["label", "instance", "motion"])
def test_gaps_are_filled_by_policy_and_noted(own_street, render, tmp_path, pictures, policy, kind):
    next((own_street / kind).glob("1007.*")).unlink()
    result = render(own_street, "take", missing=policy, frames="1001-1010", quality=Quality.FAST)
    assert list(pictures(tmp_path / "take")) == NAMES[:10]
    assert len(result["notes"]) == 1
    assert "1007" in result["notes"][0]
    assert sidecar(tmp_path / "take")["notes"] == result["notes"]


def test_motion_over_a_held_frame_is_estimated(own_street, opened):
    """The motion of the frame after a gap points at a picture nobody has; taking it would smear."""
    (own_street / "label" / "1007.png").unlink()
    (own_street / "instance" / "1007.png").unlink()
    (own_street / "motion" / "1010.exr").unlink()
    shot = opened(own_street, missing=MissingFrames.HOLD)
    index = {n: i for i, n in enumerate(shot.timeline.numbers)}
    motions = {n: shot.maps(i).motion for n, i in index.items() if n <= 1012}
    assert [n for n, motion in motions.items() if motion is None] == [1007, 1008, 1010]
    same = shot.motion_between(shot.maps(index[1006]), shot.maps(index[1007]))
    assert np.abs(same).max() < 0.1


def test_the_first_frame_needs_no_motion(own_street, render, tmp_path, pictures):
    (own_street / "motion" / "1001.exr").unlink()
    render(own_street, "take", frames="1001-1003")
    render(own_street, "one", frames="1001")
    assert list(pictures(tmp_path / "take")) == NAMES[:3]
    assert pictures(tmp_path / "one")["1001.png"] == pictures(tmp_path / "take")["1001.png"]


def test_partner_maps_of_other_numbers_are_told(own_street, maps, render, tmp_path):
    elsewhere = maps(tmp_path / "elsewhere", range(1, 4))
    for kind in ("instance", "motion"):
        field = {"instance": "instances", "motion": "motion"}[kind]
        error = refused(render, GapError, own_street, **{field: str(elsewhere / kind)})
        assert kind in str(error)
        assert "1-3" in str(error)


@pytest.mark.parametrize("kind", ["label", "instance"])
def test_mixed_sizes_name_both_frames(own_street, render, tmp_path, kind):
    write_png(own_street / kind / "1020.png", np.zeros((24, 40), np.uint8))
    text = str(refused(render, MixedSizesError, own_street))
    assert "1001 is 80x48" in text
    assert "1020 is 40x24" in text
    assert not (tmp_path / "take").exists()


@pytest.mark.parametrize("kind", ["instance", "motion"])
def test_partner_maps_of_another_size_are_told(own_street, maps, render, tmp_path, kind):
    small = maps(tmp_path / "small", range(1001, 1041), size=(32, 40))
    field = {"instance": "instances", "motion": "motion"}[kind]
    text = str(refused(render, MixedSizesError, own_street, **{field: str(small / kind)}))
    assert "40x32" in text
    assert "80x48" in text


def test_an_unknown_label_late_in_the_shot_fails_with_its_number_and_keeps_what_came_before(
    own_street, render, short_timeline, tmp_path, pictures
):
    label = np.zeros((48, 80), np.uint8)
    label[0, :3] = 77
    write_png(own_street / "label" / "1016.png", label)
    error = refused(render, UnknownLabelError, own_street)
    assert error.frame == 1016
    assert "77 (3 pixels)" in str(error)
    assert "1016.png" in str(error)
    kept = pictures(tmp_path / "take")
    assert list(kept) == NAMES[:15]
    assert sidecar(tmp_path / "take")["finished"] is False


def test_an_unknown_label_in_the_first_frame_leaves_no_take(own_street, render, tmp_path):
    write_png(own_street / "label" / "1001.png", np.full((48, 80), 3, np.uint8))
    assert refused(render, UnknownLabelError, own_street).frame == 1001
    assert not (tmp_path / "take").exists()


@pytest.mark.parametrize("kind", ["label", "instance", "motion"])
def test_a_truncated_map_is_told_with_its_frame(own_street, render, kind):
    path = next((own_street / kind).glob("1004.*"))
    path.write_bytes(path.read_bytes()[:-200] if kind == "motion" else path.read_bytes()[:-20])
    error = refused(render, FramesLostError, own_street, frames="1001-1006")
    assert error.frame == 1004
    assert "frame 1004 is not rendered, the other 5 are" in str(error)
    assert path.name in str(error)


def test_maps_smaller_than_the_network_needs(maps, render, tmp_path):
    shot = maps(tmp_path / "maps", range(1, 3), size=(48, 80))
    for kind in ("label", "instance"):
        for number in (1, 2):
            write_png(shot / kind / f"{number:04d}.png", np.zeros((7, 80), np.uint8))
    assert "80x7" in str(refused(render, ModelMismatchError, shot, motion=None))


def test_missing_folder(street, render, tmp_path):
    refused(render, MissingInputError, street, labels=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "fields",
    [
        {"quality": Quality.TEACHER},
        {"take": "movie.mov", "image_format": ImageFormat.FFV1},
        {"take": "movie.mkv", "bits": 9},
        {"image_format": ImageFormat.H265},
        {"compression": "dwaa"},
        {"colour_space": "no such space"},
        {"take": "movie.mp4", "image_format": ImageFormat.EXR},
    ],
)
def test_what_is_not_supported_is_said_before_anything_is_written(street, render, tmp_path, fields):
    take = fields.pop("take", "take")
    error = refused(render, UsageError, street, take, **fields)
    assert error.remedy
    assert not list(tmp_path.iterdir())


def test_a_model_of_other_classes_names_them(street, render, make_model):
    net = make_model(table=ClassTable((0, 1, 5), ("sky", "road", "car")))
    text = str(refused(render, UnknownLabelError, street, net=net))
    assert "9 (" in text
    assert "5 car" in text


# --- output -----------------------------------------------------------------------------------------------------


def test_exr_frames_are_the_png_frames_in_linear_light(street, render, tmp_path):
    render(street, "png", frames="1001-1004", quality=Quality.FAST)
    render(street, "exr", frames="1001-1004", quality=Quality.FAST, image_format=ImageFormat.EXR)
    assert sidecar(tmp_path / "exr")["color"] == "scene-linear Rec.709"
    for number in range(1001, 1005):
        linear = read_color_float(tmp_path / "exr" / f"{number}.exr").astype(np.float64)
        coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
        pixels = read_color(tmp_path / "png" / f"{number}.png")
        assert np.abs(coded * 255 - pixels).max() < 0.6
        assert len(np.unique(coded)) > 600  # finer than 8 bits: skies shall have no steps


@pytest.mark.parametrize("out", ["deep", "deep.mkv"])
def test_what_holds_16_bits_gets_them(street, render, tmp_path, out):
    render(street, out, frames="1001-1002", bits=16)
    render(street, "plain", frames="1001-1002")
    if out == "deep":
        pixels = prove_picture(tmp_path / "deep" / "1001.png")
    else:
        pixels = next(read_movie_frames(tmp_path / out, deep=True)).pixels
    assert pixels.dtype == np.uint16
    assert len(np.unique(pixels)) > 600
    plain = read_color(tmp_path / "plain" / "1001.png")
    assert np.abs(pixels / 257 - plain).max() < 0.51


def test_light_at_known_values():
    got = to_light(np.array([0, 10, 128, 188, 254, 255], np.float32) / 255)
    assert got == pytest.approx(np.array([0, 0.0030353, 0.2158605, 0.5028865, 0.9911021, 1]), abs=1e-6)


def test_a_movie_has_every_frame_and_leaves_no_folder(street, render, listener, tmp_path):
    heard = listener()
    result = render(street, "out.mp4", frames="1001-1010", fps=25.0, context=heard)
    render(street, "frames", frames="1001-1010")
    info = movie_info(tmp_path / "out.mp4")
    assert (info.frames, info.width, info.height, info.fps) == (10, 80, 48, 25)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames", "out.mp4", "out.mp4.json"]
    assert json.loads((tmp_path / "out.mp4.json").read_text())["finished"] is True
    assert result["take"] == str(tmp_path / "out.mp4")
    for number, pixels in zip(range(1001, 1011), read_movie(tmp_path / "out.mp4"), strict=True):
        assert psnr(pixels, read_color(tmp_path / "frames" / f"{number}.png")) > 28
    assert [p.done for p in heard.heard if p.stage == "movie"] == list(range(1, 11))


def test_a_cancel_while_the_movie_is_written_keeps_the_frames(street, render, listener, tmp_path):
    class InMovie(listener):
        def check(self):
            if self.heard[-1].stage == "movie" and self.heard[-1].done >= 2:
                raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        render(street, "out.mp4", frames="1001-1005", context=InMovie())
    assert [p.name for p in tmp_path.iterdir()] == [".out.mp4.claim"]
    assert claim_take(tmp_path / "out.mp4").name == "out_v002.mp4"
    release_take(tmp_path / "out_v002.mp4")
    assert render(street, "out.mp4", frames="1001-1005")["rendered"] == 0
    assert movie_info(tmp_path / "out.mp4").frames == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "out.mp4.json"]


def test_a_finished_movie_whose_end_was_not_noted_is_finished(street, render, tmp_path):
    """The compute process may die between the last file and its word to the service."""
    first = render(street, "out.mp4", frames="1001-1005")
    before = (tmp_path / "out.mp4").read_bytes()
    again = render(street, "out.mp4", frames="1001-1005")
    assert again["rendered"] == 0
    assert {k: again[k] for k in ("take", "frames", "planned", "key_share")} == {
        k: first[k] for k in ("take", "frames", "planned", "key_share")
    }
    assert (tmp_path / "out.mp4").read_bytes() == before
    for other in ({"frames": "1001-1004"}, {"frames": "1001-1005", "fps": 30.0}):
        with pytest.raises(OutputExistsError):
            render(street, "out.mp4", **other)
    (tmp_path / "out.mp4").write_bytes(before[: len(before) // 2])
    with pytest.raises(OutputExistsError):
        render(street, "out.mp4", frames="1001-1005")


def test_a_movie_that_is_there_is_never_replaced(street, render, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="new take"):
        render(street, "out.mp4", frames="1001-1003", resume=True)
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("at", [1001, 1012])
def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(
    street, render, short_timeline, tmp_path, pictures, monkeypatch, at
):
    render(street, "undisturbed", frames="1001-1014")
    real = delivery.write_picture

    def full(path, *rest):
        if int(path.stem) >= at:
            with takefolder.write_atomically.__globals__["atomic_path"](path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, *rest)

    monkeypatch.setattr(delivery, "write_picture", full)
    error = refused(render, DiskFullError, street, frames="1001-1014")
    assert f"{at}.png" in str(error)
    assert list(pictures(tmp_path / "take")) == [n for n in NAMES if int(n[:4]) < at]
    monkeypatch.undo()
    monkeypatch.setattr("mapreel.core.vid2vid.shot.Timeline", _short())
    assert render(street, "take", frames="1001-1014", resume=True)["rendered"] == 1015 - at
    assert pictures(tmp_path / "take") == pictures(tmp_path / "undisturbed")


def _short():
    import functools

    from mapreel.core.vid2vid.timeline import Timeline

    return functools.partial(Timeline, every=12, run_in=4)


def test_a_disk_that_is_full_for_everything_leaves_no_stray_error(street, render, short_timeline, monkeypatch):
    """Frames and side-car fail together, as on a real full disk; one error comes out, none is lost in a thread."""
    calls = []
    real = takefolder.write_atomically

    def full(path, content):
        calls.append(path.name)
        if len(calls) > 1:
            raise DiskFullError("the disk is full", "free some space")
        real(path, content)

    def no_frame(path, *rest):
        raise DiskFullError("the disk is full", "free some space")

    monkeypatch.setattr(takefolder, "write_atomically", full)
    monkeypatch.setattr(delivery, "write_picture", no_frame)
    refused(render, DiskFullError, street)
    assert calls == ["mapreel.json", "mapreel.json"]


def test_a_frame_lost_after_writing_is_noticed(street, render, tmp_path, monkeypatch):
    real = delivery.write_picture

    def forgets(path, *rest):
        real(path, *rest)
        if path.stem == "1002":
            path.write_bytes(path.read_bytes()[:-30])

    monkeypatch.setattr(delivery, "write_picture", forgets)
    error = refused(render, OutputError, street, frames="1001-1003")
    assert error.frame == 1002
    monkeypatch.undo()
    assert render(street, "take", frames="1001-1003", resume=True)["rendered"] == 1


def test_a_take_that_is_a_file(street, render, tmp_path):
    (tmp_path / "take").write_text("mine")
    assert "is a file" in str(refused(render, OutputError, street, frames="1001-1002"))
    assert (tmp_path / "take").read_text() == "mine"


def test_changed_maps_are_rendered_anew(maps, render, short_timeline, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(1, 31))
    before = render(shot, "take", frames="1-30")
    assert before["rendered"] == 30
    label = shot / "label" / "0002.png"
    label.write_bytes((shot / "label" / "0009.png").read_bytes())
    again = render(shot, "take", frames="1-30", resume=True)
    assert again["rendered"] == 11  # the second frame and its chain; the next one leans on its own run-in only
    assert any("anew" in note for note in again["notes"])
    render(shot, "afresh", frames="1-30")
    assert pictures(tmp_path / "take") == pictures(tmp_path / "afresh")


def test_a_chunk_needs_no_maps_far_away(maps, render, short_timeline, tmp_path, pictures):
    shot = maps(tmp_path / "maps", range(1, 41))
    render(shot, "whole", frames="1-3")
    (shot / "label" / "0035.png").write_bytes(b"")
    render(shot, "chunk", frames="1-3")
    assert pictures(tmp_path / "chunk") == pictures(tmp_path / "whole")
    with pytest.raises(FramesLostError, match="0035"):
        render(shot, "other", frames="34-36")


def test_the_side_car_knows_the_frames_of_every_chunk(maps, render, short_timeline, tmp_path):
    shot = maps(tmp_path / "maps", range(1, 31))
    for chunk in ("1-3", "20-24", "4-6"):
        render(shot, "take", frames=chunk, resume=True)
    story = json.loads((tmp_path / "take" / "mapreel.json").read_text())
    assert (story["frames"], story["finished"]) == ("1-6,20-24", True)
    assert story["anchors"] == [1, 13]
