# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of open shots: drop, open, recent ones, what looks wrong with each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.state_folder import state_folder
from mapreel.ui.state.label_doctor import LabelDoctor, has_labels
from mapreel.ui.state.shot import ShotKind
from mapreel.ui.text import tr, trn
from mapreel.ui.views.binding import allow, faded, follow, heading, tool
from mapreel.ui.views.doctor_dialog import DoctorDialog
from mapreel.ui.views.icons import icon
from mapreel.ui.views.sentences import Line
from mapreel.ui.views.theme import sign_color

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.studio import Studio

_ICONS = {ShotKind.MAPS: "maps", ShotKind.FOOTAGE: "picture", ShotKind.ARCHIVE: "archive"}
_BADGE_PX = 18


class ShotsView(QWidget):
    """Open shots; the one that is chosen is the current one."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._studio, self._shots = studio, studio.shots
        self.list = QListWidget()
        self.list.setFrameShape(QListWidget.Shape.NoFrame)
        self.list.setAccessibleName(tr("Open shots"))
        self.list.setSpacing(1)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setObjectName("cards")
        self.list.currentRowChanged.connect(self._choose)
        self._empty = faded(tr("Drop a folder, a sequence, a movie, a .nirv archive or an .otio edit here."))
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._opening = faded()
        self.open_button = tool("folder", tr("Open a folder of frames"), self.open_folder, keys="Ctrl+O")
        self.file_button = tool("add", tr("Open a movie, an archive, an edit or one frame"), self.open_file)
        self.file_button.setShortcut("Ctrl+Shift+O")
        self.recent_button = tool("more", tr("Shots opened lately"))
        self._recent = QMenu(self)
        self._recent.aboutToShow.connect(lambda: self.fill_recent(self._recent))
        self.recent_button.setMenu(self._recent)
        self.recent_button.setPopupMode(self.recent_button.ToolButtonPopupMode.InstantPopup)
        self.close_button = tool("remove", tr("Take the shot off the list; its files stay"), self.close_current)
        self.doctor_button = tool("repair", tr("Label doctor: what is wrong with these maps"), self.open_doctor)
        self.doctor_button.setShortcut("Ctrl+D")
        self._doctors: dict[int, DoctorDialog] = {}
        self._lay_out()
        follow(self._shots, "open", self._show)
        follow(self._shots, "current", self._mark)
        follow(self._shots, "opening", self._show_opening)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(0)
        top.addWidget(heading(tr("Shots")), 1)
        for button in (self.open_button, self.file_button, self.recent_button, self.doctor_button, self.close_button):
            top.addWidget(button)
        self._stack = QStackedLayout()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.list)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(8, 6, 8, 6)
        whole.addLayout(top)
        whole.addLayout(self._stack, 1)
        whole.addWidget(self._opening)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _show(self, shots: tuple[ShotState, ...]) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for shot in shots:
            item = QListWidgetItem()
            row = _ShotRow(shot, self.open_doctor)
            item.setSizeHint(QSize(0, row.sizeHint().height()))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{shot.name}, {row.facts()}. {shot.glance}")
            self.list.addItem(item)
            self.list.setItemWidget(item, row)
        self.list.blockSignals(False)
        self._stack.setCurrentIndex(1 if shots else 0)
        self._mark(self._shots.current)

    def _mark(self, shot: ShotState | None) -> None:
        allow(self.close_button, "" if shot else tr("No shot is open."))
        maps = shot is not None and has_labels(shot)
        allow(self.doctor_button, "" if maps else tr("The shot has no label maps.") if shot else tr("No shot is open."))
        if shot in self._shots.open:
            self.list.setCurrentRow(self._shots.open.index(shot))

    def _show_opening(self, paths: tuple[str, ...]) -> None:
        self._opening.setText(tr("Looking at {name} …", name=Path(paths[-1]).name) if paths else "")
        self._opening.setVisible(bool(paths))

    def fill_recent(self, menu: QMenu) -> None:
        """Put the shots opened lately into a menu."""
        menu.clear()
        for path in self._studio.preferences.recent:
            action = menu.addAction(path.replace("&", "&&"))
            assert action is not None
            action.triggered.connect(lambda _=False, path=path: self._shots.open_paths([path]))
        if not self._studio.preferences.recent:
            action = menu.addAction(tr("Nothing was opened yet"))
            assert action is not None
            action.setEnabled(False)

    # -- what the artist does --------------------------------------------------------------------------------------

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._shots.open):
            self._shots.current = self._shots.open[row]

    def close_current(self) -> None:
        """Take the current shot off the list."""
        if self._shots.current is not None:
            self._shots.close_shot(self._shots.current)

    def open_doctor(self, shot: ShotState | None = None) -> None:
        """Show the label doctor for a shot, the current one by default."""
        shot = shot or self._shots.current
        if shot is None or not has_labels(shot):
            return
        if id(shot) not in self._doctors:
            folder = state_folder(self._studio.state).root / "panel"
            doctor = LabelDoctor(shot, self._studio.jobs, self._studio.messages, folder)
            self._doctors[id(shot)] = DoctorDialog(doctor, self.window())
            if shot.findings is None:
                doctor.examine()
        self._doctors[id(shot)].show()
        self._doctors[id(shot)].raise_()

    def open_folder(self) -> None:
        """Ask for a folder and open it."""
        folder = QFileDialog.getExistingDirectory(self, tr("Open a folder of frames"), self._start())
        if folder:
            self._shots.open_paths([folder])

    def open_file(self) -> None:
        """Ask for files and open them."""
        what = tr("Frames, movies, archives, edits")
        kinds = f"{what} (*.png *.tif *.tiff *.exr *.jpg *.jpeg *.mp4 *.mov *.mkv *.avi *.webm *.nirv *.otio)"
        files, _ = QFileDialog.getOpenFileNames(self, tr("Open"), self._start(), kinds)
        self._shots.open_paths(files)

    def _start(self) -> str:
        recent = self._studio.preferences.recent
        return str(Path(recent[0]).parent) if recent else str(Path.home())


class _ShotRow(QWidget):
    """One shot: its kind, name, frames, and a badge with what looks wrong."""

    def __init__(self, shot: ShotState, ask_doctor: Callable[[ShotState], None]) -> None:
        super().__init__()
        self._shot = shot
        sign, self._facts = QLabel(), Line(self.facts(), Qt.TextElideMode.ElideRight)
        self._badge = tool("warning", tr("Label doctor"), lambda: ask_doctor(shot))
        self._facts.setObjectName("faded")
        sign.setPixmap(icon(_ICONS[shot.kind]).pixmap(QSize(_BADGE_PX, _BADGE_PX)))
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(Line(shot.name))
        words.addWidget(self._facts)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(sign)
        row.addLayout(words, 1)
        row.addWidget(self._badge)
        self.setToolTip(f"{shot.source}\n{self.facts()}")
        for signal in (shot.glance_changed, shot.findings_changed):
            signal.connect(self._judge)
        self._judge()

    def facts(self) -> str:
        """Frames, size, gaps."""
        shot = self._shot
        frames = (
            str(FrameRange.from_numbers(shot.numbers)) if len(shot.numbers) < 10_000 else f"{shot.first}-{shot.last}"
        )
        frames = frames if len(frames) <= 24 and not shot.gaps else f"{shot.first}-{shot.last}"
        text = f"{frames} · {shot.size[0]} x {shot.size[1]}"
        return text + (" · " + trn("{count} gap", "{count} gaps", len(shot.gaps)) if shot.gaps else "")

    def _judge(self, _: object = None) -> None:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        shot = self._shot
        wrong = " ".join(shot.findings or ()) or shot.glance
        if shot.gaps:
            missing = str(FrameRange.from_numbers(shot.gaps[:200]))
            wrong = f"{wrong} {tr('Frames {frames} are missing.', frames=missing[:200])}".strip()
        sign = "warning" if wrong else "good" if shot.findings is not None else ""
        self._badge.setVisible(bool(sign))
        if sign:
            self._badge.setIcon(icon(sign, sign_color(app, sign)))
        self._badge.setToolTip(wrong or tr("The label doctor found nothing wrong."))
        self._badge.setAccessibleName(self._badge.toolTip())
