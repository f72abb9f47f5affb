# SPDX-License-Identifier: GPL-3.0-or-later
"""The palette of the current shot while it is edited: every edit can be undone, what is saved counts for the shot."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.core.contract.errors import MapreelError, UsageError
from mapreel.ui.state import palette_files
from mapreel.ui.state.messages import spoken
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.palette_document import PaletteDocument, parse_color
from mapreel.ui.state.palette_rows import ClassRow, FoundClass, ModelClasses, Standing, class_rows, recolored
from mapreel.ui.state.palette_session import Change, Session
from mapreel.ui.text import tr, trn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.colour_sight import AlikePair
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.models import Models
    from mapreel.ui.state.palette_document import Color
    from mapreel.ui.state.render_form import RenderForm
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

COUNT_AFTER_MS = 200
"""The playhead rests so long before pixels are counted: none are while the shot plays."""
_LANE, _COUNT_LANE = "palette", "palette pixels"
_EMPTY = PaletteDocument()


class PaletteEditor(Observable):
    """Edits the palette and the rules of the current shot. Rules count at once, classes when they are saved."""

    document = Property(_EMPTY)
    """What is edited; without classes while no shot with maps is open."""
    document_changed = pyqtSignal(object)
    origin = Property[str | None](None)
    """Name of the shipped palette or file that holds it; empty: the model's own; None: not saved yet."""
    origin_changed = pyqtSignal(object)
    rows = Property[tuple[ClassRow, ...]](())
    rows_changed = pyqtSignal(object)
    lacking = Property[tuple[str, ...]](())
    """Classes of the model that nothing in the palette becomes."""
    lacking_changed = pyqtSignal(object)
    frame = Property(0)
    """The frame whose pixels are counted."""
    frame_changed = pyqtSignal(object)
    model = Property(ModelClasses())
    model_changed = pyqtSignal(object)
    alike = Property[tuple["AlikePair", ...]](())
    """Pairs of classes that somebody takes for one."""
    alike_changed = pyqtSignal(object)
    alike_count = Property(0)
    """How many pairs that are, each counted once."""
    alike_count_changed = pyqtSignal(object)
    coloured = Property(False)
    """Whether the maps say their classes by colours."""
    coloured_changed = pyqtSignal(object)
    trouble = Property("")
    """Why the last edit could not be made, or why the map cannot be counted."""
    trouble_changed = pyqtSignal(object)
    undo_text = Property[str | None](None)
    """What undo would take back; None: nothing."""
    undo_text_changed = pyqtSignal(object)
    redo_text = Property[str | None](None)
    redo_text_changed = pyqtSignal(object)

    def __init__(self, errands: Errands, shots: Shots, messages: Messages) -> None:
        super().__init__()
        self._errands, self._messages = errands, messages
        self._sessions: dict[int, Session] = {}
        self._session: Session | None = None
        self._found: tuple[FoundClass, ...] | None = None
        self._writing = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(COUNT_AFTER_MS)
        self._later.timeout.connect(self._count)
        shots.current_changed.connect(self._turn_to)
        shots.open_changed.connect(self._forget_closed)
        self.model_changed.connect(self._hear_of_model)
        self._turn_to(shots.current)

    @property
    def unsaved(self) -> bool:
        """Whether no file holds these classes."""
        return self.origin is None and bool(self.document.classes)

    @property
    def own_file(self) -> Path | None:
        """The artist's own file that `save` would write over."""
        origin = self._session.shot.palette if self._session is not None else ""
        return Path(origin) if origin.lower().endswith(".json") else None

    def look_at(self, frame: int) -> None:
        """The playhead stands on another frame."""
        self.frame = frame
        if self._session is not None:
            self._later.start()

    def follow_model(self, models: Models, form: RenderForm) -> None:
        """Compare with the classes of the model that the next render takes."""

        def tell(_: object = None) -> None:
            facts = models.facts(form.model)
            self.model = ModelClasses(facts.name, tuple((n, i) for i, n in facts.classes)) if facts else ModelClasses()

        models.known_changed.connect(tell)
        form.model_changed.connect(tell)
        tell()

    # -- edits -----------------------------------------------------------------------------------------------------

    def rename(self, label: int, name: str) -> bool:
        """Another name for a class; False where it cannot have it (see trouble)."""
        return self._edit(lambda: self.document.renamed(label, name), tr("rename a class"))

    def recolor(self, label: int, color: Color | str) -> bool:
        """Another colour for a class, as numbers or as text."""
        return self._edit(
            lambda: self.document.recolored(label, parse_color(color) if isinstance(color, str) else color),
            tr("colour a class"),
        )

    def add(self, name: str = "", label: int | None = None) -> bool:
        """One more class."""
        return self._edit(lambda: self.document.added(name, label), tr("add a class"))

    def remove(self, labels: frozenset[int]) -> bool:
        """Fewer classes."""
        words = trn("remove a class", "remove {count} classes", len(labels))
        return self._edit(lambda: self.document.removed(labels), words)

    def title(self, name: str) -> bool:
        """Another name for the palette."""
        return self._edit(lambda: self.document.titled(name), tr("name the palette"))

    def remap(self, pattern: str, target: str) -> bool:
        """What the maps call `pattern` is the class `target` of the model; empty: no rule any more."""
        words = tr("remap a class") if target else tr("take a rule away")

        def edited() -> PaletteDocument:
            if not pattern.strip():
                raise UsageError("the rule says of nothing", "write a name, an id or a pattern such as car*")
            if target:
                self._check_target(target)
            return self.document.becoming(pattern.strip(), target)

        return self._edit(edited, words)

    def merge(self, labels: frozenset[int], into: int) -> bool:
        """Classes become `into`; the maps stay as they are."""
        return self._edit(lambda: self.document.merged(labels, into, self.target_of(into)), tr("merge classes"))

    def target_of(self, label: int) -> str:
        """How a rule names the class that this one is for the model."""
        entry = self.document.entry(label)
        row = next((row for row in self.rows if row.id == label and row.color is not None), None)
        if row is not None and row.becomes and row.standing is not Standing.UNKNOWN:
            return row.becomes
        known = dict(self.model.ids)
        return entry.name if not known or entry.name in known else str(entry.id)

    def undo(self) -> None:
        """Take the last edit back."""
        if self._session is not None:
            self._session.stack.undo()
            self._tell_steps()

    def redo(self) -> None:
        """Make the edit that was taken back again."""
        if self._session is not None:
            self._session.stack.redo()
            self._tell_steps()

    # -- files -----------------------------------------------------------------------------------------------------

    def load(self, name_or_file: str) -> None:
        """Take a preset or a file; it counts for the shot at once, and can be undone."""
        session = self._session
        if session is None:
            return

        def came(document: PaletteDocument) -> None:
            session.keep(document, name_or_file)
            if session is self._session:
                self._edit(lambda: document, tr("load {name}", name=document.name))
                self._write_to(session)  # the same classes under another name are no edit
                self._tell(self.document)

        work = partial(palette_files.read_document, name_or_file, self.document.rules)
        self._errands.ask(work, came, partial(self._messages.say_error, key="palette"), lane=_LANE)

    def save(self, path: str | Path) -> None:
        """Write the palette to a file, which is then the shot's; `write_document` says what is refused."""
        session, document, place = self._session, self.document, Path(path)
        if session is None:
            return

        def saved(_: None) -> None:
            session.keep(document, str(place))
            self._messages.settle("palette")
            if session is self._session:
                self._tell(self.document)
            self._write_to(session)
            session.shot.maps_version += 1  # the name may be as before, what it names is not

        work = partial(palette_files.write_document, document, place)
        self._errands.ask(work, saved, partial(self._messages.say_error, key="palette"), lane=_LANE)

    # -- the current shot ------------------------------------------------------------------------------------------

    def _turn_to(self, shot: ShotState | None) -> None:
        self._session, self._found = None, None
        self.trouble = ""
        if shot is None or not shot.labels:
            self._show_nothing()
            return
        session = self._sessions.get(id(shot))
        if session is None:
            session = self._sessions[id(shot)] = self._new_session(shot)
        self._session = session
        if session.document is not None:
            self._tell(session.document)
        else:
            self._show_nothing()
            self._begin(session)
        if self.frame not in shot.numbers:
            self.frame = shot.first
        self._later.start()

    def _show_nothing(self) -> None:
        self.document, self.origin = _EMPTY, None
        self.rows, self.lacking, self.alike = (), (), ()
        self.undo_text = self.redo_text = None

    def _new_session(self, shot: ShotState) -> Session:
        session = Session(shot)
        shot.palette_changed.connect(lambda _: self._changed_elsewhere(session))
        shot.classes_changed.connect(lambda _: self._changed_elsewhere(session))
        return session

    def _begin(self, session: Session) -> None:
        shot = session.shot
        frame = self.frame if self.frame in shot.numbers else shot.first

        def look() -> tuple[PaletteDocument, bool]:
            coloured = palette_files.are_coloured(shot.labels, frame)
            return palette_files.first_document(shot.palette, shot.classes, self.model, shot.labels, frame), coloured

        def came(told: tuple[PaletteDocument, bool]) -> None:
            session.document, coloured = told
            session.keep(session.document, shot.palette)
            if session is self._session:
                self.coloured = coloured
                self._tell(session.document)
                self._later.start()

        self._errands.ask(look, came, self._hear_trouble, lane=_LANE)

    def _changed_elsewhere(self, session: Session) -> None:
        """The render form, a preset or the label doctor gave the shot another palette or other rules."""
        if self._writing or session.document is None:
            return
        shot, old = session.shot, session.document

        def came(document: PaletteDocument) -> None:
            session.keep(document, shot.palette)
            session.document = document
            session.stack.clear()
            if session is self._session:
                self._tell(document)

        if shot.palette == session.origin(old):
            came(replace(old, rules=shot.classes))
        elif shot.palette:
            work = partial(palette_files.read_document, shot.palette, shot.classes)
            self._errands.ask(work, came, self._hear_trouble, lane=_LANE)

    def _hear_of_model(self, _: ModelClasses) -> None:
        """Classes that nobody touched are those of the model."""
        session = self._session
        if session is not None and session.stack.count() == 0 and not session.shot.palette:
            self._begin(session)
        self._tell_rows()

    def _forget_closed(self, shots: tuple[ShotState, ...]) -> None:
        there = {id(shot) for shot in shots}
        self._sessions = {key: session for key, session in self._sessions.items() if key in there}

    # -- one edit --------------------------------------------------------------------------------------------------

    def _edit(self, make: Callable[[], PaletteDocument], words: str) -> bool:
        session = self._session
        if session is None or session.document is None:
            return False
        try:
            new = make()
        except MapreelError as error:
            self._hear_trouble(error)
            return False
        self.trouble = ""
        if new != session.document:
            session.stack.push(Change(partial(self._show, session), session.document, new, words))
            self._tell_steps()
        return True

    def _show(self, session: Session, document: PaletteDocument) -> None:
        """An edit was made or taken back."""
        session.document = document
        self._write_to(session)
        if session is self._session:
            self._tell(document)

    def _write_to(self, session: Session) -> None:
        """Let the shot have what counts."""
        document, shot = session.document, session.shot
        assert document is not None
        origin = session.origin(document)
        before = (shot.palette, shot.classes)
        self._writing = True
        try:
            shot.classes = document.rules
            if origin is not None:
                shot.palette = origin
        finally:
            self._writing = False
        if before != (shot.palette, shot.classes):
            shot.maps_version += 1

    def _tell(self, document: PaletteDocument) -> None:
        assert self._session is not None
        recount = self.coloured and document.classes != self.document.classes
        looks = tuple(entry.color for entry in document.classes) != tuple(e.color for e in self.document.classes)
        rows = recolored(self.rows, self.document, document)
        self.document = document
        self.origin = self._session.origin(document)
        self._tell_rows(rows)
        self._tell_steps()
        if looks:
            self._compare()
        if recount:
            self._later.start()

    def _tell_steps(self) -> None:
        if self._session is not None:
            stack = self._session.stack
            self.undo_text = stack.undoText() if stack.canUndo() else None
            self.redo_text = stack.redoText() if stack.canRedo() else None

    def _tell_rows(self, known: tuple[ClassRow, ...] | None = None) -> None:
        if not self.document.classes or self._session is None:
            return
        if known:
            self.rows = known
            return
        plain = not self._session.shot.palette and not self.unsaved
        self.rows, self.lacking = class_rows(self.document, self._found, self.model, plain_ids=plain)

    def _check_target(self, target: str) -> None:
        known = dict(self.model.ids)
        if known and target not in known and not target.isdecimal():
            listed = ", ".join(list(known)[:12])
            raise UsageError(f"“{target[:60]}” is no class of the model {self.model.name}", f"choose one of {listed}")

    # -- what takes a while ----------------------------------------------------------------------------------------

    def _count(self) -> None:
        session, frame = self._session, self.frame
        if session is None or session.document is None or frame not in session.shot.numbers:
            return

        def came(found: tuple[FoundClass, ...]) -> None:
            if session is self._session and frame == self.frame:
                self._found, self.trouble = found, ""
                self._tell_rows()

        work = partial(palette_files.count_classes, session.shot.labels, frame, session.document)
        self._errands.ask(work, came, self._hear_trouble, lane=_COUNT_LANE, newest=True)

    def _compare(self) -> None:
        def came(found: tuple[tuple[AlikePair, ...], int]) -> None:
            pairs, self.alike_count = found
            self.alike = pairs

        work = partial(palette_files.alike, self.document.classes)
        self._errands.ask(work, came, lane="palette looks", newest=True)

    def _hear_trouble(self, error: MapreelError) -> None:
        self.trouble = spoken(error)
