# SPDX-License-Identifier: GPL-3.0-or-later
"""State knows no widget and no view; a start loads nothing heavy; controls can be understood by anybody."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QMenuBar,
    QSlider,
    QTabBar,
    QWidget,
)

import mapreel.ui
from mapreel.ui.views.main_window import MainWindow

UI = Path(mapreel.ui.__file__).parent
HEAVY = ("torch", "cv2", "OpenImageIO", "av", "pyqtgraph", "opentimelineio", "starlette", "pydantic", "typer")


@pytest.mark.parametrize("path", sorted((UI / "state").glob("*.py")), ids=lambda path: path.stem)
def test_state_imports_no_widget_and_no_view(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.startswith(("PyQt6.QtWidgets", "mapreel.ui.views"))]


@pytest.mark.parametrize("path", sorted(UI.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_is_longer_than_one_can_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_a_window_is_made_without_anything_heavy(tmp_path):
    script = f"""
import json, os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from PyQt6.QtWidgets import QApplication
from mapreel.ui.state.studio import Studio
from mapreel.ui.views.main_window import MainWindow
app = QApplication(["mapreel"])
studio = Studio(state={str(tmp_path)!r})
window = MainWindow(studio)
window.show()
loaded = sorted(set(sys.modules) & set({HEAVY!r}))
studio.close()
print(json.dumps(loaded))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.fixture
def window(studio, qtbot):
    made = MainWindow(studio)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: hasattr(made, "jobs"), timeout=60_000)
    for place in range(made.tabs.count()):
        made.tabs.make(place)
    return made


def _controls(window):
    """What people operate, without the parts that Qt's own controls are made of."""
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QSlider, QAbstractItemView)
    for control in window.findChildren(QWidget):
        if isinstance(control, kinds) and not isinstance(control, QHeaderView) and not _is_part(control):
            yield control


def _is_part(control):
    whole = control.parentWidget()
    while whole is not None:
        if isinstance(whole, (QComboBox, QAbstractSpinBox, QLineEdit, QTabBar, QMenuBar)):
            return True
        whole = whole.parentWidget()
    return control.objectName().startswith("qt_")


def _told(control):
    return control.accessibleName() or control.property("text") or control.property("placeholderText")


def _path(control):
    words = []
    while control is not None:
        words.append(type(control).__name__)
        control = control.parentWidget()
    return "/".join(reversed(words))


def test_every_control_has_a_name_a_tooltip_and_a_way_by_keyboard(window):
    nameless, silent, unreachable = [], [], []
    for control in _controls(window):
        if not _told(control):
            nameless.append(_path(control))
        if isinstance(control, QAbstractButton) and not control.toolTip():
            silent.append(f"{_path(control)}: {_told(control)}")
        if control.focusPolicy().value == 0 and not (isinstance(control, QAbstractButton) and control.shortcut()):
            unreachable.append(f"{_path(control)}: {_told(control)}")
    assert (nameless, silent, unreachable) == ([], [], [])


def test_a_disabled_button_says_why(window):
    mute = [
        f"{_path(control)}: {_told(control)}"
        for control in _controls(window)
        if isinstance(control, QAbstractButton) and not control.isEnabled() and not control.accessibleDescription()
    ]
    assert mute == []
