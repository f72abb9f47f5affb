# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command speaks: results on stdout, progress and notes on stderr, one sentence for an error."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.progress import Progress as Bar

    from mapreel.core.contract.errors import MapreelError
    from mapreel.core.contract.progress import Progress

LINE_EVERY_S = 5.0  # where no terminal redraws a bar, a line this often keeps a log readable
VERSION = 1
_STEPS = frozenset({"train"})  # stages that count steps; all others count frames


def duration(seconds: float) -> str:
    """A time left or taken for people: `8 s`, `1:05 min`, `2:03:04 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def unit(stage: str) -> str:
    """What the numbers of a stage count."""
    return "steps" if stage in _STEPS else "frames"


def progress_line(progress: Progress) -> str:
    """`render: 24 of 96 frames, about 12 s left`."""
    text = f"{progress.stage}: {progress.done} of {progress.total} {unit(progress.stage)}"
    if progress.seconds_left is None or progress.done >= progress.total:
        return text
    return f"{text}, about {duration(progress.seconds_left)} left"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines with aligned columns; control characters are written out."""
    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


class Lines:
    """Progress as plain lines: when the stage changes, at its end, and every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._told_s = 0.0
        self._told = ""

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        ends = progress.done >= progress.total
        if progress.stage == self._stage and not ends and now - self._told_s < LINE_EVERY_S:
            return
        line = progress_line(progress)
        if line != self._told:
            self._stage, self._told_s, self._told = progress.stage, now, line
            self._console.note(line)


class LiveBar:
    """Progress as one bar that a terminal redraws; a line for each stage stays."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._stage = ""
        self._task = bar.add_task("", total=None, left="", unit="", visible=False)

    def show(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            if self._stage:
                self._bar.update(self._task, left="")
            self._stage = progress.stage
            self._task = self._bar.add_task(progress.stage, total=progress.total, left="", unit=unit(progress.stage))
        left = progress.seconds_left
        known = left is not None and progress.done < progress.total
        text = f"about {duration(left)} left" if known and left is not None else ""
        self._bar.update(self._task, completed=progress.done, total=progress.total, left=text)


@dataclass
class Console:
    """The two streams of one command. `json`: the result is one JSON object on stdout, for machines."""

    json: bool = False
    quiet: bool = False
    _bar: Bar | None = field(default=None, init=False, repr=False)

    def note(self, text: str) -> None:
        """One line on stderr. A reader of stderr that is gone stops nothing."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)
            return
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.write(one_line(text) + "\n")
            sys.stderr.flush()

    def result(self, data: Mapping[str, Any], lines: Sequence[str]) -> None:
        """What the command found out: `data` for machines, `lines` for people."""
        text = json.dumps({"format": "mapreel-result", "version": VERSION, **data}) if self.json else "\n".join(lines)
        if text:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def error(self, error: MapreelError, exit_code: int) -> None:
        """One sentence on stderr; for machines also the whole error on stdout."""
        if self.json:
            content = {"format": "mapreel-error", "version": VERSION, "error": error.to_dict(), "exit_code": exit_code}
            sys.stdout.write(json.dumps(content) + "\n")
            sys.stdout.flush()
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.write(f"mapreel: {_named(error)}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def progress(self) -> Iterator[Lines | LiveBar]:
        """Something to `show` progress with, while the block lasts."""
        if self.quiet or self.json or not sys.stderr.isatty():
            yield Lines(self)
            return
        with _live_bar() as bar:
            self._bar = bar
            try:
                yield LiveBar(bar)
            finally:
                self._bar = None


def _live_bar() -> Bar:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
        console=RichConsole(stderr=True),
    )


def _named(error: MapreelError) -> str:
    """The sentence, with the file's name in front where it says neither which file it means nor in which folder."""
    sentence = str(error)
    file = Path(error.file or "")
    if not file.name or file.name in sentence or (file.parent.name and str(file.parent) in sentence):
        return sentence
    return f"{one_line(file.name)}: {sentence}"


def plain(progress: Progress | None) -> dict[str, Any] | None:
    """Progress as JSON takes it."""
    return asdict(progress) if progress else None
