# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue as rows: ten thousand jobs, news one by one, filters, the order of those that wait, words and times."""

from __future__ import annotations

import pytest
from PyQt6.QtCore import Qt

from mapreel.core.contract.job_view import JobView
from mapreel.ui.state.job_model import Column, JobModel, Show
from mapreel.ui.state.job_texts import about, job_title, seconds_taken, shot_name, size_text, span, time_left
from mapreel.ui.state.jobs import Step
from mapreel.ui.views.jobs_view import JobsView

MANY = 10_000


def job(number, state="finished", kind="render", **facts):
    """A job as the service tells of it."""
    told = {
        "number": number,
        "id": f"{number:012x}",
        "type": kind,
        "state": state,
        "take": f"/shots/a/render/beauty_v{number:03d}",
        "priority": 0,
        "place": float(number),
        "created_s": 1e9 + number,
        "changed_s": 1e9 + number,
        "attempts": 1,
        "progress": None,
        "error": None,
        "result": {"seconds": 3.0} if state == "finished" else None,
        "request": {"labels": f"/shots/shot{number % 10}/label"},
    }
    return JobView.from_json({**told, **facts})


def progress(done, total, left=None):
    return {"done": done, "total": total, "stage": "render", "seconds_left": left}


@pytest.fixture
def model(studio):
    return JobModel(studio.jobs)


def texts(model, column=Column.WHAT):
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


def numbers(model):
    return [model.view_at(row).data["number"] for row in range(model.rowCount())]


def send(studio, *views):
    studio.bridge.jobs_came.emit(views)


class Heard:
    """What a model told its views."""

    def __init__(self, model):
        self.inserted, self.removed, self.changed, self.resets = [], [], [], 0
        model.rowsInserted.connect(lambda _, first, last: self.inserted.append((first, last)))
        model.rowsRemoved.connect(lambda _, first, last: self.removed.append((first, last)))
        model.dataChanged.connect(lambda first, last, _: self.changed.append((first.row(), last.row())))
        model.modelReset.connect(self._reset)

    def _reset(self):
        self.resets += 1


def test_the_newest_job_stands_on_top_whatever_came_first(studio, model):
    send(studio, job(2), job(7), job(3))
    send(studio, job(5), job(9), job(1))
    assert numbers(model) == [9, 7, 5, 3, 2, 1]
    assert texts(model)[0] == "shot9 · beauty_v009"


def test_rows_come_and_change_one_by_one(studio, model):
    send(studio, job(1), job(2), job(3))
    heard = Heard(model)
    send(studio, job(4, "queued"), job(5, "queued"))
    assert heard.inserted == [(0, 1)]
    heard.changed.clear()
    send(studio, job(2, "failed", error={"code": "gap", "what": "frame 5 is missing", "remedy": ""}))
    assert (3, 3) in heard.changed
    assert (heard.removed, heard.resets) == ([], 0)
    send(studio, job(2, "failed", error={"code": "gap", "what": "frame 5 is missing", "remedy": ""}))
    assert heard.changed.count((3, 3)) == 1  # told again, it is no news


def test_ten_thousand_jobs_come_in_batches_and_stay_whole(studio, model, qtbot):
    view = JobsView(studio)
    qtbot.addWidget(view)
    view.resize(900, 200)
    view.show()
    heard = Heard(model)
    every = [job(number) for number in range(1, MANY + 1)]
    for start in range(0, MANY, 500):
        send(studio, *every[start : start + 500])
    assert model.rowCount() == view.model.rowCount() == studio.jobs.count == MANY
    assert heard.resets == 0
    assert len(heard.inserted) == MANY // 500
    view.choose([every[4321].id])
    send(studio, *(job(number, "running", progress=progress(1, 9)) for number in range(4000, 4500)))
    assert [chosen.data["number"] for chosen in view.chosen()] == [4322]
    assert view.table.verticalHeader().sectionSize(0) == view.table.verticalHeader().sectionSize(MANY - 1)
    assert studio.jobs.waiting == 500


def test_ten_thousand_jobs_in_no_order(studio, model):
    mixed = [(number * 7919) % MANY + 1 for number in range(MANY)]
    for start in range(0, MANY, 500):
        send(studio, *(job(number) for number in mixed[start : start + 500]))
    assert numbers(model) == list(range(MANY, 0, -1))


def test_filters_by_state_type_and_words(studio, model):
    send(studio, job(1), job(2, "running"), job(3, "failed", "train", error={"code": "x", "what": "no"}), job(4))
    model.show_only(show=Show.OPEN)
    assert numbers(model) == [2]
    model.show_only(show=Show.TROUBLE)
    assert numbers(model) == [3]
    model.show_only(show=Show.ALL, kind="render")
    assert numbers(model) == [4, 2, 1]
    model.show_only(kind="", text="SHOT4 v004")
    assert numbers(model) == [4]
    model.show_only(text="")
    model.show_only(show=Show.OPEN)
    send(studio, job(2), job(5, "queued"))
    assert numbers(model) == [5]  # what ends leaves, what begins comes


def test_jobs_that_wait_say_who_is_next(studio, model):
    send(studio, job(1, "queued"), job(2, "queued"), job(3, "queued", priority=5))
    assert texts(model, Column.STATE) == ["Waiting, no. 1", "Waiting, no. 3", "Waiting, no. 2"]
    heard = Heard(model)
    send(studio, job(3, "running", priority=5))
    assert texts(model, Column.STATE) == ["Running", "Waiting, no. 2", "Waiting, no. 1"]
    assert {(1, 1), (2, 2)} <= set(heard.changed)


def test_what_ended_before_the_panel_listened_is_no_news(studio):
    ended = []
    studio.jobs.finished.connect(lambda view: ended.append(view.id))
    send(studio, job(1), job(2, "running"))
    assert ended == []
    send(studio, job(2))
    assert ended == [job(2).id]
    studio.bridge.jobs_complete = True
    send(studio, job(3))  # so short that nobody saw it run
    send(studio, job(3), job(1))  # a service that came back tells all again
    assert ended == [job(2).id, job(3).id]


def test_a_step_goes_to_those_that_it_can_be_taken_with(studio):
    send(studio, job(1, "running"), job(2, "queued"), job(3, "paused"), job(4), job(5, "cancelled"))
    can = {step: [n for n in range(1, 6) if studio.jobs.can(step, job(n).id)] for step in Step}
    assert can == {Step.PAUSE: [1, 2], Step.RESUME: [3], Step.CANCEL: [1, 2, 3], Step.RETRY: [5]}
    assert [n for n in range(1, 6) if studio.jobs.can_move(job(n).id)] == [2, 3]


def test_buttons_say_why_they_are_grey(studio, qtbot):
    view = JobsView(studio)
    qtbot.addWidget(view)
    send(studio, job(1), job(2, "running"))
    button = view.button("cancel")
    assert not button.isEnabled()
    assert "No job is chosen" in button.toolTip()
    view.choose([job(1).id])
    assert not button.isEnabled()
    assert "over" in button.toolTip()
    view.choose([job(1).id, job(2).id])
    assert button.isEnabled()
    assert view.actions_by_name["cancel"].isEnabled()
    assert {action.shortcut().toString() for action in view.actions_by_name.values()} >= {"Del", "P", "R", "Ctrl+L"}
    for name, action in view.actions_by_name.items():
        assert view.button(name).toolTip()
        assert view.button(name).accessibleName() == action.text()


def test_a_wrong_row_is_nothing(model):
    assert model.view_at(0) is None
    assert model.data(model.index(5, 0)) is None
    assert model.headerData(0, Qt.Orientation.Vertical) is None
    assert len({model.headerData(column, Qt.Orientation.Horizontal) for column in Column}) == len(Column)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "some seconds"), (38, "about 40 s"), (100, "about 2 min"), (5000, "about 83 min"), (9000, "about 2.5 h")],
)
def test_a_guess_is_no_finer_than_it_is(seconds, said):
    assert about(seconds) == said


def test_time_left_is_told_of_what_runs_and_is_known():
    assert time_left(job(1, "running", progress=progress(3, 9, 38.0))) == "about 40 s"
    assert time_left(job(1, "running", progress=progress(3, 9))) == ""
    late = job(1, "running", progress=progress(3, 9, 38.0))
    assert [time_left(late, age) for age in (20.0, 50.0, 90.0)] == ["about 20 s", "some seconds", ""]
    assert time_left(job(1, "paused", progress=progress(3, 9, 38.0))) == ""


def test_names_times_and_sizes():
    assert [span(seconds) for seconds in (8, 65, 7384)] == ["8 s", "1:05 min", "2:03 h"]
    assert [size_text(size) for size in (400, 2.5e6, 43e9)] == ["1 kB", "2.5 MB", "43 GB"]
    assert shot_name({"labels": "/s/sq010/label/sq.####.png"}) == "sq010"
    assert shot_name({"archive": "/s/plate.nirv"}) == "plate"
    assert job_title(job(1, take=None), None) == job(1).id


def test_a_paused_job_is_not_busy(studio):
    send(studio, job(1, "running"), job(2, "queued"))
    assert studio.jobs.waiting == 2
    send(studio, job(1, "paused"), job(2))
    assert studio.jobs.waiting == 0


def test_how_long_a_job_has_worked():
    now = 2e9
    assert seconds_taken(job(1, started_s=1e9 - 11.0), now) == 12.0  # it ended at 1e9 + 1
    assert seconds_taken(job(1, "running", started_s=now - 30.0), now) == 30.0
    assert seconds_taken(job(1, "queued", started_s=now - 30.0), now) is None
    assert seconds_taken(job(1, "cancelled", started_s=None), now) is None
