# SPDX-License-Identifier: GPL-3.0-or-later
"""Key frame rule and content credentials of a render: asked for, refused, kept, and in the request that is sent."""

from __future__ import annotations

import pytest
from PyQt6.QtCore import Qt

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import KeyRule, Quality
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.views.main_window import MainWindow
from mapreel.ui.views.render_view import RenderView

LIMIT_MS = 60_000


@pytest.fixture
def form(opened, qtbot, monkeypatch):
    """The form of a studio with a shot open, and a service that is never asked."""
    opened.drafts.enabled = False
    monkeypatch.setattr(opened.bridge, "ask", lambda *_, **__: 0)
    qtbot.waitUntil(lambda: bool(opened.models.known), timeout=LIMIT_MS)
    opened.bridge.state = ServiceState.HERE
    return opened.render_form


def test_the_rule_of_key_frames_goes_where_there_are_key_frames(form):
    form.extras.keys = KeyRule.PAPER
    form.quality = Quality.FULL
    assert form.reason == ""
    assert form.extras.added_to(form.choice()).keys is KeyRule.ADAPTIVE
    form.quality = Quality.FAST
    assert form.extras.added_to(form.choice()).keys is KeyRule.PAPER


def test_credentials_need_certificate_key_and_files_that_hold_them(form, tmp_path):
    form.extras.signed = True
    assert form.reason == "Content credentials need a certificate and its key; choose both files."
    form.extras.certificate, form.extras.key_file = str(tmp_path / "chain.pem"), "key.pem"
    assert "no whole path" in form.reason
    form.extras.key_file = str(tmp_path / "key.pem")
    assert form.reason == ""
    request = form.extras.added_to(form.choice())
    assert (request.c2pa, request.c2pa_cert, request.c2pa_key) == (
        True,
        str(tmp_path / "chain.pem"),
        str(tmp_path / "key.pem"),
    )
    form.format = "exr-half-zip"
    assert "no place for content credentials" in form.reason
    with pytest.raises(UsageError):
        form.extras.added_to(form.choice())
    form.extras.signed = False
    assert form.reason == ""
    assert form.extras.added_to(form.choice()).c2pa_cert is None


def test_extras_are_kept_and_nonsense_is_not(form):
    form.extras.keys, form.extras.certificate = KeyRule.PAPER, "/chain.pem"
    kept = dict(form.extras.settings())
    form.extras.apply({"keys": "none", "signed": 1, "certificate": 7})
    assert form.extras.settings() == kept


def test_the_fold_opens_when_it_is_in_the_way(opened, form, qtbot):
    view = RenderView(opened)
    qtbot.addWidget(view)
    view.resize(300, 900)
    view.show()
    extras = view.extras
    assert not extras.keys.isVisible()
    extras.signed.setChecked(True)
    assert extras.keys.isVisible()
    assert "certificate" in extras.problem.label.text()
    assert not extras.keys.isEnabled()
    assert "every frame" in extras.keys.toolTip()
    form.quality = Quality.DRAFT
    assert extras.keys.isEnabled()
    extras.signed.setChecked(False)
    assert not extras.certificate.isVisible()
    assert view.minimumSizeHint().width() <= 300


def test_the_key_renders_from_every_tab_or_says_why_not(opened, form, qtbot, monkeypatch):
    sent = []
    monkeypatch.setattr(opened.jobs, "submit", lambda request, *_: sent.append(request))
    window = MainWindow(opened)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: hasattr(window, "hosts"), timeout=LIMIT_MS)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)
    for place in range(window.tabs.count()):
        window.tabs.setCurrentIndex(place)
        for focus in (window.tabs.make(place), window.viewer.canvas):
            focus.setFocus()
            form.submitting = False
            qtbot.keyClick(focus, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert len(sent) == 2 * window.tabs.count()
    form.submitting = False
    form.format, form.extras.signed = "exr-half-zip", True
    qtbot.keyClick(window.viewer.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert len(sent) == 8
    assert "no place for content credentials" in opened.messages.standing[-1].remedy
    menu = window.menuBar()
    assert menu.render_action.shortcut().toString() == "Ctrl+R"
    assert "no place for content credentials" in menu.render_action.toolTip()
    form.extras.signed = False
    assert not opened.messages.standing
    window.viewer.toggle_full_screen()
    qtbot.keyClick(window.viewer.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert len(sent) == 9
    window.viewer.toggle_full_screen()
