# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of a render that few need: the rule of key frames, and content credentials."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from mapreel.core.contract.requests import KeyRule
from mapreel.ui.state.render_extras import KEYED
from mapreel.ui.text import tr
from mapreel.ui.views.binding import allow, bind_check, bind_choice, describe, faded, follow
from mapreel.ui.views.form_rows import Folded, PathField, Rows, narrow
from mapreel.ui.views.render_parts import Problem, asks, modest

if TYPE_CHECKING:
    from mapreel.ui.state.studio import Studio

_PEM = "PEM (*.pem *.crt *.cer *.key)"


class ExtraFields(QWidget):
    """Folded away; opened when something in it is in the way of the render."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._form, self._extras = studio.render_form, studio.render_form.extras
        self.keys = narrow(QComboBox())
        describe(self.keys, tr("Which frames the network paints in fast and draft quality"))
        bind_choice(self._extras, "keys", self.keys, ((tr("Adaptive"), KeyRule.ADAPTIVE), (tr("Paper"), KeyRule.PAPER)))
        self.keys_told = modest(faded())
        self.signed = QCheckBox(tr("Sign"))
        describe(self.signed, tr("Sign every file as made by a network (C2PA)"))
        bind_check(self._extras, "signed", self.signed)
        if find_spec("c2pa") is None and not self._extras.signed:
            allow(self.signed, tr("The package c2pa-python is not installed."))
        self.certificate = PathField(
            self._extras, "certificate", tr("The certificate chain that signs (PEM)"), kinds=_PEM, folder=False
        )
        self.key_file = PathField(
            self._extras, "key_file", tr("The private key of the certificate (PEM)"), kinds=_PEM, folder=False
        )
        self.problem = Problem()
        self._lay_out()
        asks(self._form, "signing", self._say)
        follow(self._extras, "signed", self._show)
        self._form.quality_changed.connect(self._show)
        self._extras.keys_changed.connect(self._show)
        self._show()

    def _lay_out(self) -> None:
        rows, inside = Rows(), QWidget()
        rows.setContentsMargins(0, 2, 0, 0)
        rows.field(tr("Key frames"), self.keys)
        rows.addRow(self.keys_told)
        rows.field(tr("Credentials"), self.signed)
        self._words = [
            rows.field(tr("Certificate"), self.certificate),
            rows.field(tr("Key"), self.key_file),
        ]
        rows.addRow(self.problem)
        inside.setLayout(rows)
        self.fold = Folded(tr("Advanced"), tr("Key frames and content credentials"), inside)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)

    def _show(self, _: object = None) -> None:
        keyed = self._form.quality in KEYED
        allow(self.keys, "" if keyed else tr("In this quality the network paints every frame."))
        meanings = {
            KeyRule.ADAPTIVE: tr("A key frame wherever the motion cannot carry the picture on."),
            KeyRule.PAPER: tr("Key frames at the peaks of motion, as the paper has them."),
        }
        self.keys_told.setText(meanings[self._extras.keys])
        self.keys_told.setVisible(keyed)
        for widget in (*self._words, self.certificate, self.key_file):
            widget.setVisible(self._extras.signed)

    def _say(self, text: str) -> None:
        self.problem.say(text)
        if text:
            self.fold.turn(opened=True)
