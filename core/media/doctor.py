# SPDX-License-Identifier: GPL-3.0-or-later
"""The label doctor: walks through the label maps of a shot once and says what is wrong, where, and what to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mapreel.core.contract.errors import InputError, UnsupportedFileError
from mapreel.core.contract.frames import FoundSequence, FrameRange, SequencePattern, find_sequence
from mapreel.core.contract.maps import MapOptions
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime, SilentContext
from mapreel.core.media.classes import ClassRules, Entry
from mapreel.core.media.doctor_colours import Box, Colours, Mask, try_read
from mapreel.core.media.doctor_findings import WORDS, Finding, Place, Problem, Report
from mapreel.core.media.doctor_frames import Look, enlarged_from, look_at, places_of
from mapreel.core.media.doctor_time import Event, TimeWindow
from mapreel.core.media.labels import MapReading
from mapreel.core.media.movies import MOVIE_SUFFIXES
from mapreel.core.media.palettes import Palette, load_palette

AS_THEY_ARE = MapOptions()
GLANCED = 3  # frames that a look before a render takes
_ENOUGH = 6  # frames that tell how many specks are usual in a shot
_TOLD_EARLY = frozenset({"scaled-ids", "lossy", "soft-edges", "resized-smooth", "unknown-id", "unknown-colour"})
_WORST = 3  # places in time that a finding remembers for its picture
_FEW_SPECKS, _SPECK_SHARE = 3, 0.0005  # renderings have specks of their own: at most 0.00027 of the pixels of a frame


def examine(
    source: str | Path | FoundSequence,
    *,
    palette: str | Path | Palette | None = None,
    frames: FrameRange | None = None,
    options: MapOptions = AS_THEY_ARE,
    context: JobContext | None = None,
) -> Report:
    """Looks at every map once, six frames in memory at a time, and writes nothing.

    source: a folder, a pattern, one file of the sequence, or what was found there. palette: name, file or Palette;
    without one, ids are only held against each other, and the flat colours of colour pictures are taken for classes.
    options: layer and classes of EXR files, see `map_reading`. Raises InputError when there is no such sequence (broken
    frames are findings), UsageError for a rule that leads to no class, CancelledError.
    """
    started = time.perf_counter()
    found, planned = planned_frames(source, frames)
    known = palette if isinstance(palette, Palette) or palette is None else load_palette(palette)
    tally = _Tally(Colours(known, map_reading(known, options)))
    window = TimeWindow()
    for look, follows in walk(found, planned, tally, context or SilentContext(), "examine"):
        for event in window.push(look, follows=follows):
            tally.add_event(event)
    for event in window.finish():
        tally.add_event(event)
    return tally.report(found, planned, known, window.judged, time.perf_counter() - started)


def map_reading(palette: Palette | None, options: MapOptions) -> MapReading:
    """How EXR files are read: the layer that is asked for, names by rules that lead to the palette's classes (without
    one to numbers). Raises UsageError for a rule that leads nowhere."""
    ids = {entry.name: entry.id for entry in reversed(palette.classes)} if palette is not None else None
    rules = ClassRules(options.classes, ids, f"the palette {palette.name}" if palette is not None else "the maps")
    for pattern, _ in options.classes:
        rules.target(Entry(pattern), certain=False)
    return MapReading(rules=rules, layer=options.layer)


def glance(source: str | Path, *, palette: Palette | None = None, frames: FrameRange | None = None) -> str:
    """One sentence about what is seriously wrong in three frames of the shot, or nothing. Never raises InputError.

    Costs some tens of milliseconds at 512x256, whatever the length of the shot.
    """
    try:
        found, planned = planned_frames(source, frames)
        there = [number for number in planned if number in frozenset(found.numbers)]
        chosen = sorted({there[0], there[len(there) // 2], there[-1]}) if there else []
        colours, problems = Colours(palette), Counter[Problem]()
        for number in chosen[:GLANCED]:
            sample = try_read(found.pattern.path(number), number, colours.reading)
            if isinstance(sample, InputError):  # what cannot be read at all, the job says
                continue
            problems.update(Problem(name) for name in look_at(sample, number, colours).counts)
    except InputError:
        return ""
    serious = [problem for problem in Problem if problem in problems and problem in _TOLD_EARLY]
    if not serious:
        return ""
    first = WORDS[serious[0]].says.replace(" by {note}", "").partition(" (")[0]
    more = f", and {len(serious) - 1} more" if len(serious) > 1 else ""
    return f"the label maps look damaged ({first}{more}); see: mapreel label doctor {source}"


def planned_frames(
    source: str | Path | FoundSequence, frames: FrameRange | None
) -> tuple[FoundSequence, tuple[int, ...]]:
    """The sequence on disk and the numbers that should be there. Raises InputError."""
    if isinstance(source, FoundSequence):
        return source, frames.numbers if frames is not None else source.numbers
    path = Path(source)
    if path.suffix.lower() in MOVIE_SUFFIXES and not path.is_dir() and not SequencePattern.looks_like(str(source)):
        raise UnsupportedFileError(
            f"{path.name} is a movie, and compression has changed the ids of its label maps",
            "give an image sequence",
            file=str(path),
        )
    found = find_sequence(source)
    if frames is not None:
        return found, frames.numbers
    if found.pattern.frames is not None:
        return found, found.pattern.frames.numbers
    return found, FrameRange.parse(f"{found.numbers[0]}-{found.numbers[-1]}").numbers


def walk(
    found: FoundSequence, planned: tuple[int, ...], tally: _Tally, context: JobContext, stage: str
) -> Iterator[tuple[Look, bool]]:
    """Reads the planned frames that are there one by one; True where the frame before was read as well."""
    there = frozenset(found.numbers)
    remaining, follows = RemainingTime(), False
    for index, number in enumerate(planned):
        context.check()
        if number not in there:
            tally.add(Problem.GAP, number, 1)
            follows = False
            continue
        sample = try_read(found.pattern.path(number), number, tally.colours.reading)
        if isinstance(sample, InputError):
            tally.add(Problem.DAMAGED, number, 1, note=str(sample))
            follows = False
        else:
            look = look_at(sample, number, tally.colours)
            tally.add_look(look)
            yield look, follows
            follows = True
        context.report(Progress(index + 1, len(planned), stage, remaining.update(index + 1, len(planned))))


class _Tally:
    """Collects what is found; keeps numbers, never pictures."""

    def __init__(self, colours: Colours) -> None:
        self.colours = colours
        self.numbers: list[int] = []
        self._counts: dict[Problem, dict[int, int]] = {}
        self._places: dict[Problem, list[Place]] = {}
        self._classes: dict[Problem, Counter[int]] = {}
        self._notes: dict[Problem, Counter[str]] = {}
        self._shapes: dict[Problem, dict[int, str]] = {Problem.MIXED_SIZES: {}, Problem.MIXED_CHANNELS: {}}
        self._shapes[Problem.MIXED_DEPTHS] = {}
        self._pixels = 0
        self._changes: tuple[Mask, Mask] | None = None  # of columns and lines, of all frames of one size

    def add(self, problem: Problem, frame: int, count: int, boxes: list[Box] | None = None, note: str = "") -> None:
        """Note a count of a problem in a frame; counts of one frame add up."""
        counts = self._counts.setdefault(problem, {})
        counts[frame] = counts.get(frame, 0) + count
        if note:
            self._notes.setdefault(problem, Counter())[note] += 1
        self._remember(problem, Place(frame=frame, count=counts[frame], boxes=tuple(boxes or ()), note=note))

    def _remember(self, problem: Problem, place: Place) -> None:
        places = self._places.setdefault(problem, [])
        same = next((old for old in places if old.frame == place.frame), None)
        if same is not None:
            places.remove(same)
            place = Place(frame=place.frame, count=place.count, boxes=(*same.boxes, *place.boxes)[:40], note=place.note)
        places.append(place)
        places.sort(key=lambda each: -each.count)
        del places[_WORST:]

    def add_look(self, look: Look) -> None:
        """What one frame shows by itself."""
        self.numbers.append(look.number)
        self._pixels = max(self._pixels, look.ids.size)
        height, width = look.size
        self._shapes[Problem.MIXED_SIZES][look.number] = f"{width}x{height}"
        self._shapes[Problem.MIXED_CHANNELS][look.number] = look.sample.channels
        self._shapes[Problem.MIXED_DEPTHS][look.number] = f"{look.sample.bits} bits"
        self._gather_changes(look)
        for name, count in look.counts.items():
            problem = Problem(name)
            counted = count if WORDS[problem].counts in ("pixels", "ids") else 1
            self.add(problem, look.number, counted, look.places[name], look.notes[name])

    def _gather_changes(self, look: Look) -> None:
        if look.changes is None:
            return
        if self._changes is None:
            self._changes = look.changes
        elif all(len(mine) == len(other) for mine, other in zip(self._changes, look.changes, strict=True)):
            across, down = (mine | other for mine, other in zip(self._changes, look.changes, strict=True))
            self._changes = across, down

    def _enlarged_as_a_shot(self) -> None:
        """One frame may hold too few edges to be sure of; all together tell."""
        enlarged = enlarged_from(*self._changes) if self._changes is not None else ""
        already = self._counts.get(Problem.RESIZED_NEAREST, {})
        for number in self.numbers if enlarged else ():
            if number not in already:
                self.add(Problem.RESIZED_NEAREST, number, 1, note=enlarged)

    def add_event(self, event: Event) -> None:
        """What several frames show together."""
        problem = Problem(event.problem)
        if problem is Problem.SINGLE_CLASS:
            return  # its frames have told it themselves
        if problem is Problem.SPECKS:
            self.add(problem, event.frames[0], event.pixels, places_of(event.mask))
            return
        self._classes.setdefault(problem, Counter())[event.class_] += 1
        for frame in event.frames:
            self.add(problem, frame, 1, [event.box])

    def report(
        self,
        found: FoundSequence,
        planned: tuple[int, ...],
        palette: Palette | None,
        judged: list[int],
        seconds: float,
    ) -> Report:
        """Everything put together, the worst problem first."""
        self._mixtures()
        self._enlarged_as_a_shot()
        self._drop_few_specks(judged)
        findings = tuple(self._finding(problem) for problem in Problem if self._counts.get(problem))
        sizes = Counter(self._shapes[Problem.MIXED_SIZES].values())
        width, _, height = sizes.most_common(1)[0][0].partition("x") if sizes else ("", "", "")
        return Report(
            source=found.pattern.format(),
            numbers=tuple(self.numbers),
            planned=planned,
            size=(int(height), int(width)) if sizes else None,
            findings=findings,
            palette=palette,
            colours=self.colours,
            seconds=seconds,
            found=found,
        )

    def _mixtures(self) -> None:
        for problem, shapes in self._shapes.items():
            if len(set(shapes.values())) < 2:
                continue
            usual = Counter(shapes.values()).most_common(1)[0][0]
            for number, shape in shapes.items():
                if shape != usual:
                    self.add(problem, number, 1, note=f"{shape}, most are {usual}")

    def _drop_few_specks(self, judged: list[int]) -> None:
        """Specks are a finding where a frame has more of them than this shot's own detail makes."""
        counts = self._counts.get(Problem.SPECKS, {})
        if not counts:
            return
        least = max(_FEW_SPECKS, _SPECK_SHARE * self._pixels)
        if len(judged) >= _ENOUGH:
            usual = float(np.percentile([counts.get(number, 0) for number in judged], 75))
            least = min(least, _FEW_SPECKS + 8 * usual)
        self._counts[Problem.SPECKS] = {number: count for number, count in counts.items() if count >= least}
        places = self._places[Problem.SPECKS]
        self._places[Problem.SPECKS] = [place for place in places if place.count >= least]

    def _finding(self, problem: Problem) -> Finding:
        counts, words = self._counts[problem], WORDS[problem]
        notes = self._notes.get(problem, Counter())
        note = ", ".join(word for word, _ in notes.most_common(2))
        says = words.says.replace("{note}", note)
        if problem in (Problem.MIXED_SIZES, Problem.MIXED_CHANNELS, Problem.MIXED_DEPTHS) and note:
            says = f"{says} ({note})"
        regions = sum(self._classes[problem].values()) if problem in self._classes else sum(counts.values())
        return Finding(
            problem=problem,
            count=regions,
            counts=words.counts,
            frames=tuple(sorted(counts)),
            serious=words.serious,
            says=says,
            mends=words.mends,
            classes=tuple(label for label, _ in self._classes.get(problem, Counter()).most_common(6)),
            places=tuple(self._places.get(problem, ())),
        )
