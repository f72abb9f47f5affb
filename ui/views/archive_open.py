# SPDX-License-Identifier: GPL-3.0-or-later
"""An open archive: what it holds, whether it is whole, where its bytes are, and how its frames come out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from mapreel.core.contract.errors import MapreelError
from mapreel.ui.state.archive_choice import DECODED
from mapreel.ui.state.job_texts import size_text, span
from mapreel.ui.state.messages import sentence
from mapreel.ui.text import figure, significant, tr, trn
from mapreel.ui.views.binding import (
    allow,
    bind_check,
    bind_choice,
    bind_text,
    describe,
    faded,
    follow,
    heading,
    primary,
    tool,
)
from mapreel.ui.views.form_rows import PathField, Rows, Scrolled, follow_all, narrow
from mapreel.ui.views.job_card import JobCard
from mapreel.ui.views.sentences import Trouble

if TYPE_CHECKING:
    from mapreel.core.contract.job_view import JobView
    from mapreel.ui.state.archive_look import ArchiveFacts
    from mapreel.ui.state.studio import Studio
    from mapreel.ui.views.archive_chart import ArchiveCharts

_MOST_NOTES = 8


class OpenPart(QWidget):
    """Facts, charts, verify, decode."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio, self._form = studio, studio.archive_form
        self._charts: ArchiveCharts | None = None
        self._column = QVBoxLayout()
        self._column.setContentsMargins(8, 8, 8, 8)
        self._make_facts()
        self._make_groups()
        self._make_verify()
        self._make_decode()
        self._column.addStretch(1)
        inside = QWidget()
        inside.setLayout(self._column)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(Scrolled(inside))
        follow(self._form, "facts", self._show_facts)
        studio.playback.frame_changed.connect(lambda _: self._mark())

    # -- making ----------------------------------------------------------------------------------------------------

    def _make_facts(self) -> None:
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.facts.setTextFormat(Qt.TextFormat.PlainText)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notes = faded()
        self.faults = Trouble()
        for widget in (heading(tr("Archive")), self.facts, self.notes, self.faults):
            self._column.addWidget(widget)

    def _make_groups(self) -> None:
        self.group = faded()
        self._place = QVBoxLayout()
        measure = self._form.measure
        self.original = PathField(measure, "original", tr("The pictures that the archive was made of"))
        self.original.text.setPlaceholderText(tr("original pictures"))
        self.measure_button = tool("look", tr("Measure the PSNR of each group against the original"), self._measure)
        self.stop_button = tool("stop", tr("Stop measuring"), measure.stop)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.original, 1)
        row.addWidget(self.measure_button)
        row.addWidget(self.stop_button)
        self.measured, self.trouble = faded(), Trouble()
        self._column.addWidget(heading(tr("Groups")))
        self._column.addLayout(self._place)
        self._column.addWidget(self.group)
        self._column.addLayout(row)
        self._column.addWidget(self.measured)
        self._column.addWidget(self.trouble)
        follow(measure, "trouble", self.trouble.say)
        follow_all(measure, ("original", "running", "done", "total", "psnr_db"), self._show_measure)

    def _make_verify(self) -> None:
        self.verify_button = QPushButton(tr("Verify"))
        describe(self.verify_button, tr("Read the archive from end to end and say whether it is whole"))
        self.verify_button.clicked.connect(lambda _=False: self._form.verify())
        self.verdict = JobCard(self._studio, self._form.verifying, tr("Verify"), told=verify_words)
        self.damage = Trouble()
        self._column.addWidget(heading(tr("Wholeness")))
        for widget in (self.verify_button, self.verdict, self.damage):
            self._column.addWidget(widget)
        follow(self._form.verifying, "view", self._show_damage)

    def _make_decode(self) -> None:
        form = self._form
        self.form = Rows()
        self.frames, self.name = QLineEdit(), QLineEdit()
        self.frames.setPlaceholderText(tr("all"))
        describe(self.frames, tr("Frames such as 1001-1100; empty: all"))
        describe(self.name, tr("Name of the folder or movie, without its ending"))
        bind_text(form, "decode_frames", self.frames)
        bind_text(form, "decode_name", self.name)
        self.format, self.scale = narrow(QComboBox()), narrow(QComboBox())
        describe(self.format, tr("Files that are written"))
        bind_choice(form, "decode_format", self.format, [(text, name) for name, text in _formats().items()])
        describe(self.scale, tr("Smaller frames for a preview"))
        scales = ((tr("whole"), 1), ("1/2", 2), ("1/4", 4), ("1/8", 8))
        bind_choice(form, "decode_scale", self.scale, scales)
        self.maps = QCheckBox(tr("Maps and recipe, too"))
        describe(self.maps, tr("Also write the label maps, their names and the recipe that the archive keeps"))
        bind_check(form, "decode_maps", self.maps)
        self.folder = PathField(form, "decode_folder", tr("Folder for the frames"))
        self.form.field(tr("Frames"), self.frames, "frames")
        self.form.field(tr("Files"), self.format)
        self.form.field(tr("Size"), self.scale)
        self.form.addRow(self.maps)
        self.form.field(tr("Folder"), self.folder)
        self.form.field(tr("Name"), self.name, "out", "rest")
        self.button = primary(tr("Decode"), tr("Write the frames of the archive as pictures or a movie"), form.decode)
        self.card = JobCard(
            self._studio, form.decoding, tr("Decode"), told=decode_words, look=self._studio.takes.show, pausable=True
        )
        self._column.addWidget(heading(tr("Decode")))
        self._column.addLayout(self.form)
        self._column.addWidget(self.button)
        self._column.addWidget(self.card)
        follow(form, "decode_problems", self._judge)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _show_facts(self, facts: ArchiveFacts | None) -> None:
        self.facts.setText(_facts_text(facts) if facts is not None else tr("Looking into the archive …"))
        self.notes.setText(_notes_text(facts) if facts is not None else "")
        self.notes.setVisible(bool(self.notes.text()))
        self.faults.say("\n".join(map(sentence, facts.faults[:_MOST_NOTES])) if facts is not None else "")
        allow(self.maps, "" if facts is not None and facts.maps else tr("The archive keeps no maps."))
        if facts is not None:
            self._charts_here().show_facts(facts)
        self._mark()
        self._show_measure()

    def _charts_here(self) -> ArchiveCharts:
        """Made when the first archive is open: pyqtgraph takes a while to load."""
        if self._charts is None:
            from mapreel.ui.views.archive_chart import ArchiveCharts

            self._charts = ArchiveCharts()
            self._charts.wants_frame.connect(lambda frame: setattr(self._studio.playback, "frame", frame))
            self._place.addWidget(self._charts)
            follow(self._form.measure, "psnr_db", self._charts.show_psnr)
        return self._charts

    def _mark(self) -> None:
        facts = self._form.facts
        if facts is None:
            self.group.setText("")
            return
        place = facts.group_of(self._studio.playback.frame)
        if self._charts is not None:
            self._charts.mark(place)
        if place < 0:
            self.group.setText("")
            return
        group = facts.groups[place]
        told = [
            tr("Group {number} of {count}", number=place + 1, count=len(facts.groups)),
            f"{group.numbers[0]}-{group.numbers[-1]}",
            size_text(group.size_bytes),
            tr("{bits} bits a pixel", bits=significant(group.bits_per_pixel(facts.size), 3)),
        ]
        values = self._form.measure.psnr_db
        if place < len(values) and (near := values[place]) is not None:
            told.append(f"{figure(near, 1)} dB")
        if group.stands_alone:
            told.append(tr("stands alone"))
        self.group.setText(" · ".join(told))

    def _show_measure(self) -> None:
        measure = self._form.measure
        none = "" if self._form.facts is not None else tr("The archive is being looked into.")
        allow(self.measure_button, none or ("" if measure.original else tr("Choose the original pictures first.")))
        self.measure_button.setVisible(not measure.running)
        self.stop_button.setVisible(measure.running)
        found = [value for value in measure.psnr_db if value is not None]
        if measure.running:
            words = tr("{done} of {total} frames compared", done=measure.done, total=measure.total)
        elif found:
            mean, worst = figure(sum(found) / len(found), 1), figure(min(found), 1)
            words = tr("{mean} dB in the mean, {worst} dB in the worst group", mean=mean, worst=worst)
        else:
            words = tr("Archives keep no PSNR: it is measured against the original.")
        self.measured.setText(words)
        self._mark()

    def _show_damage(self, view: JobView | None) -> None:
        allow(self.verify_button, tr("It is being verified.") if self._form.verifying.busy else "")
        lost = view.error if view is not None and view.state.is_over else None
        damaged = isinstance(lost, MapreelError) and lost.code == "damaged-archive"
        self.damage.say("\n".join(map(sentence, lost.detail.splitlines())) if lost is not None and damaged else "")

    def _judge(self, problems: tuple[tuple[str, str], ...]) -> None:
        self.form.say(problems)
        allow(self.button, problems[0][1] if problems else "")

    def _measure(self) -> None:
        if self._form.facts is not None:
            self._form.measure.start(self._form.facts, self._studio.playback.frame)


def _formats() -> dict[str, str]:
    known = {
        "auto": tr("pictures as deep as the archive"),
        "png": "PNG 8 bit",
        "png16": "PNG 16 bit",
        "exr": "EXR half",
        "exr32": "EXR float",
        "tiff": "TIFF",
        "h264": "MP4 H.264",
        "h265": "MP4 H.265",
        "prores": "MOV ProRes",
        "ffv1": "MKV FFV1",
    }
    return {name: known[name] for name in DECODED}


def _facts_text(facts: ArchiveFacts) -> str:
    frames = trn("{count} frame", "{count} frames", facts.frames)
    depth = tr("half float") if facts.depth == "half" else tr("{count} bits", count=facts.depth)
    extra = [tr("alpha")] if facts.alpha else []
    extra += [trn("{count} label map", "{count} label maps", facts.maps)] if facts.maps else []
    lines = [
        f"{frames} · {facts.size[0]} x {facts.size[1]} · {size_text(facts.file_bytes)}",
        " · ".join(
            [
                tr("{bits} bits a pixel", bits=significant(facts.bits_per_pixel, 3)),
                trn("{count} group", "{count} groups", len(facts.groups)),
                tr("profile {name}", name=facts.profile),
            ]
        ),
        " · ".join([depth, facts.colour_space, *extra]),
    ]
    return "\n".join(lines)


def _notes_text(facts: ArchiveFacts) -> str:
    names = {"tool": tr("Made by"), "version": tr("Version"), "source": tr("From"), "date": tr("On")}
    told = [f"{names.get(name, name)}: {text}" for name, text in facts.provenance[:_MOST_NOTES]]
    return " · ".join(told)


def verify_words(view: JobView) -> str:
    """The verdict in one sentence."""
    result = view.result or {}
    return tr(
        "The archive is whole: {frames} in {groups}, read in {time}.",
        frames=trn("{count} frame", "{count} frames", int(result.get("frames", 0))),
        groups=trn("{count} group", "{count} groups", int(result.get("groups", 0))),
        time=span(float(result.get("seconds", 0.0))),
    )


def decode_words(view: JobView) -> str:
    """What a decode came to."""
    result = view.result or {}
    frames = trn("{count} frame", "{count} frames", int(result.get("frames", 0)))
    return f"{frames} · {span(float(result.get('seconds', 0.0)))}"
