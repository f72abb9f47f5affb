# SPDX-License-Identifier: GPL-3.0-or-later
"""A render's choice as a request, the sentences where something cannot be, and models by their headers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mapreel.core.contract.errors import (
    DamagedModelError,
    MissingModelError,
    PickleRefusedError,
    UsageError,
)
from mapreel.core.contract.estimate import Estimate
from mapreel.core.contract.frames import MissingFrames
from mapreel.core.contract.requests import Quality
from mapreel.core.contract.takes import claim_take, next_take
from mapreel.core.media.modelfacts import MODEL_FILE as FILE
from mapreel.core.media.modelfacts import Network, read_model, shipped_models
from mapreel.ui.state.job_texts import about
from mapreel.ui.state.render_choice import (
    FORMATS,
    RenderChoice,
    frame_file,
    next_name,
    problems,
    render_request,
    with_handles,
)
from mapreel.ui.views.render_sums import words


@pytest.fixture
def choice(tmp_path):
    return RenderChoice(
        labels=str(tmp_path / "label"),
        model="street",
        numbers=tuple(range(1001, 1011)),
        folder=str(tmp_path / "out"),
        name="beauty",
    )


# -- the request -------------------------------------------------------------------------------------------------------


def test_every_format_is_a_request(choice):
    for name, wanted in FORMATS.items():
        request = render_request(replace(choice, format=name))
        assert (request.image_format, request.bits, request.compression) == (wanted.kind, wanted.bits, wanted.packing)
        assert request.out == f"{choice.folder}/beauty{wanted.suffix}"


def test_what_is_chosen_is_what_is_asked(choice, tmp_path):
    chosen = replace(
        choice,
        frames="1001-1005x2",
        quality=Quality.FAST,
        references=((1003, str(tmp_path / "look.png")),),
        palette="street",
        classes=(("car*", "car"),),
        colour_space="ACEScg",
        ocio="ocio://default",
        missing=MissingFrames.HOLD,
        fps=25.0,
    )
    request = render_request(chosen)
    assert (request.frames, request.quality, request.fps) == ("1001-1005x2", Quality.FAST, 25.0)
    assert request.reference == chosen.references
    assert (request.colour_space, request.ocio) == ("ACEScg", "ocio://default")
    assert (request.palette, request.classes, request.missing) == ("street", chosen.classes, MissingFrames.HOLD)
    assert render_request(replace(chosen, colour_space="")).ocio is None


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"frames": "1001-"}, "frames", "is not a frame range"),
        ({"frames": "1001-1100:2"}, "frames", "write the step as x"),
        ({"frames": "1-9"}, "frames", "has none of the frames"),
        ({"frames": "1009-1012"}, "frames", "no maps for 1011-1012"),
        ({"folder": ""}, "out", "no folder is chosen"),
        ({"folder": "relative"}, "out", "not absolute"),
        ({"name": "a/b"}, "out", "no name for a take"),
        ({"name": ""}, "out", "no name for a take"),
        ({"name": "beauty.mp4"}, "out", "leave the ending out"),
        ({"fps": 0.0}, "rest", "fps is 0"),
        ({"colour_space": "é"}, "rest", "no usable name"),
        ({"quality": Quality.TEACHER}, "quality", "does not render in this quality"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(choice, change, field, said):
    found = problems(replace(choice, **change), read_model("street"))
    assert list(found) == [field]
    assert said in str(found[field])


def test_missing_frames_may_be_filled(choice):
    assert render_request(replace(choice, frames="1009-1012", missing=MissingFrames.HOLD)).frames == "1009-1012"


def test_handles_go_as_far_as_there_are_frames():
    numbers = tuple(range(1001, 1101))
    assert with_handles(numbers, 1010, 1020, 0) == "1010-1020"
    assert with_handles(numbers, 1010, 1020, 20) == "1001-1040"
    assert with_handles(tuple(range(2, 11, 2)), 4, 8, 2) == "2-10x2"


def test_the_next_take_is_the_one_that_is_claimed(tmp_path):
    for name in ("beauty", "beauty.mp4"):
        for _ in range(3):
            wanted = next_take(tmp_path / name)
            assert next_take(tmp_path / name) == wanted  # looking claims nothing
            assert claim_take(tmp_path / name) == wanted
    assert next_name(str(tmp_path / "beauty")) == ("beauty_v004", "")
    assert next_name(str(tmp_path / "not" / "there" / "x")) == ("x", "")


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a file and not a folder" in next_name(str(tmp_path / "file" / "beauty"))[1]


# -- models ------------------------------------------------------------------------------------------------------------


def header_of(place):
    data = place.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_model(folder, **changes):
    header, rest = header_of(shipped_models()["street"] / FILE)
    header["__metadata__"].update(changes)
    text = json.dumps(header).encode()
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(len(text).to_bytes(8, "little") + text + rest)
    return folder


def test_the_shipped_model_tells_all_about_itself():
    model = read_model("street")
    assert (model.name, model.licence, model.network, model.shipped) == ("street", "CC0-1.0", Network.RENDERER, True)
    assert (6, "car") in model.classes
    assert model.data[:2] == ("train_a", "train_b")
    assert (model.size, model.steps) == ((512, 256), 8100)
    assert model.qualities == (Quality.FULL, Quality.FAST, Quality.DRAFT)


def test_other_networks_have_other_qualities(tmp_path):
    teacher = write_model(tmp_path / "t", architecture="composite", config='{"student": false}')
    student = write_model(tmp_path / "s", architecture="composite", config='{"student": true}')
    assert read_model(str(teacher)).qualities == (Quality.TEACHER,)
    assert read_model(str(student)).network is Network.STUDENT


def test_what_is_no_model_is_said(tmp_path):
    with pytest.raises(MissingModelError):
        read_model(str(tmp_path))
    (tmp_path / FILE).write_bytes(b"\xff" * 40)
    with pytest.raises(DamagedModelError):
        read_model(str(tmp_path))
    with pytest.raises(PickleRefusedError):
        read_model(str(tmp_path / "net.pth"))


def test_a_movie_gives_no_reference(tmp_path):
    (tmp_path / "plate.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match="movie"):
        frame_file(str(tmp_path / "plate.mp4"), 1)


def test_what_it_takes_is_said_honestly():
    assert words(None, None) == ("", "")
    assert words(Estimate(None, None, 0), 5_000_000_000)[0] == (
        "No render of this kind has been made here yet · 5.0 GB free"
    )
    text, warning = words(Estimate(95.0, 8e9, 3), 5_000_000_000)
    assert text == f"{about(95.0).capitalize()} · about 8.0 GB · 5.0 GB free"
    assert "full" in warning
    assert words(Estimate(95.0, 1e6, 3), 5_000_000_000)[1] == ""
