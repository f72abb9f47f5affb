# SPDX-License-Identifier: GPL-3.0-or-later
"""The row under the timeline: play, step, in and out points, loop, the frame's number, rate and dropped frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QToolButton, QWidget

from mapreel.ui.text import significant, tr, trn
from mapreel.ui.views.binding import allow, bind_check, describe, follow, tool
from mapreel.ui.views.flow import FlowRow
from mapreel.ui.views.icons import icon

if TYPE_CHECKING:
    from mapreel.ui.state.key_frames import KeyFrames
    from mapreel.ui.state.playback import Playback

_WIDEST = 2_000_000_000


def keyed(button: QToolButton, says: str, key: str) -> QToolButton:
    """Tells the key that does the same while the viewer has the focus."""
    describe(button, says)
    button.setToolTip(f"{says} ({key})")
    button.setProperty("says", button.toolTip())
    return button


class Transport(QWidget):
    """Bound to the playhead."""

    def __init__(self, playback: Playback, keys: KeyFrames, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playback, self._keys = playback, keys
        self.first = keyed(tool("first", "", playback.to_first), tr("To the in point"), "Home")
        self.back = keyed(tool("previous", "", lambda: playback.step(-1)), tr("One frame back"), "←")
        self.play = keyed(tool("play", "", playback.toggle), tr("Play"), tr("Space"))
        self.on = keyed(tool("next", "", lambda: playback.step(1)), tr("One frame on"), "→")
        self.last = keyed(tool("last", "", playback.to_last), tr("To the out point"), "End")
        self.cut_in = keyed(tool("in", "", playback.set_in), tr("The cut begins at this frame"), "I")
        self.cut_out = keyed(tool("out", "", playback.set_out), tr("The cut ends at this frame"), "O")
        self.key_back = keyed(tool("key_back", "", lambda: keys.step(-1)), tr("To the key frame before"), tr("Page up"))
        self.key_on = keyed(tool("key_on", "", lambda: keys.step(1)), tr("To the next key frame"), tr("Page down"))
        self.loop = keyed(tool("loop", "", checkable=True), tr("Play in a loop"), "Shift+L")
        self.handles = keyed(tool("handles", "", checkable=True), tr("Play the handles, too"), "Shift+H")
        self.number = QSpinBox()
        self.number.setRange(-_WIDEST, _WIDEST)
        self.number.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.number.setKeyboardTracking(False)
        describe(self.number, tr("Frame number"))
        self._facts = QLabel()
        self._facts.setObjectName("faded")
        self._lay_out()
        bind_check(playback, "looping", self.loop)
        bind_check(playback, "with_handles", self.handles)
        follow(playback, "frame", self._show_number)
        follow(playback, "playing", self._show_playing)
        for name in ("shot", "dropped", "speed", "direction"):
            getattr(playback, f"{name}_changed").connect(self._show_facts)
        playback.range_changed.connect(self._show_facts)
        follow(playback, "shot", self._allow)
        follow(keys, "numbers", self._allow_keys)
        self.number.valueChanged.connect(self._go)
        self._show_facts()

    def _lay_out(self) -> None:
        row = FlowRow(self, gap=10)
        row.setContentsMargins(8, 2, 8, 2)
        groups = (
            (self.first, self.back, self.play, self.on, self.last),
            (self.number,),
            (self.key_back, self.key_on),
            (self.cut_in, self.cut_out, self.loop, self.handles),
            (self._facts,),
        )
        for group in groups:
            holder = QWidget()
            inner = QHBoxLayout(holder)
            inner.setContentsMargins(0, 0, 0, 0)
            inner.setSpacing(1)
            for part in group:
                inner.addWidget(part)
            row.addWidget(holder)

    def _go(self, number: int) -> None:
        if number != self._playback.frame:
            self._playback.go(number)
            self._show_number(self._playback.frame)

    def _show_number(self, number: int) -> None:
        if self.number.value() != number and not (self._playback.playing and self.number.hasFocus()):
            self.number.blockSignals(True)
            self.number.setValue(number)
            self.number.blockSignals(False)

    def _show_playing(self, playing: bool) -> None:
        self.play.setIcon(icon("pause" if playing else "play"))
        keyed(self.play, tr("Rest") if playing else tr("Play"), tr("Space"))

    def _show_facts(self, _: object = None) -> None:
        playback, shot = self._playback, self._playback.shot
        if shot is None:
            self._facts.setText("")
            return
        first, last = playback.span()
        length = max(0, last - first + 1)
        rate = significant(playback.rate)
        facts = [
            f"{shot.cut_in}-{shot.cut_out}",
            trn("{count} frame", "{count} frames", length),
            tr("{rate} fps", rate=rate),
        ]
        if playback.speed > 1:
            facts.append(f"x {playback.speed}")
        if playback.dropped:
            facts.append(trn("{count} dropped", "{count} dropped", playback.dropped))
        self._facts.setText(" · ".join(facts))

    def _allow_keys(self, numbers: tuple[int, ...]) -> None:
        reason = "" if numbers else tr("The take that is looked at names no key frames between others.")
        for button in (self.key_back, self.key_on):
            allow(button, reason)

    def _allow(self, shot: object) -> None:
        reason = "" if shot is not None else tr("No shot is open.")
        controls = (self.first, self.back, self.play, self.on, self.last, self.cut_in, self.cut_out, self.number)
        for control in controls:
            allow(control, reason)
