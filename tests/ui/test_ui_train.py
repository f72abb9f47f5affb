# SPDX-License-Identifier: GPL-3.0-or-later
"""Training from the panel: what shots hold, requests, a log that grows, a real training, a kept model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PyQt6.QtCore import Qt

from mapreel.core.contract.errors import DamagedModelError, MissingModelError, UsageError
from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.models import read_model
from mapreel.ui.state.train_choice import FEW_FRAMES, TrainChoice, train_problems, train_request, warnings
from mapreel.ui.state.train_keep import keep_model
from mapreel.ui.state.train_look import LogTail, data_facts, folder_state, spread
from mapreel.ui.views.train_view import TrainView
from tests.ui.conftest import write_labels, write_pictures

LIMIT_MS = 240_000  # some steps of a training on a machine that others use
SHIPPED = Path(__file__).parents[2] / "resources" / "models"
CHOICE = TrainChoice(data=("/s/alley",), name="alley", folder="/s/alley_training")


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_choice_becomes_the_request_of_the_contract():
    asked = train_request(replace(CHOICE, licence=" CC0-1.0 ", palette="street", steps=70))
    assert (asked.data, asked.out, asked.steps, asked.name) == (("/s/alley",), "/s/alley_training", 70, "alley")
    assert (asked.licence, asked.palette, asked.resume) == ("CC0-1.0", "street", False)


def test_a_budget_of_time_is_steps_at_the_pace_of_this_machine():
    timed = replace(CHOICE, minutes=30, pace_s=0.5)
    assert timed.planned_steps == 3600
    assert train_request(timed).steps == 3600
    assert replace(CHOICE, steps=100, pace_s=3.0).seconds == 300


@pytest.mark.parametrize(
    ("choice", "field", "words"),
    [
        (replace(CHOICE, data=()), "data", "No shot is chosen"),
        (replace(CHOICE, data=("/s/alley", "/s/alley")), "data", "there twice"),
        (replace(CHOICE, name=" "), "name", "is no name for a model"),
        (replace(CHOICE, folder=""), "folder", "No folder is chosen"),
        (replace(CHOICE, folder="/s/alley"), "folder", "among its own frames"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(choice, field, words):
    assert words in train_problems(choice)[field]
    with pytest.raises(UsageError):
        train_request(choice)


# -- shots -------------------------------------------------------------------------------------------------------------


def test_a_shot_tells_its_frames_classes_and_gaps(shot_folder):
    facts = data_facts(str(shot_folder))
    assert (facts.frames, facts.size, facts.alone, facts.trouble) == (8, (64, 32), (), "")
    assert sum(share for _, share in facts.shares) == pytest.approx(1.0)
    assert {label for label, _ in facts.shares} == {0, 1, 2, 3, 4}
    (shot_folder / "color" / "1003.png").unlink()
    facts = data_facts(str(shot_folder))
    assert (facts.frames, facts.alone) == (7, (1003,))
    told = warnings(replace(CHOICE, data=(str(shot_folder),)), (facts,))
    assert any("1003" in words for words in told)
    assert any(str(FEW_FRAMES) in words for words in told)


def test_a_folder_that_is_no_shot_says_what_it_lacks(tmp_path):
    write_labels(tmp_path / "label", range(3))
    assert "no folder color" in data_facts(str(tmp_path)).trouble
    assert data_facts(str(tmp_path / "nowhere")).trouble


def test_frames_that_are_counted_come_from_all_of_the_shot():
    assert spread(list(range(100)), 12)[0] == 0
    assert spread(list(range(100)), 12)[-1] == 99
    assert len(set(spread(list(range(100)), 12))) == 12
    assert spread([4, 5], 12) == [4, 5]


def test_the_current_shot_fills_the_form(opened, qtbot, shot_folder):
    form = opened.train_form
    assert form.data == (str(shot_folder),)
    assert (form.name, form.folder) == ("shot", str(shot_folder.parent / "shot_training"))
    qtbot.waitUntil(lambda: bool(form.shares), timeout=LIMIT_MS)
    form.palette = "street"
    qtbot.waitUntil(lambda: "sky" in dict(form.shares), timeout=LIMIT_MS)
    assert any("8 frames" in words for words in form.warnings)
    form.add_data(str(shot_folder.parent / "gone"))
    qtbot.waitUntil(lambda: "gone" in form.reason, timeout=LIMIT_MS)
    form.remove_data(str(shot_folder.parent / "gone"))
    qtbot.waitUntil(lambda: not form.reason, timeout=LIMIT_MS)


# -- the log -----------------------------------------------------------------------------------------------------------


def line(step, **terms):
    return json.dumps({"step": step, "seconds": 0.5, **terms}) + "\n"


def test_a_log_is_read_once_and_lines_are_never_torn(tmp_path):
    path = tmp_path / "log.jsonl"
    tail = LogTail(path)
    assert tail.read() == ([], False)
    path.write_text(line(1, l1=2.0) + line(2, l1=1.5)[:9])
    assert [entry["step"] for entry in tail.read()[0]] == [1]
    with path.open("a") as file:
        file.write(line(2, l1=1.5)[9:] + "no json\n" + line(3, l1=1.0))
    assert [entry["l1"] for entry in tail.read()[0]] == [1.5, 1.0]
    assert tail.read() == ([], False)


def test_a_log_that_a_resume_wrote_anew_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(line(1) + line(2) + line(3))
    tail = LogTail(path)
    tail.read()
    (tmp_path / "new").write_text(line(1) + line(2))
    (tmp_path / "new").replace(path)
    entries, anew = tail.read()
    assert anew
    assert [entry["step"] for entry in entries] == [1, 2]


# -- keeping -----------------------------------------------------------------------------------------------------------


def test_a_kept_model_has_its_name_its_licence_and_the_same_weights(tmp_path):
    (tmp_path / "training" / "model").mkdir(parents=True)
    source = tmp_path / "training" / "model" / "model.safetensors"
    source.write_bytes((SHIPPED / "street" / "model.safetensors").read_bytes())
    place = keep_model(str(tmp_path / "training"), str(tmp_path / "models"), "Gasse", "CC-BY-4.0")
    facts = read_model(place)
    assert (facts.name, facts.licence, Path(place).name) == ("Gasse", "CC-BY-4.0", "Gasse")
    ours, theirs = (safetensors.numpy.load_file(path) for path in (Path(place) / "model.safetensors", source))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert Path(keep_model(str(tmp_path / "training"), str(tmp_path / "models"), "Gasse", "")).name == "Gasse_v002"
    source.write_bytes(source.read_bytes()[:100])
    with pytest.raises(DamagedModelError):
        keep_model(str(tmp_path / "training"), str(tmp_path / "models"), "Bruch", "")
    with pytest.raises(MissingModelError, match="no model yet"):
        keep_model(str(tmp_path / "nothing"), str(tmp_path / "models"), "Bruch", "")
    assert not (tmp_path / "models" / "Bruch").exists()


# -- a real training ---------------------------------------------------------------------------------------------------


def test_a_training_is_watched_stopped_kept_and_gone_on_with(studio, qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MAPREEL_NICE", "1")  # else a busy machine lets the test wait for ages
    write_labels(tmp_path / "alley" / "label", range(1, 5), size=(32, 32), classes=3)
    write_pictures(tmp_path / "alley" / "color", range(1, 5), size=(32, 32))
    studio.start()
    view = TrainView(studio)
    qtbot.addWidget(view)
    view.show()
    studio.shots.open_paths([str(tmp_path / "alley")])
    form, training = studio.train_form, studio.train_form.training
    form.steps = 5000
    qtbot.waitUntil(lambda: view.setup.button.isEnabled() and bool(form.shares), timeout=LIMIT_MS)
    qtbot.mouseClick(view.setup.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: training.step >= 2, timeout=LIMIT_MS)
    assert view.tabs.currentIndex() == 1
    assert {"total", "l1"} <= set(training.terms)
    assert training.curve("total")[0][:2] == [1, 2]
    assert "running" in form.reason.lower() or "runs" in form.reason
    folder, job = training.folder, training.watch.view.id
    with qtbot.waitSignal(training.kept, timeout=LIMIT_MS) as kept:  # while it runs
        training.keep(str(tmp_path / "models"), "Gasse", "CC0-1.0")
    kept_at = training.step
    qtbot.waitUntil(lambda: training.step > kept_at, timeout=LIMIT_MS)  # it goes on by itself
    assert (training.watch.view.id, training.watch.view.state) == (job, JobState.RUNNING)
    qtbot.mouseClick(view.watch.card.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: training.watch.view.state is JobState.CANCELLED, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: folder_state(folder).checkpoint_step > kept_at, timeout=LIMIT_MS)
    training.look()
    qtbot.waitUntil(lambda: training.checkpoint_step > kept_at, timeout=LIMIT_MS)
    facts = read_model(kept.args[0])
    assert (facts.name, facts.licence, facts.size, len(facts.classes)) == ("Gasse", "CC0-1.0", (32, 32), 3)
    qtbot.waitUntil(lambda: any(model.place == kept.args[0] for model in studio.models.known), timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: bool(training.samples) and training.picture is not None, timeout=LIMIT_MS)
    form.open_training(folder)
    qtbot.waitUntil(lambda: form.resume, timeout=LIMIT_MS)
    assert form.data == (str(tmp_path / "alley"),)
    assert form.steps > training.checkpoint_step
    assert train_request(form.choice()).resume
    stood = training.checkpoint_step
    form.steps = stood + 2
    view.tabs.setCurrentIndex(0)
    qtbot.waitUntil(view.setup.button.isEnabled, timeout=LIMIT_MS)
    qtbot.mouseClick(view.setup.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: training.watch.view is not None and training.watch.view.id != job, timeout=LIMIT_MS)
    qtbot.waitUntil(lambda: training.watch.view.state.is_over, timeout=LIMIT_MS)
    assert training.watch.view.state is JobState.FINISHED, training.watch.view.error
    assert training.watch.view.result["steps"] == stood + 2
    assert (training.folder, folder_state(folder).checkpoint_step) == (folder, stood + 2)
