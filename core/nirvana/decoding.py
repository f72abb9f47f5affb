# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode as a job: frames of an archive into a folder or a movie; what is damaged costs its own frames only."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import (
    DamagedArchiveError,
    FramesLostError,
    InputError,
    OutputError,
    OutputExistsError,
    UsageError,
    disk_error,
)
from mapreel.core.contract.frames import FrameRange, frame_name
from mapreel.core.contract.pictures import FileKind
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.requests import DecodeRequest
from mapreel.core.contract.strict_json import parse_json
from mapreel.core.contract.takes import is_file_take, write_atomically
from mapreel.core.contract.versions import installed_version
from mapreel.core.device import pick_device
from mapreel.core.media.plates import PlateHeaders, exr_attributes
from mapreel.core.media.proof import prove_picture
from mapreel.core.media.sidecars import file_sha256, recorded_path, written
from mapreel.core.media.writers import write_png
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.convert import decode_delivery
from mapreel.core.nirvana.metadata import Notes, read_notes
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat, Samples

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON

SIDECAR = "mapreel.json"
SIDECAR_FORMAT = "mapreel-decoded"
SIDECAR_VERSION = 1
MAP_FOLDERS = ("labels", "instances")


def run_decode(request: DecodeRequest, take: Path, ctx: JobContext) -> dict[str, JSON]:
    """Decode frames into the folder `take` as NUMBER.png or NUMBER.exr, or into the movie `take`; frames that stand
    there are kept when the side-car says that they are of the same archive.

    A damaged group costs its own frames and those that lean on it: all others are written, then FramesLostError names
    the lost ones. Raises InputError for frame numbers that the archive does not hold, ArchiveError when no frame can
    be read, UsageError, OutputError.
    """
    started = time.monotonic()
    with Archive(request.archive, pick_device()) as archive:
        decode = _Decode(archive, request, take, ctx)
        decode.run()
        size = decode.size
    pixels = len(decode.wanted) * size[0] * size[1]
    result: dict[str, JSON] = {"take": str(take), "frames": len(decode.wanted), "pixels": pixels}
    result |= {"width": size[1], "height": size[0], "bytes": decode.bytes, "format": decode.words}
    if decode.remarks:
        result["notes"] = list(decode.remarks)
    if request.maps:
        result["maps"] = decode.maps
    return {**result, "seconds": time.monotonic() - started}


@dataclass
class _Decode:
    """One decode: what is wanted of which archive, and what was lost on the way."""

    archive: Archive
    request: DecodeRequest
    take: Path
    ctx: JobContext
    lost: dict[int, DamagedArchiveError] = field(default_factory=dict)
    maps: int = 0

    def __post_init__(self) -> None:
        asked, held = self.request.frames, self.archive.numbers
        self.wanted = FrameRange.parse(asked).numbers if asked is not None else held
        unknown = sorted(set(self.wanted) - set(held))
        if unknown:
            listed = FrameRange.from_numbers(held)
            raise InputError(f"the archive holds no frame {unknown[0]}", f"ask for some of {listed}", frame=unknown[0])
        self.size = self.archive.view_size(region=self.request.region, scale=self.request.scale)
        self.notes = read_notes(self.archive.container)
        self.delivery = decode_delivery(self.request, self.archive.header.pictures, self.notes.recipe)
        self.delivery.check()
        self._plates = PlateHeaders(self.request.plate)
        self.written: dict[int, Any] = {}
        self.remarks: list[str] = []
        self._remaining = RemainingTime()

    def run(self) -> None:
        if is_file_take(self.take):
            self._movie()
        else:
            self._frames()
        if self.lost:
            raise self._loss()

    def _loss(self) -> Exception:
        first = next(iter(self.lost.values()))
        if len(self.lost) == len(self.wanted):
            return first
        listed = FrameRange.from_numbers(sorted(self.lost))
        many = f"frame {listed} is" if len(self.lost) == 1 else f"{len(self.lost)} frames ({listed}) are"
        held = " (the movie holds the frame before)" if is_file_take(self.take) else ""
        why = sorted({str(error) for error in self.lost.values()})
        return FramesLostError(
            f"{many} lost{held}, the other {len(self.wanted) - len(self.lost)} are written: {first.what}",
            "copy the archive again or encode these frames again",
            detail="\n".join(why),
            file=self.request.archive,
        )

    def _picture(self, number: int) -> Samples | None:
        """A frame, or None when it is lost."""
        try:
            return self.archive.frame(number, region=self.request.region, scale=self.request.scale)
        except DamagedArchiveError as error:
            self.lost[number] = error
            return None

    def _report(self, done: int) -> None:
        total = len(self.wanted)
        self.ctx.report(Progress(done, total, "decode", self._remaining.update(done, total)))

    def _frames(self) -> None:
        self.take.mkdir(parents=True, exist_ok=True)
        paths = {number: self._path(number) for number in self.wanted}
        note, story = self.take / SIDECAR, self._story()
        self.written = _refuse_strangers(self.take, story)
        self.archive.expect(number for number, path in paths.items() if not path.exists())
        for done, (number, path) in enumerate(paths.items(), start=1):
            self.ctx.check()
            if not path.exists():
                picture = self._picture(number)
                if picture is not None:
                    if not note.exists():  # before the first picture, but not where there will be none
                        self._describe(note, story)
                    self._write(path, number, picture)
            self._report(done)
        self._write_maps()
        self._prove(paths)
        if note.exists():
            self._describe(note, story)

    def _prove(self, paths: dict[int, Path]) -> None:
        """A finished job means that every planned frame re-reads."""
        for number, path in paths.items():
            if number in self.lost:
                continue
            if prove_picture(path, frame=number).shape[:2] != self.size:
                raise OutputError(
                    f"{path.name} has another size", "decode into an empty folder", file=str(path), frame=number
                )
            self.written.setdefault(number, written(path))

    def _describe(self, note: Path, story: dict[str, JSON]) -> None:
        entries: dict[str, JSON] = {str(number): entry for number, entry in sorted(self.written.items())}
        write_atomically(note, json.dumps({**story, "written": entries}, indent=2).encode())

    def _write(self, path: Path, number: int, picture: Samples) -> None:
        head = self.archive.header
        peak, half = _peak(head.pictures)
        if path.suffix == ".exr":
            plate = self._plates.header(number)
            told = {name: value for name, value in self._values(number).items() if name not in plate.values}
            self.delivery.write(path, picture, peak=peak, associated=half, plate=plate, values=told)
        else:
            self.delivery.write(path, picture, peak=peak, associated=half)
        self.written[number] = written(path)

    def _values(self, number: int) -> dict[str, Any]:
        """What the archive knows of a frame and an EXR says."""
        head, code = self.archive.header, self.notes.timecode
        if code is not None:
            code = code.later(self.archive.numbers.index(number), head.fps)
        return exr_attributes("", head.pictures.pixel_aspect, head.fps, str(code) if code else None)

    def _movie(self) -> None:
        head = self.archive.header
        peak, half = _peak(head.pictures)
        self.archive.expect(self.wanted)
        kept = self.delivery.keeps_alpha and head.pictures.alpha
        channels = 4 if kept else 3
        empty = np.zeros((*self.size, channels), np.uint8 if self.delivery.spec.bits == 8 else np.uint16)
        shown: npt.NDArray[Any] = empty
        with self.delivery.movie(self.take, self.size, Fraction(head.fps), alpha=kept) as movie:
            for done, number in enumerate(self.wanted, start=1):
                self.ctx.check()
                picture = self._picture(number)
                if picture is not None:
                    shown = self.delivery.pixels(picture, peak=peak, associated=half)[..., :channels]
                movie.write(np.ascontiguousarray(shown))
                self._report(done)
            if len(self.lost) == len(self.wanted):
                raise self._loss()
        self.remarks += [movie.note] if movie.note else []
        note = self.take.with_name(f"{self.take.name}.json")
        entry: dict[str, JSON] = {**written(self.take), "frames": len(self.wanted)}
        write_atomically(note, json.dumps({**self._story(), "movie": entry}, indent=2).encode())

    def _write_maps(self) -> None:
        """Label and instance maps as grey PNG in folders of their own, names and recipe as JSON."""
        if not self.request.maps or len(self.lost) == len(self.wanted):
            return
        for folder, read in zip(MAP_FOLDERS, (self.archive.labels, self.archive.instances), strict=True):
            for number in self.wanted:
                self.ctx.check()
                self._write_map(self.take / folder / f"{frame_name(number, 4)}.png", number, read)
        for name, value in _told(self.notes).items():
            data = json.dumps(value, indent=2, ensure_ascii=False).encode()
            write_atomically(self.take / name, data)

    def _write_map(self, path: Path, number: int, read: Any) -> None:
        try:
            ids = read(number)
        except DamagedArchiveError as error:
            self.lost.setdefault(number, error)
            return
        if ids is None:
            return
        if ids.dtype == np.uint32:  # PNG has 16 bits; more are only kept for who reads the archive itself
            raise OutputError(f"frame {number} has ids beyond 65535", "read them with Archive.labels", frame=number)
        path.parent.mkdir(exist_ok=True)
        write_png(path, ids)
        self.maps += 1

    @property
    def bytes(self) -> int:
        """Of the pictures, or the movie, that stand in the take."""
        paths = [self.take] if is_file_take(self.take) else map(self._path, self.wanted)
        return sum(path.stat().st_size for path in paths)

    def _path(self, number: int) -> Path:
        return self.take / f"{frame_name(number, 4)}{self.delivery.spec.suffix}"

    @property
    def words(self) -> str:
        """The files as `--format` calls them; a movie by its ending, a folder with the depth that is not the usual."""
        spec = self.delivery.spec
        if spec.is_movie:
            return spec.suffix[1:]
        usual = spec.bits == (16 if spec.kind is FileKind.EXR else 8)
        return spec.kind.value if usual else f"{spec.kind.value}{spec.bits}"

    def _story(self) -> dict[str, JSON]:
        """What the pictures of a take were made from, as its side-car has it."""
        frames = str(FrameRange.from_numbers(self.wanted))
        story: dict[str, JSON] = {"format": SIDECAR_FORMAT, "version": SIDECAR_VERSION}
        story |= {"archive_sha256": file_sha256(self.archive.path), "frames": frames}
        if self.words != "png":
            story["files"] = self.words
        if self.request.region is not None:
            story["region"] = list(self.request.region)
        if self.request.scale != 1:
            story["scale"] = self.request.scale
        folder = self.take.parent if is_file_take(self.take) else self.take
        made: dict[str, JSON] = {"mapreel": installed_version("mapreel")}
        story |= {"archive": recorded_path(self.request.archive, folder), "made_with": made}
        story["pictures"] = self.delivery.to_dict()
        recipe = self.notes.recipe
        if isinstance(recipe, dict) and "model" in recipe:  # whose pictures the archive holds
            story["model"] = recipe["model"]
        return story


def _peak(form: PictureFormat) -> tuple[int | None, bool]:
    """The peak of an archive's whole numbers, None for scene-linear; and whether alpha is multiplied in, as in EXR."""
    half = form.samples is SampleFormat.HALF
    return None if half else form.samples.peak, half


def _told(notes: Notes) -> dict[str, JSON]:
    """Files beside the maps: names of the labels, and the recipe."""
    told: dict[str, JSON] = {}
    if notes.classes:
        told["label_names.json"] = {str(number): name for number, name in notes.classes.items()}
    if notes.recipe is not None:
        told["recipe.json"] = notes.recipe
    return told


_DECIDES = ("format", "version", "archive_sha256", "frames", "files", "region", "scale")


def _refuse_strangers(take: Path, story: dict[str, JSON]) -> dict[int, Any]:
    """Pictures that stand in the take are kept only when they are of this archive; gives what is noted of them.

    Raises OutputExistsError.
    """
    note = take / SIDECAR
    try:
        if not note.exists():
            if not any(any(take.glob(f"*{suffix}")) for suffix in (".png", ".exr", ".tif")):
                return {}
        else:
            found = parse_json(note.read_bytes())
            known = found if isinstance(found, dict) else {}
            told = known.get("pictures", story["pictures"])  # version 0.1.0 told nothing of them
            if told == story["pictures"] and all(known.get(name) == story.get(name) for name in _DECIDES):
                entries = known.get("written", {})
                return {int(number): entry for number, entry in entries.items()} if isinstance(entries, dict) else {}
    except OSError as error:
        raise disk_error(error, note) from error
    except (UsageError, ValueError):
        pass
    raise OutputExistsError(
        f"{take} holds pictures of another archive, of other frames or of nobody knows what",
        "decode into another folder",
        file=str(take),
    )
