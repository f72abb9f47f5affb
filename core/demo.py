# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: renders the bundled shot through the service like a user, archives its beginning, notes the figures."""

from __future__ import annotations

import json
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import MissingInputError
from mapreel.core.contract.frames import FrameRange, find_sequence
from mapreel.core.contract.requests import EncodeRequest, Preset, Quality, RenderRequest
from mapreel.core.contract.takes import claim_take, write_atomically
from mapreel.core.contract.versions import installed_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mapreel.core.contract.requests import Request

    Run = Callable[[Request], dict[str, Any]]  # does a request to its end, gives its result
    Say = Callable[[str], None]

DEMO_MODEL = "street"
DEMO_PALETTE = "street"
ARCHIVED = 24  # frames: one second, so that the whole demo stays under three minutes on two cores
FPS = 24.0
SHEET_ROWS, SHEET_PAIRS = 4, 2  # of a label map and its picture
SHEET_CELL_PX = 384
REPORT_FORMAT = "mapreel-demo"
REPORT_VERSION = 1


def demo_shot() -> Path:
    """The folder of the bundled shot. Raises MissingInputError when the installation lacks it."""
    folder = Path(__file__).resolve().parents[1] / "resources" / "demo" / "street"
    if not folder.is_dir():
        raise MissingInputError(f"the demo shot {folder} is not installed", "install Mapreel again", file=str(folder))
    return folder


def installed() -> dict[str, str]:
    """Versions of what made the pictures."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in ("mapreel", "torch")}}


@dataclass
class Demo:
    """One run of the demo into its take."""

    take: Path
    run: Run
    say: Say
    quality: Quality
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - started, 3)

    def make(self) -> dict[str, Any]:
        """Everything, in order; gives what report.json holds."""
        with self._timed("render"):
            rendered = self._render()
        numbers = tuple(FrameRange.parse(rendered["planned"]))
        with self._timed("movie"):
            self._movie(numbers)
        with self._timed("contact_sheet"):
            self._sheet(numbers)
        with self._timed("archive"):
            archived = self._archive(numbers[:ARCHIVED])
        report = self._report(rendered, archived)
        write_atomically(self.take / "report.json", (json.dumps(report, indent=2) + "\n").encode())
        return report

    def _render(self) -> dict[str, Any]:
        shot = demo_shot()
        request = RenderRequest(
            labels=str(shot / "label"),
            instances=str(shot / "instance"),
            motion=str(shot / "motion"),
            model=DEMO_MODEL,
            out=str(self.take / "frames"),
            quality=self.quality,
            fps=FPS,
        )
        return self.run(request)

    def _movie(self, numbers: tuple[int, ...]) -> None:
        from mapreel.core.media.images import picture_size, read_color
        from mapreel.core.media.moviewriter import MovieWriter

        self.say("writing render.mp4")
        frames = find_sequence(self.take / "frames").pattern
        with MovieWriter(self.take / "render.mp4", picture_size(frames.path(numbers[0])), FPS) as movie:
            for number in numbers:
                movie.write(read_color(frames.path(number), frame=number))

    def _sheet(self, numbers: tuple[int, ...]) -> None:
        """Label maps in their palette's colours, each beside its picture, spread over the shot."""
        from mapreel.core.media.images import read_color, write_png
        from mapreel.core.media.labels import read_label_map
        from mapreel.core.media.palettes import colorize, load_palette
        from mapreel.core.media.sheets import contact_sheet

        self.say("writing contact_sheet.png")
        palette = load_palette(DEMO_PALETTE)
        labels = find_sequence(demo_shot() / "label").pattern
        frames = find_sequence(self.take / "frames").pattern
        count = SHEET_ROWS * SHEET_PAIRS
        chosen = [numbers[round(i * (len(numbers) - 1) / (count - 1))] for i in range(count)]
        pairs = [
            (colorize(read_label_map(labels.path(n), frame=n), palette), read_color(frames.path(n), frame=n))
            for n in chosen
        ]
        rows = [
            [picture for pair in pairs[start : start + SHEET_PAIRS] for picture in pair]
            for start in range(0, count, SHEET_PAIRS)
        ]
        write_png(self.take / "contact_sheet.png", contact_sheet(rows, cell_width_px=SHEET_CELL_PX))

    def _archive(self, numbers: tuple[int, ...]) -> dict[str, Any]:
        request = EncodeRequest(
            source=str(self.take / "frames"),
            out=str(self.take / "shot.nirv"),
            frames=str(FrameRange.from_numbers(numbers)),
            fps=FPS,
            preset=Preset.DRAFT,
        )
        return self.run(request)

    def _report(self, rendered: dict[str, Any], archived: dict[str, Any]) -> dict[str, Any]:
        return {
            "format": REPORT_FORMAT,
            "version": REPORT_VERSION,
            "frames": rendered["frames"],
            "quality": self.quality.value,
            "frames_per_second": rendered["frames_per_second"],
            "key_frame_share": rendered["key_share"],
            "model": {"name": rendered["model"], "sha256": rendered["model_sha256"]},
            "archive": {
                "frames": archived["frames"],
                "psnr_db": archived["psnr_db"],
                "bits_per_pixel": archived["bits_per_pixel"],
                "bytes": (self.take / "shot.nirv").stat().st_size,
            },
            "seconds": {**self.seconds, "total": round(sum(self.seconds.values()), 3)},
            "versions": installed(),
        }


def run_demo(out: Path, run: Run, say: Say, quality: Quality) -> tuple[Path, dict[str, Any]]:
    """Make the demo in a new take of `out`; gives the take and the report. Raises what the jobs raise."""
    demo_shot()
    demo = Demo(claim_take(out), run, say, quality)
    return demo.take, demo.make()
