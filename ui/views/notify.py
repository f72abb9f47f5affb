# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the desktop that jobs ended while nobody looked: by the tray, the desktop's own service, or the taskbar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from PyQt6.QtCore import QMetaType, QObject, QTimer, QVariant
from PyQt6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from mapreel.core.contract.jobs import JobState
from mapreel.ui.state.job_texts import job_label, job_title
from mapreel.ui.state.messages import sentence
from mapreel.ui.text import tr, trn
from mapreel.ui.views.icons import icon

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.studio import Studio

_GATHER_MS = 1500  # jobs that end together are told together
_SHOWN_MS = 10_000
_NAMED = 3
_DBUS = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications", "org.freedesktop.Notifications")


class Way(Protocol):
    """A way to tell; gives whether it worked."""

    def __call__(self, title: str, text: str, /, *, bad: bool) -> bool: ...


class Notifier(QObject):
    """Listens to the jobs. ways: tried one after the other until one works; the platform's own by default."""

    def __init__(
        self, studio: Studio, window: QWidget, ways: tuple[Way, ...] | None = None, gather_ms: int = _GATHER_MS
    ) -> None:
        super().__init__(window)
        self._studio, self._window = studio, window
        self._tray: QSystemTrayIcon | None = None
        self.ways: tuple[Way, ...] = ways or (self._by_tray, self._by_dbus, self._by_taskbar)
        self._ended: list[JobView] = []
        self._gather = QTimer(self)
        self._gather.setSingleShot(True)
        self._gather.setInterval(gather_ms)
        self._gather.timeout.connect(self._tell)
        studio.jobs.finished.connect(self._hear)

    def _hear(self, view: JobView) -> None:
        looks = QApplication.activeWindow() is not None
        if looks or not self._studio.preferences.notify or view.state is JobState.CANCELLED:
            return
        self._ended.append(view)
        if not self._gather.isActive():
            self._gather.start()

    def _tell(self) -> None:
        ended, self._ended = self._ended, []
        if ended and QApplication.activeWindow() is None:
            title, text, bad = self.words(ended)
            any(way(title, text, bad=bad) for way in self.ways)

    def words(self, ended: list[JobView]) -> tuple[str, str, bool]:
        """Title, text, and whether something went wrong."""
        bad = [view for view in ended if view.state is not JobState.FINISHED]
        names = [job_title(view, self._studio.jobs.request(view.id)) for view in bad or ended]
        if len(ended) == 1:
            view = ended[0]
            said = tr("{job} is finished", job=job_label(view)) if not bad else tr("{job} failed", job=job_label(view))
            return said, f"{names[0]}\n{sentence(view.error.what)}" if bad and view.error else names[0], bool(bad)
        text = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
        if bad:
            return trn("{count} job failed", "{count} jobs failed", len(bad)), text, True
        return trn("{count} job is finished", "{count} jobs are finished", len(ended)), text, False

    def _by_tray(self, title: str, text: str, *, bad: bool) -> bool:
        if not QSystemTrayIcon.isSystemTrayAvailable() or not QSystemTrayIcon.supportsMessages():
            return False
        if self._tray is None:
            self._tray = QSystemTrayIcon(icon("mapreel"), self)
            self._tray.setToolTip("Mapreel")
            self._tray.messageClicked.connect(self._raise)
            self._tray.activated.connect(lambda _: self._raise())
        self._tray.show()
        kinds = QSystemTrayIcon.MessageIcon
        self._tray.showMessage(title, text, kinds.Warning if bad else kinds.Information, _SHOWN_MS)
        QTimer.singleShot(_SHOWN_MS, self._tray.hide)
        return True

    def _by_dbus(self, title: str, text: str, *, bad: bool) -> bool:
        try:
            from PyQt6.QtDBus import QDBusConnection, QDBusMessage
        except ImportError:  # the platform's Qt has none
            return False
        bus = QDBusConnection.sessionBus()
        interface = bus.interface() if bus.isConnected() else None
        if interface is None or not interface.isServiceRegistered(_DBUS[0]).value():
            return False
        call = QDBusMessage.createMethodCall(*_DBUS, "Notify")
        fresh, actions = QVariant(0), QVariant([])  # the bus wants uint32 and an array of strings, and nothing else
        fresh.convert(QMetaType(QMetaType.Type.UInt.value))  # type: ignore[call-overload]
        actions.convert(QMetaType(QMetaType.Type.QStringList.value))  # type: ignore[call-overload]
        sign = "dialog-warning" if bad else "dialog-information"
        call.setArguments(["Mapreel", fresh, sign, title, text, actions, {}, _SHOWN_MS])
        return bus.send(call)

    def _by_taskbar(self, _title: str, _text: str, *, bad: bool) -> bool:
        app = QApplication.instance()
        window = self._window.window()
        if not isinstance(app, QApplication) or window is None:
            return False
        app.alert(window, 0 if bad else _SHOWN_MS)
        return True

    def _raise(self) -> None:
        window = self._window.window()
        if window is not None:
            window.showNormal() if window.isMinimized() else window.show()
            window.raise_()
            window.activateWindow()
