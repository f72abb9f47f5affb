# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu bar: what every desktop program has where people look for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction, QActionGroup, QKeySequence
from PyQt6.QtWidgets import QMenu, QMenuBar, QMessageBox

from mapreel.core.contract.versions import installed_version
from mapreel.ui.text import languages, tr
from mapreel.ui.views.binding import follow
from mapreel.ui.views.theme import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.views.main_window import MainWindow

RENDER_KEYS = "Ctrl+R"
LANGUAGES = {"en": "English", "ja": "日本語"}


class Menus(QMenuBar):
    """File, View, Help."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._preferences = window, window.studio.preferences
        self._file(self._menu(tr("&File")))
        self._view(self._menu(tr("&View")))
        self._help(self._menu(tr("&Help")))

    def _menu(self, title: str) -> QMenu:
        menu = self.addMenu(title)
        assert menu is not None
        return menu

    def _file(self, menu: QMenu) -> None:
        shots = self._window.shots
        _act(menu, tr("&Open a folder …"), shots.open_folder)
        _act(menu, tr("Open &files …"), shots.open_file)
        recent = menu.addMenu(tr("Opened &lately"))
        assert recent is not None
        recent.aboutToShow.connect(lambda: shots.fill_recent(recent))
        menu.addSeparator()
        _act(menu, tr("&Label doctor …"), shots.open_doctor)
        _act(menu, tr("&Close the shot"), shots.close_current, "Ctrl+W")
        menu.addSeparator()
        self._render(menu)
        menu.addSeparator()
        _act(menu, tr("&Quit"), self._window.close, "Ctrl+Q")

    def _render(self, menu: QMenu) -> None:
        form = self._window.studio.render_form
        menu.setToolTipsVisible(True)
        self.render_action = _act(menu, tr("&Render the shot"), form.submit, RENDER_KEYS)
        self.render_action.setShortcutContext(Qt.ShortcutContext.ApplicationShortcut)  # in full screen, too
        follow(form, "reason", partial(_tell, self.render_action, tr("Render the shot with these settings")))

    def _view(self, menu: QMenu) -> None:
        titles = {"system": tr("As the &system has it"), "light": tr("&Light"), "dark": tr("&Dark")}
        scheme = menu.addMenu(tr("&Colours"))
        tongue = menu.addMenu(tr("&Language"))
        assert scheme is not None
        assert tongue is not None
        _choice(scheme, self._preferences, "scheme", [(titles[name], name) for name in SCHEMES])
        system = [(tr("As the &system has it"), "")]
        _choice(tongue, self._preferences, "language", [*system, *((LANGUAGES[name], name) for name in languages())])
        self._preferences.language_changed.connect(self._told_language)
        menu.addSeparator()
        _check(menu, self._preferences, "patterns", tr("&Patterns on classes"))
        _check(menu, self._preferences, "notify", tr("&Tell the desktop when a job ends"))

    def _help(self, menu: QMenu) -> None:
        _act(menu, tr("&About Mapreel"), self._about)

    def _told_language(self, _: object) -> None:
        QMessageBox.information(self._window, "Mapreel", tr("The language changes when the panel is opened again."))

    def _about(self) -> None:
        text = tr("Mapreel {version}: semantic maps into photoreal video, shots into neural archives.")
        text = text.format(version=installed_version("mapreel"))
        licence = tr("Free software under the GNU General Public License, version 3 or later.")
        QMessageBox.about(self._window, tr("About Mapreel"), f"{text}\n\n{licence}")


def _act(menu: QMenu, text: str, act: Callable[[], object], keys: str = "") -> QAction:
    action = menu.addAction(text)
    assert action is not None
    action.triggered.connect(lambda _=False: act())
    if keys:
        action.setShortcut(QKeySequence(keys))
    return action


def _tell(action: QAction, says: str, reason: str) -> None:
    action.setToolTip(f"{says}\n{reason}" if reason else says)


def _choice(menu: QMenu, preferences: Preferences, name: str, choices: Iterable[tuple[str, str]]) -> None:
    group = QActionGroup(menu)
    for text, value in choices:
        action = menu.addAction(text)
        assert action is not None
        action.setCheckable(True)
        group.addAction(action)
        action.triggered.connect(lambda _=False, value=value: setattr(preferences, name, value))
        follow(preferences, name, partial(_mark, action, value))


def _mark(action: QAction, value: str, now: str) -> None:
    action.setChecked(now == value)


def _check(menu: QMenu, preferences: Preferences, name: str, text: str) -> None:
    action = menu.addAction(text)
    assert action is not None
    action.setCheckable(True)
    follow(preferences, name, action.setChecked)
    action.toggled.connect(lambda value: setattr(preferences, name, value))
