# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of the render form, each with what it means in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QStandardPaths, Qt
from PyQt6.QtGui import QStandardItemModel
from PyQt6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.frames import FrameRange, MissingFrames
from mapreel.core.contract.requests import Quality
from mapreel.ui.state.models import Network
from mapreel.ui.state.render_choice import FORMATS, MOST_HANDLES, Range
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import allow, bind_choice, bind_number, bind_text, describe, faded, follow, tool
from mapreel.ui.views.render_parts import Problem, asks, modest

if TYPE_CHECKING:
    from mapreel.ui.state.models import ModelFacts
    from mapreel.ui.state.render_form import RenderForm
    from mapreel.ui.state.render_presets import RenderPresets
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.studio import Studio

_MANY = 5  # names of data that are listed
_NARROW = 8  # letters that a box may shrink to


def narrow(box: QComboBox) -> None:
    """Let a box be narrower than its longest entry: the list still shows it whole."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(_NARROW)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class PresetField(QComboBox):
    """Choosing one takes it over at once."""

    def __init__(self, presets: RenderPresets, form: RenderForm) -> None:
        super().__init__()
        self._presets = presets
        self.last = ""
        """The name that was chosen last, also when something else was chosen since."""
        narrow(self)
        self.setPlaceholderText(tr("Choose …"))
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("x") * 2 * _NARROW)  # not the placeholder's
        describe(self, tr("Settings under a name"))
        follow(presets, "own", self._fill)
        self.activated.connect(self._take)
        form.choice_changed.connect(self._compare)

    def chosen(self) -> str:
        """The name of the one that was chosen, empty when something else was chosen since."""
        return self.currentText()

    def choose(self, name: str) -> None:
        """Show a name without taking it over."""
        self.last = name
        self.setCurrentIndex(self.findText(name))

    def _take(self, place: int) -> None:
        self.last = self.itemText(place)
        self._presets.load(self.last)

    def _compare(self) -> None:
        holds = self.last and self._presets.holds(self.last)
        self.setCurrentIndex(self.findText(self.last) if holds else -1)

    def _fill(self, _: object) -> None:
        chosen = self.currentText()
        self.clear()
        shipped = len(self._presets.names()) - len(self._presets.own)
        for number, name in enumerate(self._presets.names()):
            if number == shipped:
                self.insertSeparator(self.count())
            self.addItem(name)
        self.choose(chosen)


class ModelField(QComboBox):
    """Every model that is known; below it its licence, classes and what it was trained on."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._models, self._form = studio.models, studio.render_form
        self.told = modest(faded())
        narrow(self)
        describe(self, tr("The model that paints the maps"))
        follow(studio.models, "known", self._fill)
        self._form.model_changed.connect(self._show)
        self.activated.connect(lambda place: setattr(self._form, "model", self.itemData(place)))

    def _fill(self, known: tuple[ModelFacts, ...]) -> None:
        self.clear()
        for model in known:
            self.addItem(model.name, model.place)
            self.setItemData(self.count() - 1, story(model), Qt.ItemDataRole.ToolTipRole)
        self._show(self._form.model)

    def _show(self, place: str) -> None:
        self.setCurrentIndex(self.findData(place))
        model = self._models.facts(place)
        self.told.setText(brief(model) if model is not None else "")
        self.told.setToolTip(story(model) if model is not None else "")


def brief(model: ModelFacts) -> str:
    """Licence, classes, what it was trained on, in two lines."""
    licence = model.licence or tr("licence not told")
    classes = trn("{count} class", "{count} classes", len(model.classes))
    return f"{licence} · {classes}\n{tr('Trained on {data}', data=_listed(model.data))}"


def story(model: ModelFacts) -> str:
    """All that is known about a model."""
    kinds = {
        Network.RENDERER: tr("Renderer"),
        Network.TEACHER: tr("Teacher of the paper"),
        Network.STUDENT: tr("Student of the paper"),
    }
    lines = [
        f"{model.name} · {kinds[model.network]}",
        tr("Licence: {licence}", licence=model.licence or tr("not told")),
        tr("Trained on {data}", data=", ".join(model.data) or tr("data that is not told")),
    ]
    if all(model.size):
        size = f"{model.size[0]} x {model.size[1]}"
        lines.append(tr("Trained at {size}, {steps} steps", size=size, steps=model.steps))
    lines.append(tr("Classes: {names}", names=", ".join(name for _, name in model.classes)))
    return "\n".join([*lines, model.place])


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return tr("data that is not told")
    more = len(names) - _MANY + 1
    if len(names) <= _MANY:
        return ", ".join(names)
    return trn("{names} and {count} more", "{names} and {count} more", more, names=", ".join(names[: _MANY - 1]))


class QualityField(QComboBox):
    """Those that the model lacks are listed, but cannot be chosen."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._form = studio.render_form
        self.told, self.problem = modest(faded()), Problem()
        narrow(self)
        describe(self, tr("Which network paints, and how often"))
        names = {
            Quality.TEACHER: tr("Teacher"),
            Quality.FULL: tr("Full"),
            Quality.FAST: tr("Fast"),
            Quality.DRAFT: tr("Draft"),
        }
        bind_choice(self._form, "quality", self, ((names[quality], quality) for quality in Quality))
        self._form.quality_changed.connect(self._show)
        self._form.model_changed.connect(self._show)
        studio.models.known_changed.connect(self._show)
        asks(self._form, "quality", self.problem.say)
        self._show()

    def _show(self, _: object = None) -> None:
        self.told.setText(_MEANINGS()[self._form.quality])
        model, items = self._form.model_facts, self.model()
        if not isinstance(items, QStandardItemModel):
            return
        for place, quality in enumerate(Quality):
            item = items.item(place)
            if item is not None:
                lacks = model is not None and quality not in model.qualities
                item.setEnabled(not lacks)
                item.setToolTip(_lacks(quality) if lacks else _MEANINGS()[quality])


def _MEANINGS() -> dict[Quality, str]:  # noqa: N802 - a table; it needs the language of now
    return {
        Quality.TEACHER: tr("The paper's large network paints every frame. Slowest."),
        Quality.FULL: tr("The network paints every frame. Best for final frames."),
        Quality.FAST: tr("The network paints key frames; those between follow the motion."),
        Quality.DRAFT: tr("Key frames, carried forward only. For a quick look."),
    }


def _lacks(quality: Quality) -> str:
    if quality is Quality.TEACHER:
        return tr("This model holds no teacher network.")
    return tr("This model holds a teacher network, which has no such quality.")


class RangeFields(QWidget):
    """Cut range with handles, everything, or a range as typed."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._form = studio.render_form
        self.kind, self.handles, self.own = QComboBox(), QSpinBox(), QLineEdit()
        self.told, self.problem = modest(faded()), Problem()
        narrow(self.kind)
        describe(self.kind, tr("Which frames are rendered"))
        describe(self.handles, tr("Frames before and after the cut range"))
        describe(self.own, tr("Frame numbers such as 1001-1100x2,1200"))
        self.own.setPlaceholderText("1001-1100x2,1200")
        self.handles.setRange(0, MOST_HANDLES)
        self.handles.setSpecialValueText(tr("No handles"))
        self.handles.setSuffix(" " + tr("handles"))
        self.handles.setMinimumWidth(self.fontMetrics().horizontalAdvance("x") * _NARROW)
        kinds = ((tr("Cut range"), Range.CUT), (tr("All frames"), Range.ALL), (tr("Own range"), Range.OWN))
        bind_choice(self._form, "range", self.kind, kinds)
        bind_number(self._form, "handles", self.handles)
        bind_text(self._form, "own_range", self.own)
        self.own.textEdited.connect(lambda text: setattr(self._form, "own_range", text))
        self._lay_out()
        asks(self._form, "frames", self.problem.say)
        self._form.choice_changed.connect(self._show)
        self._form.range_changed.connect(self._show)
        self._show()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.kind, self.handles, self.own, self.told, self.problem):
            column.addWidget(widget)

    def _show(self, _: object = None) -> None:
        kind, shot = self._form.range, self._form.shot
        self.own.setVisible(kind is Range.OWN)
        self.handles.setVisible(kind is Range.CUT)
        broken = any(field == "frames" for field, _ in self._form.problems)
        text = self._form.frames() if shot is not None else ""
        if kind is Range.ALL and shot is not None and shot.numbers:
            text = f"{shot.first}-{shot.last}"
        count = 0 if broken or shot is None else len(FrameRange.parse(text)) if text else len(shot.numbers)
        count = len(shot.numbers) if kind is Range.ALL and shot is not None else count
        shown = text if len(text) <= 40 else f"{text[:38]} …"
        frames = trn("{count} frame", "{count} frames", count)
        self.told.setText("" if broken or not count else f"{shown} · {frames}" if shown else frames)
        self.told.setVisible(bool(self.told.text()))


class OutputFields:
    """Format, name and folder of the take, and which version it will be."""

    def __init__(self, studio: Studio) -> None:
        self._form = studio.render_form
        self.format, self.name, self.folder = QComboBox(), QLineEdit(), QLineEdit()
        self.browse = tool("folder", tr("Choose where the take shall lie"), self.choose)
        self.told, self.problem = modest(faded()), Problem()
        narrow(self.format)
        describe(self.format, tr("Files of the take"))
        describe(self.name, tr("Name of the take, without version and ending"))
        describe(self.folder, tr("Folder that the take is written into"))
        bind_choice(self._form, "format", self.format, ((chosen.name, key) for key, chosen in FORMATS.items()))
        bind_text(self._form, "name", self.name)
        bind_text(self._form, "folder", self.folder)
        self.name.textEdited.connect(lambda text: setattr(self._form, "name", text))
        says = self.folder.toolTip()
        self.folder.textChanged.connect(lambda path: self.folder.setToolTip(f"{says}\n{path}" if path else says))
        follow(self._form, "take", self._show)
        asks(self._form, "out", self.problem.say)

    def choose(self) -> None:
        """Ask for the folder."""
        start = self._form.folder
        while start and not Path(start).is_dir() and Path(start).parent != Path(start):
            start = str(Path(start).parent)
        places = QStandardPaths.StandardLocation.MoviesLocation
        start = start or QStandardPaths.writableLocation(places)
        folder = QFileDialog.getExistingDirectory(self.folder, tr("Choose where the take shall lie"), start)
        if folder:
            self._form.folder = folder

    def _show(self, take: str) -> None:
        self.told.setText(tr("Will write {name}", name=take) if take else "")


class SpaceField(QComboBox):
    """Colour spaces by name; the config is read when the list is first opened or the field first reached."""

    def __init__(self, form: RenderForm) -> None:
        super().__init__()
        self._form = form
        narrow(self)
        describe(self, tr("Colour space of the files"))
        self._fill(form.spaces)
        form.spaces_changed.connect(self._fill)
        form.colour_space_changed.connect(self._show)
        self.activated.connect(lambda place: setattr(form, "colour_space", self.itemData(place) or ""))

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        self._form.ask_spaces()
        super().showPopup()

    def focusInEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        self._form.ask_spaces()
        super().focusInEvent(event)  # type: ignore[arg-type]

    def _fill(self, spaces: tuple[str, ...]) -> None:
        self.clear()
        self.addItem(tr("sRGB; EXR linear"), "")
        for space in spaces:
            self.addItem(space, space)
        self._show(self._form.colour_space)

    def _show(self, space: str) -> None:
        if self.findData(space) < 0:
            self.addItem(space, space)
        self.setCurrentIndex(self.findData(space))


def missing_field(form: RenderForm) -> QComboBox:
    """What happens to a planned frame that has no maps."""
    box = QComboBox()
    narrow(box)
    describe(box, tr("What happens to a frame whose maps are missing"))
    choices = (
        (tr("Stop and say so"), MissingFrames.ERROR),
        (tr("Repeat the frame before"), MissingFrames.HOLD),
        (tr("Fill with class 0"), MissingFrames.BLACK),
    )
    bind_choice(form, "missing", box, choices)
    return box


def rate_field(studio: Studio) -> QDoubleSpinBox:
    """Frames a second of the shot, which a movie is played at."""
    box = QDoubleSpinBox()
    box.setRange(0.001, 1000.0)
    box.setDecimals(3)
    box.setSuffix(" " + tr("fps"))
    describe(box, tr("Frames a second"))

    def show(shot: ShotState | None) -> None:
        allow(box, "" if shot is not None else tr("No shot is open."))
        if shot is not None:
            box.blockSignals(True)
            box.setValue(shot.fps)
            box.blockSignals(False)

    def take(value: float) -> None:
        if studio.shots.current is not None:
            studio.shots.current.fps = value

    studio.render_form.choice_changed.connect(lambda: show(studio.shots.current))
    box.valueChanged.connect(take)
    show(studio.shots.current)
    return box
