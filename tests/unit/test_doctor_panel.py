# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor says of the panel's libraries."""

from __future__ import annotations

from mapreel.core import doctor


def test_the_panel_is_found_working():
    found = doctor.CHECKS["panel"]("panel")
    assert found.state == doctor.GOOD
    assert found.said.startswith("Qt 6.")
    assert "ja" in found.said


def test_a_library_that_lacks_is_named_and_the_rest_works(monkeypatch):
    lacks = "ImportError: libEGL.so.1: cannot open shared object file: No such file or directory"
    monkeypatch.setattr(doctor, "ask", lambda _: lacks)
    found = doctor.CHECKS["panel"]("panel")
    assert found.state == doctor.NOTE
    assert found.remedy == "install what brings libEGL.so.1; the command line works without"
