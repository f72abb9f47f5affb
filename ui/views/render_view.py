# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a render: model, quality, range, output, references, presets; what it will take; one big button."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLayoutItem,
    QVBoxLayout,
    QWidget,
)

from mapreel.ui.text import tr
from mapreel.ui.views.binding import allow, describe, faded, follow, primary, tool
from mapreel.ui.views.form_rows import Scrolled
from mapreel.ui.views.menus import RENDER_KEYS
from mapreel.ui.views.render_extras import ExtraFields
from mapreel.ui.views.render_fields import (
    ModelField,
    OutputFields,
    PresetField,
    QualityField,
    RangeFields,
    SpaceField,
    missing_field,
    rate_field,
)
from mapreel.ui.views.render_parts import Problem, References, RenderProgress, asks, modest
from mapreel.ui.views.render_sums import Sums

if TYPE_CHECKING:
    from PyQt6.QtGui import QResizeEvent

    from mapreel.ui.state.studio import Studio

_NARROW = 34  # letters that a field has at least beside its label


class RenderView(QWidget):
    """Bound to studio.render_form."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio, self._form = studio, studio.render_form
        self.presets = PresetField(studio.render_presets, self._form)
        self.save_button = tool("save", tr("Keep these settings under a name"), self.save_preset)
        self.delete_button = tool("trash", tr("Delete the chosen settings"), self.delete_preset)
        self.model = ModelField(studio)
        self.folder_button = tool("folder", tr("Choose the folder of a model"), self.choose_model)
        self.quality = QualityField(studio)
        self.range = RangeFields(studio)
        self.missing = missing_field(self._form)
        self.output = OutputFields(studio)
        self.space = SpaceField(self._form)
        self.rate = rate_field(studio)
        self.references = References(studio)
        self.extras = ExtraFields(studio)
        self.sums = Sums(studio)
        self.rest = Problem()
        self.progress = RenderProgress(studio)
        self.button = primary(tr("Render"), tr("Render the shot with these settings"), self._form.submit)
        describe(self.button, tr("Render the shot with these settings"), keys=RENDER_KEYS, bound=False)
        self.why = modest(faded())
        self._lay_out()
        asks(self._form, "rest", self.rest.say)
        follow(self._form, "reason", self._judge)
        self.presets.currentIndexChanged.connect(self._judge_presets)
        self._judge_presets()

    def _lay_out(self) -> None:
        for low in (self.range.handles, self.rate):
            low.setMinimumHeight(self.missing.sizeHint().height())
        form = self._rows = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(7)
        form.addRow(tr("Preset"), _row(self.presets, self.save_button, self.delete_button))
        form.addRow(_line())
        form.addRow(tr("Model"), _column(_row(self.model, self.folder_button), self.model.told))
        form.addRow(tr("Quality"), _column(self.quality, self.quality.told, self.quality.problem))
        form.addRow(tr("Frames"), self.range)
        form.addRow(tr("Missing"), self.missing)
        form.addRow(_line())
        form.addRow(tr("Format"), self.output.format)
        form.addRow(tr("Colours"), self.space)
        form.addRow(tr("Rate"), self.rate)
        form.addRow(tr("Name"), self.output.name)
        form.addRow(tr("Folder"), _column(_row(self.output.folder, self.output.browse), self.output.told))
        form.addRow("", self.output.problem)
        form.addRow(_line())
        form.addRow(tr("References"), self.references)
        form.addRow(_line())
        form.addRow(self.extras)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(10, 8, 10, 8)
        column.addLayout(form)
        column.addStretch(1)
        below = QVBoxLayout()
        below.setContentsMargins(10, 6, 10, 10)
        below.setSpacing(6)
        for widget in (self.rest, self.sums, self.progress, self.why, self.button):
            below.addWidget(widget)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(Scrolled(inside), 1)
        whole.addWidget(_line())
        whole.addLayout(below)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Where it is narrow, labels stand above their fields, all of them."""
        labels = [item.widget() for item in map(self._label_at, range(self._rows.rowCount())) if item is not None]
        taken = max((label.sizeHint().width() for label in labels if label is not None), default=0)
        narrow = self.width() - taken < self.fontMetrics().horizontalAdvance("x") * _NARROW
        policies = QFormLayout.RowWrapPolicy
        self._rows.setRowWrapPolicy(policies.WrapAllRows if narrow else policies.DontWrapRows)
        super().resizeEvent(event)

    def _label_at(self, row: int) -> QLayoutItem | None:
        return self._rows.itemAt(row, QFormLayout.ItemRole.LabelRole)

    def _judge(self, reason: str) -> None:
        allow(self.button, reason)
        shown_elsewhere = reason in dict(self._form.problems).values()
        self.why.setText("" if shown_elsewhere else reason)
        self.why.setVisible(bool(self.why.text()))

    # -- dialogs -------------------------------------------------------------------------------------------------------

    def choose_model(self) -> None:
        """Ask for the folder of a model."""
        folder = QFileDialog.getExistingDirectory(self, tr("Choose the folder of a model"))
        if folder:
            self._studio.models.add(folder)

    def save_preset(self) -> None:
        """Ask for a name and keep the settings under it."""
        name, good = QInputDialog.getText(self, tr("Keep these settings"), tr("Name"), text=self.presets.last)
        if good:
            self._studio.render_presets.save(name)
            self.presets.choose(name.strip())

    def delete_preset(self) -> None:
        """Forget the chosen settings."""
        self._studio.render_presets.delete(self.presets.chosen())

    def _judge_presets(self, _: object = None) -> None:
        own = self.presets.chosen() in self._studio.render_presets.own
        allow(self.delete_button, "" if own else tr("Only settings of your own can be deleted."))


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Plain)
    line.setForegroundRole(line.palette().ColorRole.Mid)
    return line


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(2)
    for number, widget in enumerate(widgets):
        row.addWidget(widget, 1 if number == 0 else 0)
    return holder


def _column(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(2)
    for widget in widgets:
        column.addWidget(widget)
    return holder
