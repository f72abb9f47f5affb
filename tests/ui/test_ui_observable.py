# SPDX-License-Identifier: GPL-3.0-or-later
"""Every property of every state object tells its change: made from the classes themselves."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from PyQt6.QtCore import pyqtSignal

import mapreel.ui.state
from mapreel.ui.state.observable import Observable, Property, properties


def _kinds():
    for module in pkgutil.iter_modules(mapreel.ui.state.__path__):
        importlib.import_module(f"mapreel.ui.state.{module.name}")
    found, left = set(), [Observable]
    while left:
        kinds = [kind for kind in left.pop().__subclasses__() if kind.__module__.startswith("mapreel.")]
        found.update(kinds)
        left.extend(kinds)
    return sorted(found, key=lambda kind: kind.__qualname__)


CASES = [(kind, name) for kind in _kinds() for name, _ in properties(kind)]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind.__name__}.{name}" for kind, name in CASES])
def test_a_property_tells_its_change_once(kind, name, qapp):
    class Bare(kind):
        def __init__(self):
            Observable.__init__(self)

    state, heard = Bare(), []
    getattr(state, f"{name}_changed").connect(heard.append)
    other = object()
    setattr(state, name, other)
    setattr(state, name, other)
    assert heard == [other]
    assert getattr(state, name) is other


def test_a_property_without_a_signal_is_refused():
    with pytest.raises(TypeError, match="no signal for frame"):

        class Mute(Observable):
            frame = Property(1)


def test_a_signal_alone_is_no_property(qapp):
    class Loud(Observable):
        frame = Property(1)
        frame_changed = pyqtSignal(object)

    assert [name for name, _ in properties(Loud)] == ["frame"]
    assert Loud().frame == 1
