# SPDX-License-Identifier: GPL-3.0-or-later
"""What `mapreel bench render` measures on a shot with true frames: who renders, under which condition, how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.progress import Progress
from mapreel.core.media.sequence import MapKind, open_maps
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.evaluate_conditions import Condition
from mapreel.core.vid2vid.evaluate_inbetweens import compare_in_betweens
from mapreel.core.vid2vid.evaluate_pictures import write_pictures
from mapreel.core.vid2vid.evaluate_scores import Judges, TrueShot, load_judges, open_truth, score
from mapreel.core.vid2vid.evaluate_takes import (
    Contender,
    Pictures,
    Take,
    contenders,
    cost,
    kept,
    network_seconds,
    render_take,
    request_for,
)
from mapreel.core.vid2vid.macs import Macs, count_composite
from mapreel.core.vid2vid.paper_config import PRESETS
from mapreel.core.vid2vid.shot import Shot, open_shot

PAPER_TEACHER, PAPER_STUDENT = "paper's teacher", "paper's student"
IN_BETWEENS_OF = "fast"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared on what.

    Attributes:
        model: ours, by name or folder.
        shot: folder with color/, label/, instance/ and motion/.
        teacher: folder of a teacher's model.
        lpips, kid, segmenter: weights of the judges; kid and segmenter may be left out, and so are their figures.
        conditions: what is known beside labels and instances.
        every: score every so many frames only.
        pictures: folder for contact sheets and strips.
    """

    model: str
    shot: Path
    lpips: Path
    teacher: Path | None = None
    kid: Path | None = None
    segmenter: Path | None = None
    conditions: tuple[Condition, ...] = (Condition.MAPS, Condition.MOTION, Condition.FRAMES)
    every: int = 1
    pictures: Path | None = None


def compare(
    what: Comparison, folder: Path, show: Callable[[Progress], None], note: Callable[[str], None]
) -> dict[str, Any]:
    """Render and score; takes are left in `folder`.

    Returns:
        shot (frames, scored), networks (cost of a frame that the network makes), conditions (figures of each contender,
        of class-mean `paint` and of the `truth`, and `in_betweens`).

    Raises:
        MapreelError: what renders, readers and judges raise.
    """
    judges = load_judges(what.lpips, what.kid, what.segmenter)
    numbers = find_sequence(what.shot / "label").numbers
    truth = open_truth(what.shot, numbers, what.every)
    rivals = contenders(what.model, what.teacher)
    note("counting and timing the networks")
    networks = _networks(rivals, truth.color.size)
    conditions: dict[str, Any] = {}
    made: dict[tuple[str, bool, bool], Take] = {}
    for condition in what.conditions:
        takes = {}
        for rival in rivals:
            # the paper's network reads no motion: with it and without it the frames are the same
            told = (rival.name, condition.has_frames, condition.has_motion and not rival.is_teacher)
            if told not in made:
                note(f"{condition.value}: {rival.name} renders")
                made[told] = render_take(rival, what.shot, condition, folder / f"{condition.value}-{rival.name}", show)
            takes[rival.name] = made[told]
        conditions[condition.value] = _under(condition, what, takes, networks, truth, judges, note)
    story = {"frames": len(numbers), "scored": len(truth.scored), "every": what.every}
    return {"shot": story, "networks": {n: f for n, (_, f) in networks.items()}, "conditions": conditions}


def _networks(rivals: tuple[Contender, ...], size_px: tuple[int, int]) -> dict[str, tuple[Macs, dict[str, float]]]:
    """Cost of one frame that a network makes: the paper's counted at its own size, the others also timed."""
    city = PRESETS["city"]
    found = {}
    for name, config in ((PAPER_TEACHER, city), (PAPER_STUDENT, city.as_student())):
        macs = count_composite(config)
        found[name] = (macs, _cost_figures(macs))
    for rival in rivals:
        macs, seconds = cost(rival, size_px), network_seconds(rival, size_px)
        found[rival.name] = (macs, {**_cost_figures(macs), "network_frames_per_second": 1 / seconds})
    return found


def _cost_figures(macs: Macs) -> dict[str, float]:
    return {
        "parameters_m": macs.parameters / 1e6,
        "true_gmacs_key_frame": macs.true / 1e9,
        "thop_gmacs_key_frame": macs.thop / 1e9,
    }


def _under(
    condition: Condition,
    what: Comparison,
    takes: dict[str, Take],
    networks: Mapping[str, tuple[Macs, dict[str, float]]],
    truth: TrueShot,
    judges: Judges,
    note: Callable[[str], None],
) -> dict[str, Any]:
    sequences = {name: take.pictures() for name, take in takes.items()}
    note(f"{condition.value}: scoring {len(truth.scored)} frames")
    scores = score(truth, {"paint": paint(what.model, what.shot), **sequences}, judges)
    found: dict[str, Any] = {name: dict(figures) for name, figures in scores.items()}
    for name, take in takes.items():
        found[name] |= {**take.figures, **_mean_cost(networks[name][0], take, networks), **_over(scores, name)}
    found |= _paper_means(networks, takes[IN_BETWEENS_OF])
    note(f"{condition.value}: in-betweens by minterpolate")
    fast = takes[IN_BETWEENS_OF]
    shot = _maps_of(condition, what)
    found["in_betweens"] = compare_in_betweens(truth, fast, sequences[IN_BETWEENS_OF], judges, what.every, shot)
    if what.pictures is not None:
        shown = {**sequences, "truth": kept(truth.color.read)}
        files = write_pictures(what.pictures, condition.value, truth.color.numbers, shown)
        found["pictures"] = {"files": files, "order": list(shown)}
    return found


def _maps_of(condition: Condition, what: Comparison) -> Shot:
    """What the renderer knows of the shot."""
    ours = next(one for one in contenders(what.model, None) if one.name == IN_BETWEENS_OF)
    return open_shot(load_model(what.model), request_for(ours, what.shot, condition, what.shot / "not-written"))


def _mean_cost(macs: Macs, take: Take, networks: Mapping[str, tuple[Macs, dict[str, float]]]) -> dict[str, float]:
    """Multiply-accumulates of a mean frame, and how many times as many the paper's teacher takes."""
    share = take.runs / len(take.frames.numbers)
    teacher = networks[PAPER_TEACHER][0]
    return {
        "true_gmacs_mean_frame": macs.true * share / 1e9,
        "thop_gmacs_mean_frame": macs.thop * share / 1e9,
        "teacher_over_this": teacher.true / (macs.true * share),
    }


def _paper_means(networks: Mapping[str, tuple[Macs, dict[str, float]]], fast: Take) -> dict[str, dict[str, float]]:
    """The paper's networks are counted only; its student is given as many key frames as ours took."""
    share = fast.figures["key_share"]
    teacher, student = networks[PAPER_TEACHER][0], networks[PAPER_STUDENT][0]
    shares = ((PAPER_TEACHER, teacher, 1.0), (PAPER_STUDENT, student, share))
    return {
        name: {
            "key_share": part,
            "true_gmacs_mean_frame": macs.true * part / 1e9,
            "thop_gmacs_mean_frame": macs.thop * part / 1e9,
            "teacher_over_this": teacher.true / (macs.true * part),
        }
        for name, macs, part in shares
    }


def _over(scores: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float]:
    """Ratios that stay comparable from shot to shot."""
    found = {"lpips_over_paint": scores[name]["lpips"] / scores["paint"]["lpips"]}
    if name != "teacher" and "teacher" in scores:
        for figure in ("lpips", "kid", "warping_error", "sharpness"):
            if scores["teacher"].get(figure, 0.0) > 0 and scores[name][figure] > 0:  # an unbiased KID may be below 0
                found[f"{figure}_over_teacher"] = scores[name][figure] / scores["teacher"][figure]
    return found


def paint(model: str, shot: Path) -> Pictures:
    """Every class in its mean training colour: the yardstick of a renderer that knows nothing else."""
    known = load_model(model)
    labels = open_maps(shot / "label", MapKind.LABEL)

    def painted(number: int) -> Any:
        classes = known.table.indices(labels.read(number), file=str(labels.path(number)), frame=number)
        return np.rint(known.looks.mean[classes] * 255.0).astype(np.uint8)

    return kept(painted)
