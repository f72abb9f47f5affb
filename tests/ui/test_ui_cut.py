# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is cut, squeezed or laid over another in a window of a small laptop: texts 40 % longer, Japanese, 300 %."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from PyQt6.QtCore import QCoreApplication
from PyQt6.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox, QLabel, QLineEdit, QToolButton

from mapreel.ui.text import PSEUDO, Catalogue
from mapreel.ui.views.form_rows import Scrolled
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.sentences import Line
from mapreel.ui.views.theme import set_type

SLACK_PX = 2
SIZES = ((1366, 768), (1280, 690))
"""A small laptop; a screen of 3840 x 2160 at 300 %, less its bars."""
FIELDS = (QComboBox, QAbstractSpinBox, QLineEdit)


@pytest.fixture(params=[PSEUDO, "ja"])
def language(qapp, request):
    catalogue, font = Catalogue(request.param, QCoreApplication.instance()), QApplication.font()
    QCoreApplication.installTranslator(catalogue)
    set_type(qapp, request.param)
    yield request.param
    QApplication.setFont(font)
    QCoreApplication.removeTranslator(catalogue)


@pytest.fixture
def window(opened, qtbot, language):
    made = MainWindow(opened)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: hasattr(made, "hosts"), timeout=60_000)
    return made


def cut(window):
    """Labels and buttons whose text does not fit into them, with what they say."""
    found = []
    for label in window.findChildren(QLabel):
        if label.isVisible() and label.text() and not label.pixmap() and not isinstance(label, Line):
            wanted = label.sizeHint() if not label.wordWrap() else None
            high = label.heightForWidth(label.width()) if label.wordWrap() else 0
            if (wanted is not None and wanted.width() > label.width() + SLACK_PX) or high > label.height() + SLACK_PX:
                found.append(label.text())
    for button in window.findChildren(QAbstractButton):
        wide = button.minimumSizeHint().width() > button.width() + SLACK_PX
        if wide and button.isVisible() and button.text() and not isinstance(button, QToolButton):
            found.append(button.text())
    return found


def squeezed(window):
    """Fields that are lower than they ought to be, and those that lie upon the next one."""
    found = [field for kind in FIELDS for field in window.findChildren(kind) if field.isVisible()]
    fields = [field for field in found if not isinstance(field.parentWidget(), FIELDS)]  # else a part of another
    low = [field for field in fields if field.height() < field.sizeHint().height() - SLACK_PX]
    laid_over = [
        one
        for place, one in enumerate(fields)
        for other in fields[place + 1 :]
        if one.parentWidget() is other.parentWidget() and one.geometry().intersects(other.geometry())
    ]
    return [field.accessibleName() or type(field).__name__ for field in low + laid_over]


def test_nothing_is_cut(window, qtbot):
    for size in SIZES:
        window.resize(*size)
        for place in range(window.tabs.count()):
            window.tabs.setCurrentIndex(place)
            qtbot.wait(50)
            assert cut(window) == [], (size, place)
            assert squeezed(window) == [], (size, place)


def test_nothing_scrolls_sideways(window, qtbot):
    """At 220 pixels of the side columns every view is as narrow as its column."""
    window.resize(*SIZES[1])
    window.across.setSizes([220, 640, 220])
    for place in range(window.tabs.count()):
        window.tabs.setCurrentIndex(place)
        qtbot.wait(50)
        for area in window.tabs.findChildren(Scrolled):
            if area.isVisible():
                wide = area.widget().minimumSizeHint().width()
                assert wide <= area.viewport().width() + SLACK_PX, place


def test_nothing_is_cut_at_three_times_the_size():
    """Qt takes its scale at the start: the same again in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::test_nothing_is_cut"],
        env={**os.environ, "QT_SCALE_FACTOR": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-3000:]
