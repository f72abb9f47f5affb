# SPDX-License-Identifier: GPL-3.0-or-later
"""The window: shots on the left, the picture in the middle, what can be done with it on the right, jobs below."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from PyQt6.QtCore import QByteArray, Qt, QTimer
from PyQt6.QtWidgets import QMainWindow, QSplitter, QTabWidget, QVBoxLayout, QWidget

from mapreel.ui.text import tr
from mapreel.ui.views.draft_bar import DraftBar
from mapreel.ui.views.icons import icon
from mapreel.ui.views.menus import Menus
from mapreel.ui.views.message_bar import MessageBar
from mapreel.ui.views.shots_view import ShotsView

if TYPE_CHECKING:
    from PyQt6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent

    from mapreel.ui.state.studio import Studio

_SIZE_PX = (1440, 900)
_LEFT_PX, _RIGHT_PX, _BELOW_PX = 260, 360, 190


class Tab(NamedTuple):
    """A view that is made when it is first looked at: a heavy library waits until it is needed."""

    title: str
    says: str
    module: str
    name: str


def right_tabs() -> tuple[Tab, ...]:
    """What stands on the right."""
    return (
        Tab(tr("Render"), tr("Maps into pictures"), "mapreel.ui.views.render_view", "RenderView"),
        Tab(tr("Labels"), tr("Colours, names, what becomes what"), "mapreel.ui.views.labels_view", "LabelsView"),
        Tab(tr("Train"), tr("A model of your own shot"), "mapreel.ui.views.train_view", "TrainView"),
        Tab(tr("Archive"), tr("Shots into small files, and back"), "mapreel.ui.views.archive_view", "ArchiveView"),
    )


class LazyTabs(QTabWidget):
    """Tabs whose views are made at the first look."""

    def __init__(self, studio: Studio, tabs: tuple[Tab, ...]) -> None:
        super().__init__()
        self._studio, self._tabs = studio, tabs
        self.setDocumentMode(True)
        self.setUsesScrollButtons(True)
        for tab in tabs:
            holder = QWidget()
            QVBoxLayout(holder).setContentsMargins(0, 0, 0, 0)
            place = self.addTab(holder, tab.title)
            self.setTabToolTip(place, tab.says)
        self.currentChanged.connect(self.make)

    def make(self, place: int) -> QWidget:
        """The view of a tab."""
        holder = self.widget(place)
        assert holder is not None
        layout = holder.layout()
        assert layout is not None
        if layout.count() == 0:
            tab = self._tabs[place]
            layout.addWidget(getattr(importlib.import_module(tab.module), tab.name)(self._studio))
        item = layout.itemAt(0)
        view = item.widget() if item is not None else None
        assert view is not None
        return view


class MainWindow(QMainWindow):
    """The panel. Everything it shows is bound to the studio; closing it ends no job."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.studio = studio
        self.setWindowTitle("Mapreel")
        self.setWindowIcon(icon("mapreel"))
        self.setAcceptDrops(True)
        self.resize(*_SIZE_PX)
        self.messages = MessageBar(studio.messages)
        self.shots = ShotsView(studio)
        self.tabs = LazyTabs(studio, right_tabs())
        self._lay_out()
        self.setMenuBar(Menus(self))
        self._remember_layout()
        QTimer.singleShot(0, self._fill)  # after the first paint

    def _lay_out(self) -> None:
        self.middle = QWidget()
        QVBoxLayout(self.middle).setContentsMargins(0, 0, 0, 0)
        self.below = QWidget()
        QVBoxLayout(self.below).setContentsMargins(0, 0, 0, 0)
        self.left = QSplitter(Qt.Orientation.Vertical)
        self.left.addWidget(self.shots)
        self.across = QSplitter(Qt.Orientation.Horizontal)
        for part, width in ((self.left, _LEFT_PX), (self.middle, 0), (self.tabs, _RIGHT_PX)):
            self.across.addWidget(part)
            part.setMinimumWidth(min(width, 220) or 320)
        self.across.setStretchFactor(1, 1)
        self.across.setSizes([_LEFT_PX, _SIZE_PX[0] - _LEFT_PX - _RIGHT_PX, _RIGHT_PX])
        self.down = QSplitter(Qt.Orientation.Vertical)
        self.down.addWidget(self.across)
        self.down.addWidget(self.below)
        self.down.setStretchFactor(0, 1)
        self.down.setSizes([_SIZE_PX[1] - _BELOW_PX, _BELOW_PX])
        for splitter in (self.left, self.across, self.down):
            splitter.setChildrenCollapsible(False)
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.messages)
        column.addWidget(self.down, 1)
        self.setCentralWidget(whole)

    def _fill(self) -> None:
        """The parts that take longer to make than a window may take to appear."""
        from mapreel.ui.views.hosts_view import HostsView
        from mapreel.ui.views.jobs_view import JobsView
        from mapreel.ui.views.viewer_view import ViewerView

        self.viewer = ViewerView(self.studio)
        self.jobs = JobsView(self.studio)
        self.hosts = HostsView(self.studio)
        self._put(self.middle, self.viewer)
        self._put(self.middle, DraftBar(self.studio.drafts))
        self._put(self.below, self.jobs)
        self.left.addWidget(self.hosts)
        self.left.setStretchFactor(0, 1)
        self.tabs.make(self.tabs.currentIndex())
        self.studio.shots.current_changed.connect(lambda _: self.viewer.setFocus())

    @staticmethod
    def _put(place: QWidget, view: QWidget) -> None:
        layout = place.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.addWidget(view, 0 if isinstance(view, DraftBar) else 1)

    # -- dropping ----------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and any(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        data = event.mimeData() if event is not None else None
        if event is None or data is None:
            return
        event.acceptProposedAction()
        self.studio.shots.open_paths([url.toLocalFile() for url in data.urls() if url.isLocalFile()])

    # -- coming and going --------------------------------------------------------------------------------------------

    def _remember_layout(self) -> None:
        kept = self.studio.preferences.kept("window", {})
        for name, restore in (("geometry", self.restoreGeometry), ("across", self.across.restoreState)):
            if isinstance(kept.get(name), str):
                restore(QByteArray.fromBase64(kept[name].encode()))

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 - Qt's name
        kept = {"geometry": self.saveGeometry(), "across": self.across.saveState()}
        self.studio.preferences.keep("window", {name: state.toBase64().data().decode() for name, state in kept.items()})
        self.studio.close()
        super().closeEvent(event)
