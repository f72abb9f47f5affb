# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench archive`: our profiles beside x264 and x265, on the same frames in one run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Fps, Frames, Json, absolute
from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import Preset

BUNDLED_FRAMES = "1-24"  # as the demo archives


def archive(
    source: Annotated[
        str | None, typer.Option(metavar="SHOT", help="Sequence or movie; else the bundled shot, rendered, 1-24.")
    ] = None,
    frames: Frames = None,
    crop: Annotated[str | None, typer.Option(metavar="WxH", help="Cut out the centre.")] = None,
    scale: Annotated[str | None, typer.Option(metavar="WxH", help="Then scale by area.")] = None,
    fps: Fps = 24.0,
    codecs: Annotated[
        str, typer.Option(metavar="LIST", help="Profiles and codecs, with commas between.")
    ] = "nirvana,reel,x264,x265,x264-444,x265-444",
    psnr: Annotated[str, typer.Option(metavar="LIST", help="PSNR in dB that our profiles aim at.")] = "27,30.5,34",
    crf: Annotated[str, typer.Option(metavar="LIST", help="Qualities of x264 and x265.")] = "12,16,20,24,28,32,36,40",
    preset: Annotated[
        str, typer.Option(metavar="LIST", help="How long our encodes may take: draft, good, best.")
    ] = "draft",
    at: Annotated[str, typer.Option(metavar="LIST", help="PSNR in dB where bits are compared.")] = "30.5",
    limit: Annotated[float, typer.Option(metavar="S", min=1, help="Seconds after which an encode is given up.")] = 3600,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the curves as a PNG.")] = None,
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="Which model renders the bundled shot.")] = "street",
    as_json: Json = False,
) -> None:
    """Archives beside x264 and x265: rate, distortion, speed, memory."""
    from mapreel.core import benchmarks, benchmarks_archive
    from mapreel.core.benchmarks_archive_clip import parse_size
    from mapreel.core.local import wait_calmly
    from mapreel.core.media.moviewriter import exact_rate

    wait_calmly()
    console = Console(json=as_json)
    what = benchmarks_archive.ArchiveBench(
        source="" if source is None else absolute(source),
        frames=frames,
        crop=None if crop is None else parse_size("--crop", crop),
        scale=None if scale is None else parse_size("--scale", scale),
        fps=exact_rate(fps),
        codecs=_codecs(codecs),
        psnr_targets_db=_numbers("--psnr", psnr),
        crfs=tuple(round(value) for value in _numbers("--crf", crf, most=51)),
        presets=_presets(preset),
        at_db=_numbers("--at", at),
        limit_s=limit,
    )
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-") as name, console.progress() as view:
        folder = Path(name)
        if source is None:
            shown = frames or BUNDLED_FRAMES
            benchmarks.run(benchmarks.render_request(folder / "frames", model, shown), view.show)
            what = benchmarks_archive.from_folder(what, folder / "frames")
        found = benchmarks_archive.measure_archive(what, folder, view.show, console.note)
    if plot is not None:
        from mapreel.core.benchmarks_archive_chart import write_chart

        write_chart(plot, found)
    console.result({"machine": benchmarks.machine(), "archive": found}, archive_lines(found))


def _numbers(option: str, text: str, most: float = 100.0) -> tuple[float, ...]:
    """`27,30.5` as numbers, each once. Raises UsageError."""
    try:
        values = tuple(dict.fromkeys(float(word) for word in text.split(",")))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= most for value in values):
        raise UsageError(f"{option} is “{text[:100]}”", f"list numbers above 0 and up to {most:g}, with commas between")
    return values


def _codecs(text: str) -> tuple[str, ...]:
    from mapreel.core.benchmarks_archive_codecs import CONVENTIONAL, PROFILES

    known = (*PROFILES, *CONVENTIONAL)
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if not set(names) <= set(known):
        raise UsageError(f"--codecs is “{text[:100]}”", f"list some of {', '.join(known)}, with commas between")
    return names


def _presets(text: str) -> tuple[Preset, ...]:
    try:
        return tuple(dict.fromkeys(Preset(word.strip()) for word in text.split(",")))
    except ValueError as exc:
        raise UsageError(
            f"--preset is “{text[:100]}”", f"list some of {', '.join(Preset)}, with commas between"
        ) from exc


# --- as a table ----------------------------------------------------------------------------------------------------

_COLUMNS = (
    ("PSNR", "psnr_db", "{:.2f}"),
    ("bits/px", "bits_per_pixel", "{:.4f}"),
    ("bytes", "bytes", "{}"),
    ("encode f/s", "encode_frames_per_second", "{:.3g}"),
    ("decode f/s", "decode_frames_per_second", "{:.3g}"),
    ("encode MB", "encode_peak_mb", "{:.0f}"),
    ("decode MB", "decode_peak_mb", "{:.0f}"),
)


def archive_lines(found: dict[str, Any]) -> list[str]:
    """What `measure_archive` found, for people: points, then who takes how many bits of whom, then times."""
    clip, codecs = found["clip"], found["codecs"]
    lines = [f"{clip['frames']} frames of {clip['width']} x {clip['height']} px", ""]
    rows = [["codec", "setting", *(name for name, _, _ in _COLUMNS)]]
    for codec, figures in codecs.items():
        rows += [[codec, _setting(point), *_cells(point)] for point in figures.get("points", [])]
    lines += table(rows)
    for codec, figures in codecs.items():
        if "refused" in figures:
            lines.append(f"{codec}: {figures['refused']}")
        for point in figures.get("stopped", []):
            after = f"{point['encode_seconds']:.0f} s and {point['frames_done']} frames"
            lines.append(f"{codec} {_setting(point)}: given up after {after}")
    return [*lines, *_bits_lines(found), *_rate_lines(found), *_ratio_lines(found), *_cost_lines(found)]


def _setting(point: dict[str, Any]) -> str:
    return f"crf {point['crf']}" if "crf" in point else f"{point['preset']} {point['target_db']:g} dB"


def _cells(point: dict[str, Any]) -> list[str]:
    return ["-" if point[key] is None else form.format(point[key]) for _, key, form in _COLUMNS]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _bits_lines(found: dict[str, Any]) -> list[str]:
    """Bits per pixel at the PSNRs asked for."""
    places = list(next(iter(found["bits_at"].values()), {}))
    rows = [["bits/px at", *(f"{place} dB" for place in places)]]
    rows += [[codec, *(_shown(at[place], "{:.4f}") for place in places)] for codec, at in found["bits_at"].items()]
    return ["", *table(rows)] if len(rows) > 1 else []


def _rate_lines(found: dict[str, Any]) -> list[str]:
    names = [name for name in found["codecs"] if any(name in rates for rates in found["bd_rate"].values())]
    rows = [["BD-rate against", *names]]
    for codec, rates in found["bd_rate"].items():
        rows.append([codec, *(_shown(rates.get(name), "{:+.1%}") for name in names)])
    return ["", *table(rows)] if names else []


def _ratio_lines(found: dict[str, Any]) -> list[str]:
    rows = []
    for codec, points in found["ratios"].items():
        names = [name for name in points[0] if name not in {"psnr_db", "bits_per_pixel"}]
        rows += [[f"bits of {codec} at", *(f"/ {name}" for name in names)]]
        for point in points:
            rows.append([f"{point['psnr_db']:.2f} dB", *(_shown(point[name], "{:.2f}") for name in names)])
    return ["", *table(rows)] if rows else []


def _cost_lines(found: dict[str, Any]) -> list[str]:
    """What an iteration costs, and how much longer nirvana takes than reel to the same PSNR."""
    lines = []
    for codec, figures in found["codecs"].items():
        cost = figures.get("iteration")
        if cost:
            speed = f"{cost['ms']:.2f} ms, {cost['flop'] / 1e9:.2f} GFLOP"
            lines.append(f"an iteration of {codec} over {cost['pixels']} pixels: {speed}")
    for time in found["times"]:
        if time["ratio"] is not None:
            more = "more than " if time["at_least"] else ""
            seconds = f"nirvana {more}{time['nirvana']:.1f} s, reel {time['reel']:.1f} s"
            lines.append(f"encode to {time['target_db']:g} dB: {seconds}: {more}{time['ratio']:.1f} times")
    return ["", *lines] if lines else []
