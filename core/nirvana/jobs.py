# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode, decode and verify as jobs: a request in, files and a few measured figures out."""

from __future__ import annotations

import hashlib
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import (
    DamagedArchiveError,
    InputError,
    OutputError,
    OutputExistsError,
    disk_error,
)
from mapreel.core.contract.frames import FrameRange, frame_name
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.requests import DecodeRequest, EncodeRequest, VerifyRequest
from mapreel.core.contract.takes import is_file_take, write_atomically
from mapreel.core.device import pick_device
from mapreel.core.media.images import picture_size, write_png
from mapreel.core.media.movies import MovieWriter, exact_rate
from mapreel.core.media.sequence import MapKind, open_maps
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.config import PRESETS
from mapreel.core.nirvana.encode import EncodeSettings, Source, encode
from mapreel.core.nirvana.supported import refuse_decode, refuse_encode
from mapreel.core.nirvana.work import discard_work
from mapreel.core.quality import psnr

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON

SIDECAR = "mapreel.json"
SIDECAR_FORMAT = "mapreel-decoded"
SIDECAR_VERSION = 1


def run_encode(request: EncodeRequest, take: Path, ctx: JobContext) -> dict[str, JSON]:
    """Encode `request.source` (folder, pattern or movie) into the archive `take`, read it again and measure it.

    An archive that stands in `take` already is only measured; an interrupted encode goes on at its last finished
    group. Raises UsageError for what profile nirvana cannot do, InputError and OutputError.
    """
    refuse_encode(request)
    started = time.monotonic()
    frames = FrameRange.parse(request.frames) if request.frames is not None else None
    source = open_maps(request.source, MapKind.COLOR, frames)
    settings = EncodeSettings(fit=PRESETS[request.preset.value], fps=exact_rate(request.fps), psnr_db=request.psnr_db)
    if take.exists():
        discard_work(take)  # left when the process ended between writing the archive and clearing up
    else:
        encode(source, settings, take, ctx, pick_device())
    encoded = time.monotonic()
    result = _measure(take, source, ctx)
    result |= {"encode_seconds": encoded - started, "seconds": time.monotonic() - started}
    psnr_db = result["psnr_db"]
    if request.psnr_db is not None and isinstance(psnr_db, float):
        result["psnr_target_met"] = psnr_db >= request.psnr_db
    return {"archive": str(take), "profile": request.profile, "preset": request.preset.value, **result}


def _measure(path: Path, source: Source, ctx: JobContext) -> dict[str, JSON]:
    """Decode the file on disk and compare every frame with its source: PSNR in dB, size in bits per pixel."""
    started = time.monotonic()
    with Archive(path, pick_device()) as archive:
        info = archive.info
        if info.numbers != source.numbers or (info.height, info.width) != source.size:
            raise OutputError(f"{path.name} holds another shot", "choose another output name", file=str(path))
        remaining, total = RemainingTime(), len(info.numbers)
        values = []
        for number, picture in archive.frames():
            ctx.check()
            values.append(psnr(picture, source.read(number)))
            ctx.report(Progress(len(values), total, "check", remaining.update(len(values), total)))
    return {
        "frames": total,
        "psnr_db": math.fsum(values) / total,
        "psnr_db_worst_frame": min(values),
        "bits_per_pixel": info.bits_per_pixel,
        "file_bytes": info.file_bytes,
        "decode_seconds": time.monotonic() - started,
    }


def run_decode(request: DecodeRequest, take: Path, ctx: JobContext) -> dict[str, JSON]:
    """Decode frames into the folder `take` as NUMBER.png, or into the movie `take`; frames that stand there are kept
    when the side-car says that they are of the same archive.

    Raises InputError for frame numbers that the archive does not hold, ArchiveError, OutputError.
    """
    started = time.monotonic()
    refuse_decode(request)
    with Archive(request.archive, pick_device()) as archive:
        wanted = FrameRange.parse(request.frames).numbers if request.frames is not None else archive.numbers
        unknown = sorted(set(wanted) - set(archive.numbers))
        if unknown:
            held = FrameRange.from_numbers(archive.numbers)
            raise InputError(f"the archive holds no frame {unknown[0]}", f"ask for some of {held}", frame=unknown[0])
        (_decode_movie if is_file_take(take) else _decode_frames)(archive, wanted, take, ctx)
        pixels = len(wanted) * archive.header.height * archive.header.width
    return {"take": str(take), "frames": len(wanted), "pixels": pixels, "seconds": time.monotonic() - started}


def _decode_frames(archive: Archive, wanted: tuple[int, ...], take: Path, ctx: JobContext) -> None:
    take.mkdir(parents=True, exist_ok=True)
    remaining, size = RemainingTime(), (archive.header.height, archive.header.width)
    paths = {number: take / f"{frame_name(number, 4)}.png" for number in wanted}
    note = take / SIDECAR
    story = _story(archive, wanted)
    _refuse_strangers(take, story)
    for done, (number, path) in enumerate(paths.items(), start=1):
        ctx.check()
        if not path.exists():
            picture = archive.frame(number)
            if not note.exists():  # before the first picture, but not where there will be none
                write_atomically(note, story)
            write_png(path, picture)
        ctx.report(Progress(done, len(paths), "decode", remaining.update(done, len(paths))))
    for number, path in paths.items():  # a finished job means that every planned frame re-reads
        if picture_size(path, frame=number) != size:
            raise OutputError(
                f"{path.name} has another size", "decode into an empty folder", file=str(path), frame=number
            )


def _story(archive: Archive, wanted: tuple[int, ...]) -> bytes:
    """What the pictures of a take were made from, as its side-car has it."""
    with archive.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    frames = str(FrameRange.from_numbers(wanted))
    story = {"format": SIDECAR_FORMAT, "version": SIDECAR_VERSION, "archive_sha256": sha256, "frames": frames}
    return json.dumps(story, indent=2).encode()


def _refuse_strangers(take: Path, story: bytes) -> None:
    """Pictures that stand in the take are kept only when they are of this archive. Raises OutputExistsError."""
    note = take / SIDECAR
    try:
        same = note.read_bytes() == story if note.exists() else not any(take.glob("*.png"))
    except OSError as error:
        raise disk_error(error, note) from error
    if not same:
        raise OutputExistsError(
            f"{take} holds pictures of another archive, of other frames or of nobody knows what",
            "decode into another folder",
            file=str(take),
        )


def _decode_movie(archive: Archive, wanted: tuple[int, ...], take: Path, ctx: JobContext) -> None:
    remaining, head = RemainingTime(), archive.header
    with MovieWriter(take, (head.height, head.width), head.fps) as movie:
        for done, number in enumerate(wanted, start=1):
            ctx.check()
            movie.write(archive.frame(number))
            ctx.report(Progress(done, len(wanted), "decode", remaining.update(done, len(wanted))))


def run_verify(request: VerifyRequest, take: Path | None, ctx: JobContext) -> dict[str, JSON]:
    """Read all of an archive: checksums, symbols, and pictures by their block means; nothing is written to `take`.

    Raises DamagedArchiveError with the first fault, how many groups are lost and which frames; all faults in `detail`.
    """
    assert take is None, take
    started = time.monotonic()
    with Archive(request.archive, pick_device()) as archive:
        remaining, length = RemainingTime(), archive.header.group_frames

        def before(group: int) -> None:
            ctx.check()
            done, total = group * length, archive.header.frames
            ctx.report(Progress(done, total, "verify", remaining.update(done, total)))

        verdict = archive.verify(before)
        info = archive.info
    if not verdict.whole:
        lost = (
            f"frames {FrameRange.from_numbers(verdict.lost_frames)} are lost"
            if verdict.lost_frames
            else "no frame is lost"
        )
        first = verdict.faults[0].rstrip(".")
        raise DamagedArchiveError(
            f"{first}; {len(verdict.faults)} fault(s), {lost}",
            "decode the other frames and encode these again",
            detail="\n".join(verdict.faults),
            file=request.archive,
        )
    ctx.report(Progress(len(info.numbers), len(info.numbers), "verify", 0.0))
    return {
        "archive": request.archive,
        "whole": True,
        "frames": len(info.numbers),
        "groups": verdict.groups,
        "groups_compared": verdict.groups_compared,
        "seconds": time.monotonic() - started,
    }
