# SPDX-License-Identifier: GPL-3.0-or-later
"""The form that makes an archive of a shot: what, how good, what goes along, where, and what it will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.requests import DEPTHS, Preset
from mapreel.ui.state.archive_choice import Aim
from mapreel.ui.state.job_texts import about, size_text
from mapreel.ui.state.shot import Layer
from mapreel.ui.text import figure, significant, tr, trn
from mapreel.ui.views.binding import (
    allow,
    bind_check,
    bind_choice,
    bind_number,
    bind_text,
    describe,
    faded,
    follow,
    primary,
)
from mapreel.ui.views.form_rows import Folded, PathField, Rows, Scrolled, follow_all, narrow
from mapreel.ui.views.job_card import JobCard

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.archive_form import ArchiveForm
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.studio import Studio


class EncodePart(QWidget):
    """Everything is bound to the form; one big button."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio, self._form = studio, studio.archive_form
        self.form = Rows()
        self._make_what()
        self._make_aim()
        self._make_more()
        self._make_place()
        self.sums = faded()
        self.button = primary(tr("Archive"), tr("Make the archive"), self._form.encode)
        self.card = JobCard(
            studio,
            self._form.encoding,
            tr("Archive"),
            told=encode_words,
            look=studio.takes.show,
            look_says=tr("Open the archive"),
            pausable=True,
        )
        self._lay_out()
        follow(self._form, "problems", lambda told: self.form.say(told, quiet=self._quiet()))
        follow(self._form, "reason", lambda reason: allow(self.button, reason))
        follow_all(self._form, ("weight", "estimate", "free", "take", "frames"), self._show_sums)
        follow(studio.shots, "current", self._turn_to)

    def _make_what(self) -> None:
        self.layer = narrow(QComboBox())
        describe(self.layer, tr("Which pictures of the shot are archived"))
        self.layer.activated.connect(lambda place: setattr(self._form, "layer", self.layer.itemData(place)))
        self._form.layer_changed.connect(lambda _: self._fill_layers())
        self._form.reason_changed.connect(lambda _: self._fill_layers())
        self.frames = QLineEdit()
        self.frames.setPlaceholderText(tr("all"))
        describe(self.frames, tr("Frames such as 1001-1100; empty: all"))
        bind_text(self._form, "frames", self.frames)
        self.form.field(tr("Pictures"), self.layer, "source")
        self.form.field(tr("Frames"), self.frames, "frames")

    def _make_aim(self) -> None:
        form = self._form
        self.aim = narrow(QComboBox())
        describe(self.aim, tr("What the archive aims at"))
        aims = ((tr("Quality (dB)"), Aim.QUALITY), (tr("Bits a pixel"), Aim.BITS), (tr("File size"), Aim.SIZE))
        bind_choice(form, "aim", self.aim, aims)
        self.values = {
            Aim.QUALITY: _number(
                form, "psnr_db", 20, 60, 0.5, 1, " dB", tr("Nearness to the original; more is better")
            ),
            Aim.BITS: _number(form, "bits_per_pixel", 0.002, 24, 0.01, 3, "", tr("Bits that a pixel may take")),
            Aim.SIZE: _number(form, "size_mb", 0.01, 1e6, 1, 2, " MB", tr("What the file may weigh")),
        }
        self.meaning = faded()
        self.form.field(tr("Aim"), self.aim)
        for value in self.values.values():
            self.form.addRow("", value)
        self.form.addRow(self.meaning)
        follow(form, "aim", self._show_aim)
        follow(form, "meaning", self._say_meaning)
        self.preset = narrow(QComboBox())
        describe(self.preset, tr("How long the encode may take"))
        presets = (
            (tr("Draft: quick"), Preset.DRAFT),
            (tr("Good"), Preset.GOOD),
            (tr("Best: slow, smallest"), Preset.BEST),
        )
        bind_choice(form, "preset", self.preset, presets)
        self.form.field(tr("Effort"), self.preset)

    def _make_more(self) -> None:
        form = self._form
        self.maps = QCheckBox(tr("Label maps along"))
        describe(self.maps, tr("Keep label and instance maps in the archive, without loss"))
        bind_check(form, "with_maps", self.maps)
        self.recipe = QCheckBox(tr("Recipe along"))
        describe(self.recipe, tr("Keep how the take was made in the archive"))
        bind_check(form, "with_recipe", self.recipe)
        self.alpha = QCheckBox(tr("Keep alpha"))
        describe(self.alpha, tr("Keep the alpha channel, where there is one"))
        bind_check(form, "alpha", self.alpha)
        self.bits = narrow(QComboBox())
        describe(self.bits, tr("Bits of each channel"))
        names = {"half": tr("half float")}
        depths = [(names.get(depth, tr("{count} bits", count=depth)), depth) for depth in DEPTHS]
        bind_choice(form, "depth", self.bits, [(tr("as the pictures"), ""), *depths])
        self.space = QLineEdit()
        self.space.setPlaceholderText(tr("as the files say"))
        describe(self.space, tr("Colour space of the pictures, where the files do not say it"))
        bind_text(form, "colour_space", self.space)
        self.recipe_file = PathField(
            form, "recipe", tr("The JSON file that goes along as the recipe"), kinds="JSON (*.json)", folder=False
        )
        inside = QWidget()
        rows = Rows()
        rows.setContentsMargins(0, 0, 0, 0)
        inside.setLayout(rows)
        rows.addRow(self.maps)
        rows.addRow(self.recipe)
        rows.field(tr("Recipe"), self.recipe_file)
        rows.addRow(self.alpha)
        rows.field(tr("Depth"), self.bits)
        rows.field(tr("Colour space"), self.space)
        self.more = Folded(tr("More"), tr("What goes along, depth, colour space"), inside)
        self.form.addRow(self.more)

    def _make_place(self) -> None:
        self.folder = PathField(self._form, "folder", tr("Folder of the archive"))
        self.name = QLineEdit()
        describe(self.name, tr("Name of the archive, without its ending"))
        bind_text(self._form, "name", self.name)
        self.form.field(tr("Folder"), self.folder)
        self.form.field(tr("Name"), self.name, "out", "rest")

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.addLayout(self.form)
        column.addStretch(1)
        below = QVBoxLayout()
        below.setContentsMargins(8, 4, 8, 8)
        below.setSpacing(8)
        for widget in (self.sums, self.button, self.card):
            below.addWidget(widget)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(Scrolled(inside), 1)
        whole.addLayout(below)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _quiet(self) -> frozenset[str]:
        return frozenset() if self._studio.shots.current is not None else frozenset({"source", "out"})

    def _turn_to(self, shot: ShotState | None) -> None:
        self._fill_layers()
        self.form.say(self._form.problems, quiet=self._quiet())
        allow(self.maps, "" if shot is not None and shot.labels else tr("The shot has no label maps."))

    def _fill_layers(self) -> None:
        names = {Layer.RESULT: tr("Result (newest take)"), Layer.TRUTH: tr("True pictures")}
        there = self._form.layers()
        self.layer.clear()
        for layer in there:
            self.layer.addItem(names[layer], layer)
        self.layer.setCurrentIndex(self.layer.findData(self._form.layer))
        allow(self.layer, "" if there else tr("The shot has no pictures to archive."))

    def _show_aim(self, aim: Aim) -> None:
        for kind, value in self.values.items():
            self.form.setRowVisible(value, kind is aim)

    def _say_meaning(self, words: str) -> None:
        self.meaning.setText(words)
        self.form.setRowVisible(self.meaning, bool(words))

    def _show_sums(self) -> None:
        form = self._form
        told = []
        if form.weight is not None:
            told.append(tr("{size} in all", size=size_text(form.weight)))
        estimate = form.estimate
        seconds, weight = getattr(estimate, "seconds", None), getattr(estimate, "size_bytes", None)
        if form.weight is None and weight:
            told.append(tr("about {size}", size=size_text(weight)))
        if seconds:
            told.append(about(seconds))
        if form.free is not None:
            told.append(tr("{size} free", size=size_text(form.free)))
        lines = [" · ".join(told), form.take]
        self.sums.setText("\n".join(line for line in lines if line))
        self.sums.setVisible(any(lines))


def _number(
    form: ArchiveForm, name: str, least: float, most: float, step: float, digits: int, unit: str, says: str
) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    field.setDecimals(digits)
    field.setRange(least, most)
    field.setSingleStep(step)
    field.setSuffix(unit)
    field.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    field.setKeyboardTracking(False)
    describe(field, says)
    bind_number(form, name, field)
    return field


def encode_words(view: JobView) -> str:
    """What an archive came to."""
    result = view.result or {}
    frames = trn("{count} frame", "{count} frames", int(result.get("frames", 0)))
    weight = size_text(float(result.get("file_bytes", 0)))
    bits = tr("{bits} bits a pixel", bits=significant(float(result.get("bits_per_pixel", 0)), 3))
    quality = f"{figure(float(result.get('psnr_db', 0)), 1)} dB"
    worst = tr("worst frame {value} dB", value=figure(float(result.get("psnr_db_worst_frame", 0)), 1))
    lines = [f"{frames} · {weight} · {bits}", f"{quality} · {worst}"]
    if result.get("psnr_target_met") is False:
        lines.append(tr("The quality that was asked for is not reached: use preset best, or ask for less."))
    return "\n".join(lines)
