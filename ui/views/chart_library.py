# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the library of charts in a thread, before somebody looks at one: it takes a fifth of a second."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapreel.ui.state.errands import Errands

LIBRARY = "pyqtgraph"


def preload(errands: Errands) -> None:
    """Begin to load it, once; whoever needs it earlier waits for it as for any module."""
    if LIBRARY not in sys.modules:
        errands.ask(partial(importlib.import_module, LIBRARY), lane="libraries")
