# SPDX-License-Identifier: GPL-3.0-or-later
"""How the panel looks: two palettes, one style sheet, sizes that follow the font."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QFontDatabase, QPalette

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QApplication

SCHEMES = ("system", "light", "dark")
_ROLES = QPalette.ColorRole
_DARK = {
    _ROLES.Window: "#232427",
    _ROLES.WindowText: "#e4e5e7",
    _ROLES.Base: "#1a1b1d",
    _ROLES.AlternateBase: "#202124",
    _ROLES.Text: "#e4e5e7",
    _ROLES.Button: "#33353a",
    _ROLES.ButtonText: "#e4e5e7",
    _ROLES.BrightText: "#ffffff",
    _ROLES.ToolTipBase: "#3a3c42",
    _ROLES.ToolTipText: "#f0f0f2",
    _ROLES.PlaceholderText: "#8b8e96",
    _ROLES.Highlight: "#d9822b",
    _ROLES.HighlightedText: "#17181a",
    _ROLES.Accent: "#d9822b",
    _ROLES.Link: "#f0a35a",
    _ROLES.Light: "#44474d",
    _ROLES.Midlight: "#3a3c42",
    _ROLES.Mid: "#3a3c42",
    _ROLES.Dark: "#141517",
    _ROLES.Shadow: "#0b0b0c",
}
_LIGHT = {
    _ROLES.Window: "#ececee",
    _ROLES.WindowText: "#1d1e20",
    _ROLES.Base: "#ffffff",
    _ROLES.AlternateBase: "#f5f5f7",
    _ROLES.Text: "#1d1e20",
    _ROLES.Button: "#fbfbfc",
    _ROLES.ButtonText: "#1d1e20",
    _ROLES.BrightText: "#000000",
    _ROLES.ToolTipBase: "#fdfdf5",
    _ROLES.ToolTipText: "#1d1e20",
    _ROLES.PlaceholderText: "#6c6f76",
    _ROLES.Highlight: "#b85f0a",
    _ROLES.HighlightedText: "#ffffff",
    _ROLES.Accent: "#b85f0a",
    _ROLES.Link: "#a04f00",
    _ROLES.Light: "#ffffff",
    _ROLES.Midlight: "#e2e2e5",
    _ROLES.Mid: "#c9cacf",
    _ROLES.Dark: "#a6a8ae",
    _ROLES.Shadow: "#7c7e84",
}
_FADED = {True: "#75787f", False: "#8e9197"}
_SIGNS = {
    True: {"good": "#6fbf73", "warning": "#e6b450", "error": "#f0716a", "note": "#7fb2e5"},
    False: {"good": "#22742b", "warning": "#8a5a00", "error": "#b3261e", "note": "#175ea8"},
}
_FACES = {
    "ja": ("Yu Gothic UI", "Meiryo", "Hiragino Sans", "Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "TakaoPGothic")
}
"""Faces that draw a language well, by systems: Windows, macOS, Linux."""
_SHEET = """
QToolTip {{ border: 1px solid {line}; padding: 4px; }}
QSplitter::handle {{ background: {line}; }}
QSplitter::handle:horizontal {{ width: 1px; }}
QSplitter::handle:vertical {{ height: 1px; }}
QTabWidget::pane {{ border: 0; border-top: 1px solid {line}; }}
QTabBar::tab {{ padding: 6px 10px; border: 0; border-bottom: 2px solid transparent; color: {faded}; }}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {accent}; }}
QTabBar::tab:focus {{ color: {text}; border-bottom-color: {text}; }}
QHeaderView::section {{ background: {window}; border: 0; border-bottom: 1px solid {line}; padding: 4px 6px; }}
QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 4px; }}
QToolButton:hover {{ background: {hover}; }}
QToolButton:checked {{ background: {hover}; border-color: {accent}; }}
QToolButton:focus {{ border-color: {accent}; }}
QPushButton#primary {{
    background: {accent}; color: {on_accent}; border: 1px solid {accent}; border-radius: 5px;
    padding: 9px 16px; font-weight: 600;
}}
QPushButton#primary:hover {{ background: {accent_up}; }}
QPushButton#primary:focus {{ border-color: {text}; }}
QPushButton#primary:disabled {{ background: {hover}; color: {faded}; border-color: {hover}; }}
QListView#cards::item {{ border-left: 3px solid transparent; }}
QListView#cards::item:hover {{ background: {window}; }}
QListView#cards::item:selected {{ background: {hover}; border-left-color: {accent}; }}
QLabel#faded {{ color: {faded}; }}
QLabel#heading {{ font-weight: 600; }}
QFrame#card {{ border: 1px solid {line}; border-radius: 6px; }}
"""


def is_dark(app: QApplication) -> bool:
    """Whether light text stands on dark ground now."""
    return app.palette().color(QPalette.ColorRole.Window).lightness() < 128


def sign_color(app: QApplication, sign: str) -> QColor:
    """The colour of a sign: good, warning, error or note; legible on the ground of the scheme."""
    return QColor(_SIGNS[is_dark(app)][sign])


def set_type(app: QApplication, language: str) -> None:
    """Give the application letters for a language, after those that it has: with no such wish, what draws Japanese
    signs may be a bold face, or one with Chinese forms."""
    if language in _FACES:
        font, there = app.font(), set(QFontDatabase.families())
        font.setFamilies(list(dict.fromkeys([*font.families(), *(face for face in _FACES[language] if face in there)])))
        app.setFont(font)


def dress(app: QApplication, scheme: str = "system") -> None:
    """Give the application a scheme: system, light or dark."""
    app.setStyle("Fusion")
    hints = app.styleHints()
    assert hints is not None
    dark = scheme == "dark" or (scheme == "system" and hints.colorScheme() == Qt.ColorScheme.Dark)
    colors = _DARK if dark else _LIGHT
    palette = QPalette()
    for role, color in colors.items():
        palette.setColor(role, QColor(color))
    for role in (_ROLES.WindowText, _ROLES.Text, _ROLES.ButtonText, _ROLES.HighlightedText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_FADED[dark]))
    palette.setColor(QPalette.ColorGroup.Disabled, _ROLES.Highlight, QColor(colors[_ROLES.Mid]))
    app.setPalette(palette)
    app.setStyleSheet(
        _SHEET.format(
            line=colors[_ROLES.Mid],
            faded=colors[_ROLES.PlaceholderText],
            text=colors[_ROLES.Text],
            accent=colors[_ROLES.Accent],
            accent_up=QColor(colors[_ROLES.Accent]).lighter(112).name(),
            on_accent=colors[_ROLES.HighlightedText],
            window=colors[_ROLES.Window],
            hover=colors[_ROLES.Midlight],
        )
    )
