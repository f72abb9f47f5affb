# SPDX-License-Identifier: GPL-3.0-or-later
"""Palettes and displays for the viewer, read in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapreel.ui.state.darkroom import Class


def classes_of(palette: str) -> tuple[Class, ...]:
    """Id, name and colour of the classes of a palette. Raises as core.media.palettes.load_palette."""
    from mapreel.core.media.palettes import load_palette

    return tuple((entry.id, entry.name, entry.color) for entry in load_palette(palette).classes)


def known_displays(config: str | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Displays of the colour config and the views of each. Raises UsageError."""
    from mapreel.core.media.viewing import displays

    return displays(config)
