# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench`: the figures of docs/benchmarks.md, measured anew on this machine, in this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.bench_draft import draft
from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Frames, Json
from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import Preset

app = typer.Typer(no_args_is_help=True, help="Measure speed and quality on this machine.")
app.command()(draft)

MEMORY_FRAMES = (96, 960)
ARCHIVE_FRAMES = "1-24"  # as the demo does

Model = Annotated[str, typer.Option(metavar="NAME|DIR", help="Which model.")]


@app.command()
def render(
    model: Model = "street",
    frames: Frames = None,
    shot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A shot with color/, label/ …: also measure LPIPS on it.")
    ] = None,
    lpips: Annotated[Path | None, typer.Option(metavar="FILE", help="LPIPS-SqueezeNet weights, with --shot.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --shot: write a contact sheet and a flicker strip.")
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Also peak memory of 96 and of 960 frames (takes long).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Frames a second of the bundled shot in full and fast quality."""
    if (shot is None) != (lpips is None):
        raise UsageError("--shot and --lpips go together", "give both or neither")
    if pictures is not None and shot is None:
        raise UsageError("--pictures needs a shot with true frames", "add --shot and --lpips")
    from mapreel.core import benchmarks
    from mapreel.core.local import wait_calmly
    from mapreel.core.vid2vid.models import find_model

    wait_calmly()
    find_model(model)
    console = Console(json=as_json)
    data: dict[str, Any] = {"machine": benchmarks.machine(), "model": model}
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-") as name:
        with console.progress() as view:
            data["render"] = benchmarks.measure_render(Path(name), model, frames, view.show)
        if shot is not None and lpips is not None:
            console.note("comparing with the true frames")
            data["lpips"] = benchmarks.measure_lpips(model, shot, lpips, pictures)
        if memory:
            console.note("measuring peak memory")
            data["peak_memory_mb"] = benchmarks.measure_memory(Path(name), model, MEMORY_FRAMES)
    console.result(data, _lines(data))


@app.command()
def archive(
    source: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Colour frames; else the bundled shot, rendered, 1-24.")
    ] = None,
    model: Model = "street",
    frames: Frames = None,
    preset: Annotated[Preset, typer.Option(help="How long the encode may take.")] = Preset.DRAFT,
    as_json: Json = False,
) -> None:
    """PSNR, bits per pixel and seconds of an archive."""
    from mapreel.core import benchmarks
    from mapreel.core.local import wait_calmly

    wait_calmly()
    console = Console(json=as_json)
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-") as name, console.progress() as view:
        folder = Path(name)
        shot = source
        if shot is None:
            frames = frames or ARCHIVE_FRAMES
            request = benchmarks.render_request(folder / "frames", model, frames)
            benchmarks.run(request, view.show)
            shot = folder / "frames"
        figures = benchmarks.measure_archive(folder, shot.absolute(), frames, preset, view.show)
    data = {"machine": benchmarks.machine(), "preset": preset.value, "archive": figures}
    console.result(data, _lines(data))


def _lines(data: dict[str, Any]) -> list[str]:
    """Every figure as `render full frames_per_second  3.21`."""
    return table(list(_rows("", data)))


def _rows(name: str, value: Any) -> list[list[str]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _rows(f"{name} {key}".strip(), inner)]
    return [[name, f"{value:.4g}" if isinstance(value, float) else str(value)]]
