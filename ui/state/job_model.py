# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs as rows of a table, the newest on top; rows come, change and go one by one, however many there are."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QAbstractTableModel, QDateTime, QLocale, QModelIndex, QObject, Qt

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_texts import job_label, job_title, seconds_taken, span, state_label, time_left
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.jobs import Jobs

VIEW_ROLE = Qt.ItemDataRole.UserRole
FEW = 64  # rows that change at once and are told one by one; of more the whole span is told
DAY_S = 86_400.0


class Column(IntEnum):
    """What a row tells."""

    WHAT = 0
    TYPE = 1
    STATE = 2
    PROGRESS = 3
    LEFT = 4
    STARTED = 5
    TOOK = 6


class Show(StrEnum):
    """Which jobs are shown by their state."""

    ALL = "all"
    OPEN = "open"  # run, wait or rest
    FINISHED = "finished"
    TROUBLE = "trouble"  # failed, set aside, cancelled


_BAD = frozenset({JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED})


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are shown. kind: a type of request, empty: all. text: words out of paths or the id."""

    show: Show = Show.ALL
    kind: str = ""
    text: str = ""

    def fits(self, view: JobView, said: str) -> bool:
        """Whether a job is shown; said: what its words are looked for in, in small letters."""
        if self.kind and view.type != self.kind:
            return False
        if self.show is Show.OPEN and view.state.is_over:
            return False
        if self.show is Show.FINISHED and view.state is not JobState.FINISHED:
            return False
        if self.show is Show.TROUBLE and view.state not in _BAD:
            return False
        return not self.text or all(word in said for word in self.text.casefold().split())


class JobModel(QAbstractTableModel):
    """Rows are kept by the number of the job, negated, so that the newest stands first."""

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._filter = JobFilter()
        self._rows: list[int] = []
        self._ids: dict[int, str] = {}
        self._places: dict[str, int] | None = None
        self._words: dict[str, tuple[object, str]] = {}
        self._take(jobs.views())
        jobs.came.connect(self._take)
        jobs.forgotten.connect(self._drop_ids)
        jobs.learnt.connect(self._learnt)

    # -- Qt's side -----------------------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's names and manners
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(Column)

    def headerData(self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        if role == Qt.ItemDataRole.TextAlignmentRole and section == Column.TOOK:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if way is not Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        return {
            Column.WHAT: tr("Job"),
            Column.TYPE: tr("Type"),
            Column.STATE: tr("State"),
            Column.PROGRESS: tr("Progress"),
            Column.LEFT: tr("Time left"),
            Column.STARTED: tr("Since"),
            Column.TOOK: tr("Took"),
        }[Column(section)]

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        view = self.view_at(index.row()) if index.isValid() else None
        if view is None:
            return None
        if role == VIEW_ROLE:
            return view
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._text(view, Column(index.column()))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(view)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == Column.TOOK:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    # -- ours ----------------------------------------------------------------------------------------------------------

    @property
    def filter(self) -> JobFilter:
        """What is shown."""
        return self._filter

    def show_only(self, **wanted: Any) -> None:
        """Change some fields of the filter."""
        chosen = replace(self._filter, **wanted)
        if chosen == self._filter:
            return
        self._filter = chosen
        self._anew()

    def _anew(self) -> None:
        self._places = None
        self.beginResetModel()
        self._rows, self._ids = [], {}
        for view in self._jobs.views():
            if self._fits(view):
                self._ids[_key(view)] = view.id
        self._rows = sorted(self._ids)
        self.endResetModel()

    def view_at(self, row: int) -> JobView | None:
        """The job in a row."""
        return self._jobs.view(self._ids[self._rows[row]]) if 0 <= row < len(self._rows) else None

    def row_of(self, job: str) -> int:
        """The row of a job, -1 where it is not shown."""
        view = self._jobs.view(job)
        return self._row(_key(view)) if view is not None else -1

    def _row(self, key: int) -> int:
        row = bisect_left(self._rows, key)
        return row if row < len(self._rows) and self._rows[row] == key else -1

    def _fits(self, view: JobView) -> bool:
        if self._filter == JobFilter():
            return True
        return self._filter.fits(view, self._said(view) if self._filter.text else "")

    def _said(self, view: JobView) -> str:
        """Where the words of a search are looked for; kept, for a search goes through all jobs at every letter."""
        request = self._jobs.request(view.id)
        said = self._words.get(view.id)
        if said is None or said[0] is not request:
            parts = [str(request.get(name, "")) for name in ("labels", "source", "archive", "data")] if request else []
            said = self._words[view.id] = (request, " ".join([view.take or "", view.id, *parts]).casefold())
        return said[1]

    # -- news ----------------------------------------------------------------------------------------------------------

    def _take(self, views: Iterable[JobView]) -> None:
        self._places = None
        new: dict[int, str] = {}
        gone: list[int] = []
        told: list[int] = []
        for view in views:
            key = _key(view)
            self._said(view)  # now, some hundred at a time, and not all of them at the first letter of a search
            there, fits = key in self._ids, self._fits(view)
            if there and fits:
                told.append(key)
            elif there:
                gone.append(key)
            elif fits:
                new[key] = view.id
        self._insert(new)
        self._remove(gone)
        self._tell(told)
        self._tell_places()

    def _insert(self, new: dict[int, str]) -> None:
        """Rows that lie side by side come together, from below, so that the places above stay right."""
        runs: list[tuple[int, list[int]]] = []
        for key in sorted(new):
            place = bisect_left(self._rows, key)
            if runs and runs[-1][0] == place:
                runs[-1][1].append(key)
            else:
                runs.append((place, [key]))
        for place, keys in reversed(runs):
            self.beginInsertRows(QModelIndex(), place, place + len(keys) - 1)
            self._rows[place:place] = keys
            self._ids.update((key, new[key]) for key in keys)
            self.endInsertRows()

    def _remove(self, keys: Iterable[int]) -> None:
        for key in keys:
            row = self._row(key)
            if row >= 0:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self._rows[row], self._ids[key]
                self.endRemoveRows()

    def _drop_ids(self, ids: Iterable[str]) -> None:
        wanted = set(ids)
        gone = [key for key, job in self._ids.items() if job in wanted]
        if len(gone) <= FEW:
            self._remove(gone)
        else:
            self._anew()

    def _tell(self, keys: Iterable[int]) -> None:
        rows = sorted(row for row in map(self._row, keys) if row >= 0)
        spans = [(row, row) for row in rows] if len(rows) <= FEW else [(rows[0], rows[-1])]
        for first, last in spans:
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(Column) - 1))

    def _tell_places(self) -> None:
        """Who waits moves on when somebody else begins or goes."""
        waiting = self._jobs.queued()
        if waiting and len(waiting) <= FEW:
            for view in waiting:
                row = self._row(_key(view))
                if row >= 0:
                    place = self.index(row, Column.STATE)
                    self.dataChanged.emit(place, place)

    def _learnt(self, ids: Iterable[str]) -> None:
        """The names of shots came: rows say them, and the filter may see them."""
        known = [view for view in map(self._jobs.view, ids) if view is not None]
        if self._filter.text:
            self._take(known)
        else:
            self._tell([_key(view) for view in known if _key(view) in self._ids])

    # -- texts ---------------------------------------------------------------------------------------------------------

    def _title(self, view: JobView) -> str:
        request = self._jobs.request(view.id)
        if request is None:
            self._jobs.learn(view.id)
        return job_title(view, request)

    def _text(self, view: JobView, column: Column) -> str:
        if column is Column.WHAT:
            return self._title(view)
        if column is Column.TYPE:
            return job_label(view)
        if column is Column.STATE:
            return self._state(view)
        if column is Column.PROGRESS:
            return f"{view.progress.done} / {view.progress.total}" if view.progress is not None else ""
        if column is Column.LEFT:
            return time_left(view, self._jobs.age_s(view.id))
        if column is Column.STARTED:
            return moment(float(view.data.get("changed_s", 0.0)))
        taken = seconds_taken(view, time.time())
        return span(taken) if taken is not None else ""

    def _state(self, view: JobView) -> str:
        if view.state is not JobState.QUEUED:
            return state_label(view.state)
        if self._places is None:
            self._places = {other.id: place for place, other in enumerate(self._jobs.queued(), start=1)}
        return tr("Waiting, no. {place}", place=self._places.get(view.id, 0))

    def _tip(self, view: JobView) -> str:
        lines = [f"{job_label(view)}: {self._title(view)}", self._state(view)]
        if view.error is not None and view.state is not JobState.FINISHED:
            lines.append(str(view.error))
        if view.take:
            lines.append(view.take)
        lines.append(tr("Asked for: {when}", when=moment(float(view.data.get("created_s", 0.0)))))
        return "\n".join(lines)


def _key(view: JobView) -> int:
    return -int(view.data["number"])


def moment(at_s: float) -> str:
    """The time of day, with the date where it was not within the last day."""
    when = QDateTime.fromMSecsSinceEpoch(round(at_s * 1000))
    short = QLocale().toString(when.time(), QLocale.FormatType.ShortFormat)
    if abs(time.time() - at_s) < DAY_S / 2:
        return short
    return f"{QLocale().toString(when.date(), QLocale.FormatType.ShortFormat)} {short}"
