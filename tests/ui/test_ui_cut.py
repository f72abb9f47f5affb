# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is cut when every text is 40 % longer: the pseudo language in a window of a small laptop."""

from __future__ import annotations

import pytest
from PyQt6.QtCore import QCoreApplication
from PyQt6.QtWidgets import QAbstractButton, QLabel, QToolButton

from mapreel.ui.text import PSEUDO, Catalogue
from mapreel.ui.views.main_window import MainWindow

SLACK_PX = 2


@pytest.fixture
def pseudo(qapp):
    catalogue = Catalogue(PSEUDO, QCoreApplication.instance())
    QCoreApplication.installTranslator(catalogue)
    yield
    QCoreApplication.removeTranslator(catalogue)


@pytest.fixture
def window(opened, qtbot, pseudo):
    made = MainWindow(opened)
    qtbot.addWidget(made)
    made.resize(1366, 768)
    made.show()
    qtbot.waitUntil(lambda: hasattr(made, "hosts"), timeout=60_000)
    return made


def cut(window):
    """Labels and buttons whose text does not fit into them, with what they say."""
    found = []
    for label in window.findChildren(QLabel):
        if label.isVisible() and label.text() and not label.pixmap():
            wanted = label.sizeHint() if not label.wordWrap() else None
            high = label.heightForWidth(label.width()) if label.wordWrap() else 0
            if (wanted is not None and wanted.width() > label.width() + SLACK_PX) or high > label.height() + SLACK_PX:
                found.append(label.text())
    for button in window.findChildren(QAbstractButton):
        wide = button.minimumSizeHint().width() > button.width() + SLACK_PX
        if wide and button.isVisible() and button.text() and not isinstance(button, QToolButton):
            found.append(button.text())
    return found


@pytest.mark.parametrize("place", range(4))
def test_nothing_is_cut(window, qtbot, place):
    window.tabs.setCurrentIndex(place)
    qtbot.wait(50)
    assert cut(window) == []
