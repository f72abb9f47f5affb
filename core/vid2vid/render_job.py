# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a render request into its take: every planned frame once, resumable at anchors, re-read at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from mapreel.core.contract.errors import FramesLostError, MapreelError, OutputExistsError, UsageError
from mapreel.core.contract.frames import FrameRange, MissingFrames, counted
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.requests import Quality, RenderRequest
from mapreel.core.contract.takes import claim_folder, is_file_take, resume_take, write_atomically
from mapreel.core.device import pick_device
from mapreel.core.media.delivery import Delivery
from mapreel.core.media.movies import movie_info
from mapreel.core.media.sidecars import written
from mapreel.core.vid2vid.checkpoint import Model, load_model
from mapreel.core.vid2vid.conditions import source_digits
from mapreel.core.vid2vid.keyframes import LONGEST_GAP
from mapreel.core.vid2vid.lanes import Lanes, can_part
from mapreel.core.vid2vid.models import find_model, holds_paper_student
from mapreel.core.vid2vid.reference import carried_over
from mapreel.core.vid2vid.renderer import Memory, RenderedFrame, Renderer
from mapreel.core.vid2vid.shot import Shot, open_shot
from mapreel.core.vid2vid.supported import refuse_unsupported
from mapreel.core.vid2vid.takefiles import map_files, plate_headers, render_delivery
from mapreel.core.vid2vid.takefolder import SIDECAR, FrameWriter, TakeFolder, plan_digest
from mapreel.core.vid2vid.teacher_model import TeacherModel, load_teacher
from mapreel.core.vid2vid.teacher_renderer import TeacherRenderer
from mapreel.core.vid2vid.timeline import Segment

SAID = 100
"""Failed frames whose sentences go into the detail of the error; the side-car has all."""


def run_render(request: RenderRequest, take: Path, context: JobContext) -> dict[str, Any]:
    """Render what the request asks for into `take` (a folder, or a movie file).

    Frames that stand in the take already, made by the same request and model, are kept. The frames of a movie wait in
    its claim folder, and its side-car lies beside it (`x.mp4.json`). A frame with a map that cannot be read fails
    alone: all others are made, and a second attempt makes just those that failed, and those whose maps have changed
    or that lean on such. With `missing` hold or black, others stand for the map, as for one that is not there.

    Returns:
        take, frames, planned, rendered (in this attempt), key_share, seconds, frames_per_second, width, height, bytes
        (of the frames, or the movie), notes.

    Raises:
        UsageError: bad input; nothing is written then.
        FramesLostError: some maps cannot be read; names their frames, all others are written (but no movie).
        OutputError: the take cannot be written.
        CancelledError: the context asked for it; finished frames stay.
    """
    refuse_unsupported(request)
    folder = claim_folder(take) if is_file_take(take) else take
    composite = request.quality is Quality.TEACHER or holds_paper_student(find_model(request.model))
    model = load_teacher(request.model) if composite else load_model(request.model)
    if is_file_take(take) and take.exists() and not (folder / SIDECAR).is_file():
        return _finished_movie(request, take, folder, model)
    fails = request.missing is MissingFrames.ERROR
    shot = open_shot(model, request, stand_in=MissingFrames.HOLD if fails else request.missing)
    _read_once(shot)
    resume_take(folder)
    files = TakeFolder(folder, request, model, source_digits(request.labels))
    maps = (("labels", shot.labels), ("instances", shot.instances), ("motion", shot.motion))
    files.sources, files.plates = map_files(maps), plate_headers(request, maps)
    job = _RenderJob(shot, files, _renderer(model, files.peak), request.quality, context, fails=fails)
    result = {"take": str(take), **job.run(), "model": model.name, "model_sha256": model.sha256}
    if is_file_take(take):
        note = _write_movie(files, shot, take, render_delivery(request, model), request.fps, context)
        result |= {"notes": [*result["notes"], *([note] if note else [])], "bytes": take.stat().st_size}
        story = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        story["written"] = {n: {"from": entry.get("from", {})} for n, entry in story["written"].items()}
        story |= {"movie": {**written(take), "frames": len(shot.planned)}, "result": result}
        write_atomically(_movie_sidecar(take), json.dumps(story, indent=2).encode())
        shutil.rmtree(folder)
    return result


def _renderer(model: Model | TeacherModel, peak: int) -> Renderer | TeacherRenderer:
    device = pick_device()
    if isinstance(model, TeacherModel):
        return TeacherRenderer(model, device, peak=peak)
    return Renderer(model, device, peak=peak)


class _RenderJob:
    """One attempt at a render."""

    def __init__(
        self,
        shot: Shot,
        files: TakeFolder,
        renderer: Renderer | TeacherRenderer,
        quality: Quality,
        context: JobContext,
        *,
        fails: bool,
    ) -> None:
        self.shot, self.files, self.renderer, self.quality, self.context = shot, files, renderer, quality, context
        self.fails = fails  # a frame with maps that cannot be read; else others stand for them
        self.planned = str(FrameRange.from_numbers(shot.planned))
        self.notes = [s.filled_note() for s in (shot.labels, shot.instances, shot.motion) if s and s.filled]
        self.notes += [shot.doubt] if shot.doubt else []

    def run(self) -> dict[str, Any]:
        shot, total = self.shot, len(self.shot.planned)
        missing = set(shot.planned) - self.files.standing(shot.planned, shot.size_px)
        missing |= self._outdated(set(shot.planned) - missing)
        kept, started = total - len(missing), time.monotonic()
        self.files.describe(shot.planned, self.notes)
        remaining = RemainingTime()
        self.context.report(Progress(kept, total, "render", remaining.update(kept, total)))
        with FrameWriter(self.files) as writer, closing(self._frames(missing)) as frames:
            for count, frame in enumerate(frames, start=1):
                if not self._failed(frame.number):
                    writer.add(frame.number, frame.pixels)
                self.context.report(Progress(kept + count, total, "render", remaining.update(kept + count, total)))
            writer.flush()
        seconds = time.monotonic() - started
        filled = "" if self.fails else shot.lost_note(frozenset(missing))
        self.notes += [*self.renderer.notes, *([filled] if filled else [])]
        made = tuple(number for number in shot.planned if number not in self.files.failed)
        self.files.check(made, shot.size_px, self.context)
        self.files.describe(shot.planned, self.notes)
        if self.files.failed:
            raise self._loss(len(made))
        keys = len(self.files.keys & set(shot.planned))
        return {
            "frames": total,
            "planned": self.planned,
            "rendered": len(missing),
            "key_share": keys / total,
            "seconds": seconds,
            "frames_per_second": len(missing) / seconds if missing and seconds > 0 else None,
            "width": shot.size_px[1],
            "height": shot.size_px[0],
            "bytes": sum(self.files.path(number).stat().st_size for number in shot.planned),
            "notes": self.notes,
        }

    def _failed(self, number: int) -> bool:
        """Whether a frame that was made does not count, because others stood for its maps; notes why."""
        error = self.shot.lost.get(number) if self.fails else None
        if error is not None:
            self.files.failed[number] = str(error)
            self.files.keys.discard(number)
        return error is not None

    def _loss(self, made: int) -> MapreelError:
        """What is said of the frames that failed; of all of them, what is wrong with the first."""
        failed = sorted(self.files.failed)
        first = self.shot.lost[failed[0]]
        if not made:
            return first
        return FramesLostError(
            f"{counted(failed)} not rendered, the other {made} are: {first.what}",
            "render these maps again (with --missing hold a new take does without them)",
            detail="\n".join(self.files.failed[number] for number in failed[:SAID]),
            file=first.file,
            frame=failed[0],
        )

    def _outdated(self, standing: set[int]) -> set[int]:
        """Frames that stand in the take, but were made before their maps, or from another anchor."""
        changed: set[int] = set()
        ahead = LONGEST_GAP if self.quality is Quality.FAST else 0
        for segment in self.shot.timeline.segments(standing):
            changed |= self._outdated_in(segment, standing, ahead)
        if changed:
            listed = FrameRange.from_numbers(sorted(changed))
            self.notes.append(f"frames {listed} are rendered anew, because their maps have changed")
        return changed

    def _outdated_in(self, segment: Segment, standing: set[int], ahead: int) -> set[int]:
        numbers = self.shot.timeline.numbers
        if numbers[segment.start] not in self.files.anchors:
            return standing & set(numbers[segment.start : segment.end])
        times = map(self.shot.changed_s, self.shot.timeline.needed(segment))
        newest_s = [max(t, self._references_s(segment)) for t in accumulate(times, max)]
        changed = set()
        for index in range(segment.start, segment.end):
            leans_on = min(index - segment.run_in + ahead, len(newest_s) - 1)
            if numbers[index] in standing and self.files.written_s(numbers[index]) < newest_s[leans_on]:
                changed.add(numbers[index])
        return changed

    def _references_s(self, segment: Segment) -> float:
        """When the maps were last written through which the segment's frames know the references."""
        shot = self.shot
        if shot.references is None:
            return 0.0
        between = carried_over(shot.references, segment, self.quality, len(shot.timeline))
        numbers = {shot.timeline.numbers[index] for index in between if index <= segment.run_in}
        return max(map(shot.changed_s, numbers | set(shot.references.numbers)))

    def _frames(self, missing: set[int]) -> Generator[RenderedFrame]:
        """Missing frames in order, whole segments at a time; a segment stops after its last missing frame."""
        memory: Memory | None = None
        before: Segment | None = None
        wanted = [(segment, self._last(segment, missing)) for segment in self.shot.timeline.segments(missing)]
        with self._lanes(wanted) as lanes:
            for segment, last in wanted:
                self.files.anchors.add(self.shot.timeline.numbers[segment.start])
                self.files.describe(self.shot.planned, self.notes)  # before the first frame: a kill must not lose it
                carried = memory if before is not None and before.end == segment.start else None
                memory = None
                try:
                    rendering = (
                        lanes.next() if lanes else self.renderer.render(self.shot, segment, self.quality, carried)
                    )
                    with closing(rendering):
                        memory = yield from self._segment(rendering, segment, last, missing)
                finally:  # also when cancelled: which of the finished frames are keys is known now only
                    self.files.describe(self.shot.planned, self.notes)
                before = segment

    def _last(self, segment: Segment, missing: set[int]) -> int:
        return max(n for n in self.shot.timeline.numbers[segment.start : segment.end] if n in missing)

    @contextmanager
    def _lanes(self, wanted: list[tuple[Segment, int]]) -> Iterator[Lanes | None]:
        """Who renders the segments side by side, None where they come one after the other."""
        renderer = self.renderer
        if not isinstance(renderer, Renderer) or not can_part(self.shot, self.quality, renderer):
            yield None
            return
        with closing(Lanes(self.shot, renderer, wanted, self.context.check)) as lanes:
            yield lanes
        self.notes += [note for note in lanes.notes if note not in renderer.notes]

    def _segment(
        self, rendering: Generator[RenderedFrame, None, Memory | None], segment: Segment, last: int, missing: set[int]
    ) -> Generator[RenderedFrame, None, Memory | None]:
        """Missing frames of one segment; returns the memory for the next one, None when it stopped before its end."""
        while True:
            self.context.check()
            try:
                frame = next(rendering)
            except StopIteration as end:
                memory: Memory | None = end.value
                return memory
            if frame.is_key:
                self.files.keys.add(frame.number)
            if frame.number in missing:
                yield frame
            if frame.number == last and last != self.shot.timeline.numbers[segment.end - 1]:
                return None


def _movie_sidecar(take: Path) -> Path:
    return take.with_name(f"{take.name}.json")


def _finished_movie(request: RenderRequest, take: Path, folder: Path, model: Model | TeacherModel) -> dict[str, Any]:
    """The result of a movie that this very request finished before its end could be noted; none of it is made anew.

    Raises:
        OutputExistsError: the movie is somebody else's: it is never replaced.
    """
    plan = plan_digest(request, model)
    try:
        story = json.loads(_movie_sidecar(take).read_text(encoding="utf-8"))
        result: dict[str, Any] = story["result"]
        same = story["plan"] == plan and all(
            story["request"][name] == request.whole()[name] for name in ("frames", "fps")
        )
        if same and movie_info(take).frames == result["frames"]:
            shutil.rmtree(folder, ignore_errors=True)
            return {**result, "rendered": 0, "seconds": 0.0, "frames_per_second": None}
    except (OSError, ValueError, KeyError, TypeError, UsageError) as exc:
        raise _movie_exists(take) from exc
    raise _movie_exists(take)


def _movie_exists(take: Path) -> OutputExistsError:
    return OutputExistsError(
        f"the movie {take} is there already", "leave out --resume to make a new take", file=str(take)
    )


def _read_once(shot: Shot) -> None:
    """Read the first planned frame and all references before the take is touched: most bad input shows there.

    What references show is carried to all frames, so that their maps have to be read.
    """
    shot.maps(shot.timeline.numbers.index(shot.planned[0]))
    _ = shot.reference_colours
    for number in shot.references.numbers if shot.references else ():
        if number in shot.lost:
            raise shot.lost[number]


def _write_movie(files: TakeFolder, shot: Shot, take: Path, delivery: Delivery, fps: float, context: JobContext) -> str:
    """Gives a note when the movie is not as its frames are."""
    total = len(shot.planned)
    with delivery.movie(take, shot.size_px, fps) as movie:
        for count, number in enumerate(shot.planned, start=1):
            context.check()
            pixels = files.read(number)
            movie.write(delivery.pixels(pixels, peak=int(np.iinfo(pixels.dtype).max)))
            context.report(Progress(count, total, "movie"))
    return movie.note
