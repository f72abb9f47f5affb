# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that are linked, what each has open, and the way of a take into them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QPalette
from PyQt6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.state.hosts import host_facts, host_name
from mapreel.ui.text import tr
from mapreel.ui.views.binding import allow, faded, follow, heading, tool
from mapreel.ui.views.icons import icon
from mapreel.ui.views.render_parts import Problem
from mapreel.ui.views.sentences import Line

if TYPE_CHECKING:
    from mapreel.core.contract.host_session import HostView
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.studio import Studio

_SIGN_PX = 18
_LINES = 6  # two hosts


class HostsView(QWidget):
    """A list; the buttons act on the chosen host, and with the take that is looked at."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio, self._hosts = studio, studio.hosts
        self._shot: ShotState | None = None
        self.list = QListWidget()
        self.list.setObjectName("cards")
        self.list.setFrameShape(QListWidget.Shape.NoFrame)
        self.list.setMinimumHeight(self.fontMetrics().height() * _LINES)
        self.list.setAccessibleName(tr("Linked hosts"))
        self.list.setSpacing(2)
        self.list.currentRowChanged.connect(self._judge)
        self._empty = faded(tr("No host is linked. Blender with Mapreel switched on appears here by itself."))
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        node, strip = partial(self._bring_in, "node"), partial(self._bring_in, "strip")
        self.node_button = tool("node", tr("Bring this take in: into the compositor of the host"), node, keys="Ctrl+B")
        self.strip_button = tool("strip", tr("Bring this take in: onto the timeline of the host"), strip)
        self.strip_button.setShortcut("Ctrl+Shift+B")
        self.maps_button = tool("maps", tr("Open the label maps of the host"), self._open_maps)
        self.maps_button.setShortcut("Ctrl+Alt+O")
        self.answer, self.trouble = faded(), Problem()
        self._lay_out()
        follow(self._hosts, "linked", self._show)
        follow(self._hosts, "answer", self._say)
        follow(studio.shots, "current", self._follow)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(heading(tr("Hosts")), 1)
        for button in (self.node_button, self.strip_button, self.maps_button):
            top.addWidget(button)
        self._stack = QStackedLayout()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.list)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(8, 6, 8, 6)
        whole.addLayout(top)
        whole.addLayout(self._stack, 1)
        whole.addWidget(self.answer)
        whole.addWidget(self.trouble)

    def chosen(self) -> HostView | None:
        """The host that the buttons act on."""
        item = self.list.currentItem()
        return self._hosts.host(item.data(Qt.ItemDataRole.UserRole)) if item is not None else None

    def _show(self, hosts: tuple[HostView, ...]) -> None:
        before = self.chosen_session()
        self.list.blockSignals(True)
        self.list.clear()
        for host in hosts:
            item = QListWidgetItem()
            item.setData(Qt.ItemDataRole.UserRole, host.session)
            row = _HostRow(host, own=host.session == self._hosts.own)
            item.setSizeHint(row.sizeHint())
            item.setData(Qt.ItemDataRole.AccessibleTextRole, row.toolTip())
            self.list.addItem(item)
            self.list.setItemWidget(item, row)
        sessions = [host.session for host in hosts]
        self.list.setCurrentRow(sessions.index(before) if before in sessions else 0)
        self.list.blockSignals(False)
        self._stack.setCurrentIndex(1 if hosts else 0)
        self._judge()

    def chosen_session(self) -> str:
        """Its session, empty where none is chosen."""
        item = self.list.currentItem()
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    def _say(self, text: str) -> None:
        good = self._hosts.good
        self.answer.setText(text if good else "")
        self.answer.setVisible(bool(text) and good)
        self.trouble.say("" if good else text)

    def _follow(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            self._shot.result_changed.disconnect(self._judge)
        self._shot = shot
        if shot is not None:
            shot.result_changed.connect(self._judge)
        self._judge()

    def _judge(self, _: object = None) -> None:
        host = self.chosen()
        none = tr("No host is linked.") if host is None else ""
        take = "" if self._shot is not None and self._shot.result else tr("No take is looked at; render one first.")
        for button in (self.node_button, self.strip_button):
            allow(button, none or take)
        maps = "" if host is not None and host.facts.labels else tr("The host has told of no label maps.")
        allow(self.maps_button, none or maps)

    def _bring_in(self, into: str) -> None:
        host = self.chosen()
        if host is not None and self._shot is not None:
            self._hosts.bring_in(host.session, self._shot.result, into)

    def _open_maps(self) -> None:
        host = self.chosen()
        if host is not None:
            self._hosts.open_maps(host.session)


class _HostRow(QWidget):
    """A host: its name and file, then scene, range, rate and size. The one that opened the panel has a bright sign."""

    def __init__(self, host: HostView, *, own: bool) -> None:
        super().__init__()
        file = Path(host.facts.file).name or tr("not saved yet")
        told = [tr("It opened this panel")] if own else []
        told += [tr("does not answer now")] if host.age_s else []
        sign, facts = QLabel(), Line(tr("does not answer now") if host.age_s else host_facts(host))
        facts.setObjectName("faded")
        accent = self.palette().color(QPalette.ColorRole.Accent) if own else None
        sign.setPixmap(icon("host", accent).pixmap(QSize(_SIGN_PX, _SIGN_PX)))
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(Line(f"{host_name(host)} · {file}"))
        words.addWidget(facts)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(sign)
        row.addLayout(words, 1)
        lines = [f"{host_name(host)} {host.facts.version} · {host.facts.file or file}", host_facts(host)]
        self.setToolTip("\n".join(filter(None, [*lines, *told, host.facts.labels])))
