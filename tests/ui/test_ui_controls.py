# SPDX-License-Identifier: GPL-3.0-or-later
"""Every control of every view: a tooltip, an accessible name, a way by keyboard, and a reason while it is disabled."""

from __future__ import annotations

import importlib
import importlib.util

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QWidget,
)

KINDS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractItemView, QAbstractSlider)
VIEWS = [
    name
    for name in ("shots", "viewer", "render", "labels", "train", "archive", "jobs", "hosts")
    if importlib.util.find_spec(f"mapreel.ui.views.{name}_view")
]


@pytest.fixture(params=VIEWS)
def view(request, studio, qtbot):
    studio.drafts.enabled = False
    module = importlib.import_module(f"mapreel.ui.views.{request.param}_view")
    made = getattr(module, f"{request.param.capitalize()}View")(studio)
    qtbot.addWidget(made)
    return made


def _controls(view):
    """Ours: not the parts that Qt makes its widgets of."""
    for widget in view.findChildren(QWidget):
        parent = widget.parent()
        part = isinstance(parent, (QLineEdit, QAbstractSpinBox, QComboBox, QTabBar)) or widget.objectName().startswith(
            "qt_"
        )
        part = part or isinstance(widget, (QHeaderView, QScrollBar)) or isinstance(parent.parent(), QComboBox)
        if isinstance(widget, KINDS) and not part:
            yield widget


def test_every_control_says_what_it_does(view):
    faults = []
    for control in _controls(view):
        lacks = [] if control.accessibleName() else ["accessible name"]
        if not control.toolTip() and not isinstance(control, QAbstractItemView):
            lacks.append("tooltip")
        if control.focusPolicy() == Qt.FocusPolicy.NoFocus and not getattr(control, "shortcut", str)():
            lacks.append("way by keyboard")
        if not control.isEnabled() and control.parent().isEnabled() and not control.accessibleDescription():
            lacks.append("reason")
        if lacks:
            shown = (
                control.accessibleName() or control.toolTip() or getattr(control, "text", str)() or control.objectName()
            )
            faults.append(f"{type(control).__name__} “{shown}”: {', '.join(lacks)}")
    assert not faults
