# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode and verify as jobs: a request in, an archive and a few measured figures out. `decoding` has decode."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapreel.core.contract.errors import DamagedArchiveError, MissingInputError, OutputError, UsageError
from mapreel.core.contract.frames import FrameRange, find_sequence
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.requests import EncodeRequest, VerifyRequest
from mapreel.core.contract.strict_json import parse_json
from mapreel.core.contract.versions import installed_version
from mapreel.core.device import pick_device
from mapreel.core.media.classes import ClassRules, Entry
from mapreel.core.media.colour import colour_config
from mapreel.core.media.moviewriter import exact_rate
from mapreel.core.media.palettes import load_palette
from mapreel.core.media.sequence import MapKind, ShotSequence, is_movie, open_maps
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.config import PRESETS
from mapreel.core.nirvana.encode import EncodeSettings, encode
from mapreel.core.nirvana.labels import pack_ids
from mapreel.core.nirvana.metadata import MAX_RECIPE_BYTES, Notes, Timecode
from mapreel.core.nirvana.reel.encode import PRESETS as REEL_PRESETS
from mapreel.core.nirvana.samples import PictureFormat, Samples
from mapreel.core.nirvana.source import PlateSource, open_source
from mapreel.core.nirvana.supported import refuse_encode
from mapreel.core.nirvana.work import discard_work
from mapreel.core.nirvana.writer import OtherChunk

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON


def run_encode(request: EncodeRequest, take: Path, ctx: JobContext) -> dict[str, JSON]:
    """Encode `request.source` (folder, pattern or movie) into the archive `take`, read it again and measure it.

    An archive that stands in `take` already is only measured; an interrupted encode goes on at its last finished
    group. Raises UsageError for what profile nirvana cannot do, InputError and OutputError.
    """
    refuse_encode(request)
    started = time.monotonic()
    source = open_source(request, ctx.check)
    maps = open_kept_maps(request, source.numbers)
    intra = {} if request.intra is None else {"intra_interval": request.intra}
    settings = EncodeSettings(
        **intra,
        fit=(REEL_PRESETS if request.profile == "reel" else PRESETS)[request.preset.value],
        fps=exact_rate(request.fps),
        psnr_db=request.psnr_db,
        most_bytes=most_bytes(request, source, maps, ctx),
        pictures=source.form,
        notes=notes_of(request, source).chunks(),
    )
    if take.exists():
        discard_work(take)  # left when the process ended between writing the archive and clearing up
    else:
        encode(source, settings, take, ctx, pick_device(), packed_maps(maps, ctx))
    encoded = time.monotonic()
    result = _measure(take, source, ctx)
    result |= {"encode_seconds": encoded - started, "seconds": time.monotonic() - started}
    psnr_db = result["psnr_db"]
    if request.psnr_db is not None and isinstance(psnr_db, float):
        result["psnr_target_met"] = psnr_db >= request.psnr_db
    return {"archive": str(take), "profile": request.profile, "preset": request.preset.value, **result}


def most_bytes(request: EncodeRequest, source: PlateSource, maps: KeptMaps, ctx: JobContext) -> int | None:
    """What the archive may weigh without its maps, of the size or bits a pixel asked for; None: neither is.

    Raises UsageError when the maps alone take all of it.
    """
    if request.size_mb is not None:
        whole = int(request.size_mb * 1e6)
    elif request.bits_per_pixel is not None:
        height, width = source.size
        whole = int(request.bits_per_pixel * height * width * len(source.numbers) / 8)
    else:
        return None
    taken = sum(len(payload) + bits.CHUNK_OVERHEAD_BYTES for _, _, payload in packed_maps(maps, ctx))
    if taken >= whole:
        raise UsageError(
            f"the maps alone take {taken} of {whole} bytes", "allow a larger archive or leave the maps out"
        )
    return whole - taken


def notes_of(request: EncodeRequest, source: PlateSource) -> Notes:
    """What goes along with the pictures. Raises UsageError, MissingInputError for a recipe or timecode that is none."""
    made = {"tool": "mapreel", "version": installed_version("mapreel"), "source": Path(request.source).name}
    if request.dated:  # off as a rule: the same settings give the same bytes
        made["date"] = datetime.now(UTC).date().isoformat()
    if request.colour_space is not None:
        made["colour_config"] = str(colour_config(request.ocio).to_dict()["name"])
    code = request.timecode or source.timecode
    classes = load_palette(request.palette).classes if request.palette is not None else ()
    return Notes(
        timecode=Timecode.parse(code) if code else None,
        provenance=made,
        tags=dict(request.tags),
        recipe=_recipe(Path(request.recipe)) if request.recipe is not None else None,
        classes={entry.id: entry.name for entry in classes},
    )


def _recipe(path: Path) -> JSON:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise MissingInputError(f"the recipe {path.name} cannot be read", "check the path", file=str(path)) from error
    if len(data) > MAX_RECIPE_BYTES:
        raise UsageError(f"the recipe {path.name} is too large", f"give at most {MAX_RECIPE_BYTES >> 20} MB")
    return parse_json(data)


KeptMaps = tuple[tuple[bytes, ShotSequence], ...]


def open_kept_maps(request: EncodeRequest, numbers: tuple[int, ...]) -> KeptMaps:
    """The maps that go along, for the frames of the shot. Raises what `open_maps` raises, UsageError for a rule that
    leads to no class."""
    frames = FrameRange.from_numbers(numbers)
    wanted = ((bits.LABELS, request.labels, MapKind.LABEL), (bits.INSTANCES, request.instances, MapKind.INSTANCE))
    rules = _rules(request)
    return tuple(
        (kind, open_maps(path, of, frames, options=request.map_reading, rules=rules if of is MapKind.LABEL else None))
        for kind, path, of in wanted
        if path is not None
    )


def _rules(request: EncodeRequest) -> ClassRules:
    """Names lead to the palette's classes; ids stay as they are, those that it does not know too, unless rules say
    otherwise."""
    named = bool(request.classes) or (request.labels is not None and is_exr(request.labels))
    palette = load_palette(request.palette) if request.palette is not None and named else None
    ids = None if palette is None else {entry.name: entry.id for entry in reversed(palette.classes)}
    rules = ClassRules(request.classes, ids, f"the palette {palette.name}" if palette else "the maps")
    for pattern, _ in request.classes:
        rules.target(Entry(pattern), certain=False)
    return rules


def is_exr(source: str) -> bool:
    """Whether maps are EXR files, which may know their objects by names."""
    return not is_movie(source) and find_sequence(source).pattern.tail.lower().endswith(".exr")


def packed_maps(maps: KeptMaps, ctx: JobContext) -> Iterator[OtherChunk]:
    """One chunk for each picture, in as few bytes for an id as they need."""
    for kind, sequence in maps:
        for index, number in enumerate(sequence.numbers):
            ctx.check()
            ids = sequence.read(number)
            yield kind, index, pack_ids(ids.astype(np.uint8) if int(ids.max()) < 256 else ids)


def code_psnr(shown: Samples, wanted: Samples, form: PictureFormat) -> float:
    """PSNR of the colours in dB, in codes 0..1, which for 8 bits is the usual one; 100 for equal pictures at least."""
    error = float(np.mean(np.square(form.codes(shown) - form.codes(wanted), dtype=np.float64)))
    return 100.0 if error <= 1e-10 else -10.0 * math.log10(error)


def _measure(path: Path, source: PlateSource, ctx: JobContext) -> dict[str, JSON]:
    """Decode the file on disk and compare every frame with its source: PSNR in dB, size in bits per pixel."""
    started = time.monotonic()
    with Archive(path, pick_device()) as archive:
        info, form = archive.info, archive.header.pictures
        if info.numbers != source.numbers or (info.height, info.width) != source.size or form != source.form:
            raise OutputError(f"{path.name} holds another shot", "choose another output name", file=str(path))
        remaining, total = RemainingTime(), len(info.numbers)
        values = []
        for number, picture in archive.frames():
            ctx.check()
            values.append(code_psnr(picture, source.read(number), form))
            ctx.report(Progress(len(values), total, "check", remaining.update(len(values), total)))
    return {
        "frames": total,
        "width": info.width,
        "height": info.height,
        "psnr_db": math.fsum(values) / total,
        "psnr_db_worst_frame": min(values),
        "bits_per_pixel": info.bits_per_pixel,
        "file_bytes": info.file_bytes,
        "depth": info.depth,
        "alpha": info.alpha,
        "decode_seconds": time.monotonic() - started,
    }


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
        "width": info.width,
        "height": info.height,
        "groups": verdict.groups,
        "groups_compared": verdict.groups_compared,
        "seconds": time.monotonic() - started,
    }
