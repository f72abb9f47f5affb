# SPDX-License-Identifier: GPL-3.0-or-later
"""`mapreel bench`: the figures of docs/benchmarks.md, measured anew on this machine, in this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from mapreel.core.commands.bench_archive import archive
from mapreel.core.commands.bench_draft import draft
from mapreel.core.commands.bench_tables import comparison_lines
from mapreel.core.commands.console import Console, table
from mapreel.core.commands.options import Frames, Json
from mapreel.core.contract.errors import UsageError
from mapreel.core.vid2vid.evaluate_conditions import Condition

app = typer.Typer(no_args_is_help=True, help="Measure speed and quality on this machine.")
app.command()(archive)
app.command()(draft)

MEMORY_FRAMES = (96, 960)
CONDITIONS = "maps,motion,frames"

Model = Annotated[str, typer.Option(metavar="NAME|DIR", help="Which model.")]


@app.command()
def render(
    model: Model = "street",
    frames: Frames = None,
    shot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A shot with color/, label/, instance/, motion/: compare with its frames."),
    ] = None,
    lpips: Annotated[Path | None, typer.Option(metavar="FILE", help="LPIPS-SqueezeNet weights, with --shot.")] = None,
    teacher: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --shot: a teacher's model, to render beside ours.")
    ] = None,
    kid_weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --shot: EfficientNet-Lite0 weights, for KID.")
    ] = None,
    segmenter: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --shot: what `bench segmenter` made, for mIoU.")
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="With --shot: of maps,motion,frames,motion+frames; else the first three."),
    ] = None,
    every: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="With --shot: score every Nth frame, from the third on.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --shot: write contact sheets and flicker strips.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only fast quality from maps to frames in cuda, cuda:0, cpu.")
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Also peak memory of 96 and of 960 frames (takes long).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Speed of rendering; with --shot, cost and quality as well."""
    _check(
        shot,
        {
            "--lpips": lpips,
            "--teacher": teacher,
            "--kid-weights": kid_weights,
            "--segmenter": segmenter,
            "--pictures": pictures,
            "--conditions": conditions,
            "--every": every,
        },
        frames,
    )
    known = _conditions(conditions or CONDITIONS)
    if device is not None and (lpips is not None or memory):
        raise UsageError("--device measures one figure alone", "leave out --shot, --lpips and --memory")
    from mapreel.core import benchmarks
    from mapreel.core.local import wait_calmly
    from mapreel.core.vid2vid.models import find_model

    wait_calmly()
    find_model(model)
    if teacher is not None:
        find_model(str(teacher))
    console = Console(json=as_json)
    data: dict[str, Any] = {"machine": benchmarks.machine(), "model": model}
    with tempfile.TemporaryDirectory(prefix="mapreel-bench-") as name, console.progress() as view:
        folder = Path(name)
        if device is not None:
            from mapreel.core.vid2vid.evaluate_device import measure_device

            request = benchmarks.render_request(folder / "none", model, frames)
            data["device_to_device"] = measure_device(request, device)
        elif shot is None or lpips is None:
            data["render"] = benchmarks.measure_render(folder, model, frames, view.show)
        else:
            from mapreel.core.vid2vid.evaluate_comparison import Comparison

            what = Comparison(
                model=model,
                shot=shot,
                lpips=lpips,
                teacher=teacher,
                kid=kid_weights,
                segmenter=segmenter,
                conditions=known,
                every=every or 1,
                pictures=pictures,
            )
            data["comparison"] = benchmarks.measure_comparison(what, folder, view.show, console.note)
        if memory:
            console.note("measuring peak memory")
            data["peak_memory_mb"] = benchmarks.measure_memory(folder, model, MEMORY_FRAMES)
    compared = ["", *comparison_lines(data["comparison"])] if "comparison" in data else []
    plain = {key: value for key, value in data.items() if key != "comparison"}
    console.result(data, [*_lines(plain), *compared])


def _check(shot: Path | None, beside: dict[str, Path | str | int | None], frames: str | None) -> None:
    """Raises UsageError when options do not go together."""
    if (shot is None) != (beside["--lpips"] is None):
        raise UsageError("--shot and --lpips go together", "give both or neither")
    if shot is not None and frames is not None:
        raise UsageError("a shot is compared as a whole", "leave out --frames, or score fewer frames with --every")
    alone = [option for option, value in beside.items() if value is not None]
    if shot is None and alone:
        raise UsageError(f"{alone[0]} needs a shot with true frames", "add --shot and --lpips")


def _conditions(text: str) -> tuple[Condition, ...]:
    """Raises UsageError for a word that is no condition."""
    try:
        return tuple(dict.fromkeys(Condition(word.strip()) for word in text.split(",")))
    except ValueError as exc:
        raise UsageError(
            f"--conditions is “{text[:100]}”", f"list some of {', '.join(Condition)}, with commas between"
        ) from exc


@app.command()
def segmenter(
    shots: Annotated[list[Path], typer.Argument(metavar="SHOT...", help="Training shots with color/ and label/.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the weights go (safetensors).")],
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Steps to learn.")] = 1500,
    as_json: Json = False,
) -> None:
    """Train what reads label maps out of pictures, for the mIoU."""
    from mapreel.core.contract.progress import Progress
    from mapreel.core.local import wait_calmly

    wait_calmly()
    from mapreel.core.vid2vid.evaluate_segmenter import save_segmenter, train_segmenter

    console = Console(json=as_json)
    with console.progress() as view:
        network = train_segmenter(shots, steps, report=lambda done: view.show(Progress(done, steps, "train")))
    save_segmenter(out, network)
    data = {"segmenter": str(out), "steps": steps, "classes": list(network.ids)}
    console.result(data, _lines(data))


def _lines(data: dict[str, Any]) -> list[str]:
    """Every figure as `render full frames_per_second  3.21`."""
    return table(list(_rows("", data)))


def _rows(name: str, value: Any) -> list[list[str]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _rows(f"{name} {key}".strip(), inner)]
    return [[name, f"{value:.4g}" if isinstance(value, float) else str(value)]]
