# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures archives beside x264 and x265 on the same frames: files written, sizes theirs, decoded again, compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mapreel.core.benchmarks_archive_clip import Clip, Size, cut_clip
from mapreel.core.benchmarks_archive_codecs import CONVENTIONAL, PROFILES
from mapreel.core.benchmarks_archive_curves import Curve, bd_rate
from mapreel.core.benchmarks_archive_process import run_apart
from mapreel.core.contract.errors import OutputError, UsageError
from mapreel.core.contract.requests import EncodeRequest, Preset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mapreel.core.contract.progress import Progress

    Show = Callable[[Progress], None]
    Note = Callable[[str], None]

REACHED_DB = 0.01  # below a target that still counts as reached: pictures are rounded after the last look at them
SLOW, QUICK = "nirvana", "reel"  # whose times are compared


@dataclass(frozen=True, kw_only=True)
class ArchiveBench:
    """What is measured, and how."""

    source: str
    frames: str | None = None
    crop: Size | None = None
    scale: Size | None = None
    fps: Fraction = Fraction(24)
    codecs: tuple[str, ...] = ("nirvana", "reel", *CONVENTIONAL)
    psnr_targets_db: tuple[float, ...] = (27.0, 30.5, 34.0)  # of our profiles
    crfs: tuple[int, ...] = (12, 16, 20, 24, 28, 32, 36, 40)  # of x264 and x265
    presets: tuple[Preset, ...] = (Preset.DRAFT,)
    at_db: tuple[float, ...] = (30.5,)  # where bits are compared
    limit_s: float = 3600.0  # of one encode of ours
    iterations: bool = True  # measure what a training iteration costs


def from_folder(what: ArchiveBench, folder: Path) -> ArchiveBench:
    """The same on the frames that were rendered into `folder`: all of them."""
    return replace(what, source=str(folder), frames=None)


def measure_archive(what: ArchiveBench, folder: Path, show: Show, note: Note) -> dict[str, Any]:
    """Rate-distortion points, times and peaks of all codecs, and what follows from them.

    Returns:
        clip (source, frames, width, height), codecs (for each name points, iteration, or refused: one sentence),
        bd_rate (codec -> reference -> share, or None where they share no quality), bits_at (codec -> PSNR -> bits per
        pixel or None), ratios (each point of ours: bits divided by those of x264 … at its very PSNR), times (encode
        seconds to the same PSNR, nirvana over reel).
    """
    clip = cut_clip(what.source, what.frames, what.crop, what.scale, folder / "clip.rgb", what.fps, show)
    found: dict[str, dict[str, Any]] = {}
    for codec in what.codecs:
        found[codec] = _codec(what, clip, codec, folder, show, note)
    points = {codec: figures["points"] for codec, figures in found.items() if figures.get("points")}
    height, width = clip.size
    return {
        "clip": {"source": what.source, "frames": len(clip.numbers), "width": width, "height": height},
        "codecs": found,
        "bd_rate": {codec: _bd_rates(codec, points) for codec in points},
        "bits_at": {codec: {f"{db:g}": _bits(points[codec], db) for db in what.at_db} for codec in points},
        "ratios": {codec: _ratios(points[codec], points) for codec in points if codec in PROFILES},
        "times": [_time(db, found) for db in what.psnr_targets_db] if {SLOW, QUICK} <= points.keys() else [],
    }


def _codec(what: ArchiveBench, clip: Clip, codec: str, folder: Path, show: Show, note: Note) -> dict[str, Any]:
    """All points of one codec; what it cannot do is said and costs the others nothing."""
    try:
        if codec in PROFILES:
            _refuse(what, codec, folder)
        points = [_point(clip, codec, setting, folder, show, note) for setting in _settings(what, codec)]
    except (UsageError, OutputError) as error:
        note(str(error))
        return {"refused": str(error)}
    figures: dict[str, Any] = {"points": [point for point in points if "psnr_db" in point]}
    figures["stopped"] = [point for point in points if "psnr_db" not in point]
    if codec in PROFILES and what.iterations:
        cost = run_apart({"do": "iterate", "codec": codec, "clip": clip.to_json()}, show)
        figures["iteration"] = {key: value for key, value in cost.items() if key != "peak_mb"} or None
    return figures


def _refuse(what: ArchiveBench, profile: str, folder: Path) -> None:
    """Raises UsageError when the profile cannot be encoded yet."""
    from mapreel.core.nirvana.supported import refuse_encode

    for psnr_db in what.psnr_targets_db:
        out = str(folder / "shot.nirv")
        refuse_encode(EncodeRequest(source=out, out=out, profile=profile, psnr_db=psnr_db, preset=what.presets[0]))


def _settings(what: ArchiveBench, codec: str) -> Iterator[dict[str, Any]]:
    if codec in CONVENTIONAL:
        yield from ({"crf": crf} for crf in what.crfs)
        return
    for preset in what.presets:
        for psnr_db in what.psnr_targets_db:
            yield {"preset": preset.value, "psnr_db": psnr_db, "limit_s": what.limit_s}


def _point(clip: Clip, codec: str, setting: dict[str, Any], folder: Path, show: Show, note: Note) -> dict[str, Any]:
    """Encode, decode by a new decoder in another process, compare; without a PSNR when the time limit came first."""
    file, decoded = folder / f"{codec}.bits", folder / f"{codec}.rgb"
    job = {"codec": codec, "clip": clip.to_json(), "file": str(file), "decoded": str(decoded), **setting}
    kept = {"target_db" if name == "psnr_db" else name: value for name, value in setting.items() if name != "limit_s"}
    words = " ".join(f"{name} {value}" for name, value in kept.items())
    file.unlink(missing_ok=True)
    encoded = run_apart({"do": "encode", **job}, show)
    if "stopped_after" in encoded:
        note(f"{codec} {words}: stopped by the time limit at frame {encoded['stopped_after']}")
        return {**kept, "encode_seconds": encoded["seconds"], "frames_done": encoded["stopped_after"]}
    found = run_apart({"do": "decode", **job}, show)
    values = _psnrs(clip, decoded)
    size, count = file.stat().st_size, len(clip.numbers)
    decoded.unlink()
    point = {
        **kept,
        "bytes": size,
        "bits_per_pixel": 8 * size / clip.pixels,
        "psnr_db": math.fsum(values) / count,
        "psnr_db_worst_frame": min(values),
        "encode_seconds": encoded["seconds"],
        "encode_cpu_seconds": encoded["cpu_seconds"],
        "encode_frames_per_second": count / encoded["seconds"],
        "decode_seconds": found["seconds"],
        "decode_cpu_seconds": found["cpu_seconds"],
        "decode_frames_per_second": count / found["seconds"],
        "encode_peak_mb": encoded["peak_mb"],
        "decode_peak_mb": found["peak_mb"],
    }
    note(f"{codec} {words}: {point['psnr_db']:.2f} dB at {point['bits_per_pixel']:.4f} bits a pixel")
    return point


def _psnrs(clip: Clip, decoded: Path) -> list[float]:
    from mapreel.core.quality import psnr

    return [psnr(clip.frame(decoded, i), clip.frame(clip.path, i)) for i in range(len(clip.numbers))]


def _curve(points: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(point["bits_per_pixel"], point["psnr_db"]) for point in points]


def _bits(points: list[dict[str, Any]], psnr_db: float) -> float | None:
    """Bits per pixel at a PSNR between the points; None outside them."""
    try:
        return Curve.through(_curve(points)).bits(psnr_db)
    except UsageError:
        return None


def _bd_rates(codec: str, points: dict[str, list[dict[str, Any]]]) -> dict[str, float | None]:
    rates: dict[str, float | None] = {}
    for reference in CONVENTIONAL:
        if reference not in points or reference == codec:
            continue
        try:
            rates[reference] = bd_rate(_curve(points[codec]), _curve(points[reference]))
        except UsageError:
            rates[reference] = None
    return rates


def _ratios(ours: list[dict[str, Any]], points: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """For each point of ours its bits divided by what others take at its very PSNR: only theirs is interpolated."""
    rows = []
    for point in ours:
        row: dict[str, Any] = {"psnr_db": point["psnr_db"], "bits_per_pixel": point["bits_per_pixel"]}
        for reference in CONVENTIONAL:
            theirs = _bits(points.get(reference, []), point["psnr_db"])
            row[reference] = None if theirs is None else point["bits_per_pixel"] / theirs
        rows.append(row)
    return rows


def _time(target_db: float, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Fewest encode seconds to a PSNR, of both profiles, and their ratio; at_least: the slow one never got there."""
    slow, quick = (_fewest(target_db, found[codec]) for codec in (SLOW, QUICK))
    at_least = False
    if slow is None:
        tried = [p["encode_seconds"] for kind in ("points", "stopped") for p in _aimed(target_db, found[SLOW], kind)]
        slow, at_least = max(tried, default=None), True
    ratio = None if slow is None or quick is None else slow / quick
    return {"target_db": target_db, SLOW: slow, QUICK: quick, "ratio": ratio, "at_least": at_least}


def _aimed(target_db: float, figures: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [point for point in figures[kind] if point["target_db"] == target_db]


def _fewest(target_db: float, figures: dict[str, Any]) -> float | None:
    reached = [point for point in figures["points"] if point["psnr_db"] >= target_db - REACHED_DB]
    return min((point["encode_seconds"] for point in reached), default=None)
