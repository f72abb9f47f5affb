# SPDX-License-Identifier: GPL-3.0-or-later
"""What `bench render` measures, on the small drawn street with a tiny network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import InputError
from mapreel.core.contract.requests import Quality
from mapreel.core.media.images import read_color
from mapreel.core.quality import LpipsSqueeze
from mapreel.core.quality_kid import EfficientNetLite0
from mapreel.core.vid2vid import evaluate_comparison
from mapreel.core.vid2vid.checkpoint import load_model
from mapreel.core.vid2vid.evaluate_comparison import PAPER_STUDENT, PAPER_TEACHER, Comparison, compare
from mapreel.core.vid2vid.evaluate_conditions import Condition
from mapreel.core.vid2vid.evaluate_inbetweens import compare_in_betweens
from mapreel.core.vid2vid.evaluate_scores import Judges, open_truth, score
from mapreel.core.vid2vid.evaluate_segmenter import Segmenter
from mapreel.core.vid2vid.evaluate_takes import PAPER_KEYS, Contender, contenders, render_take, request_for
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import SAMPLES, Looks
from mapreel.core.vid2vid.models import MODEL_FILE
from mapreel.core.vid2vid.paper_config import PaperConfig
from mapreel.core.vid2vid.paper_network import CompositeGenerator
from mapreel.core.vid2vid.shot import open_shot
from mapreel.core.vid2vid.teacher_model import save_teacher

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
LPIPS = SHARED / "networks" / "lpips_squeeze.safetensors"
FRAMES = 10


def silent(*_: object) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def judges() -> Judges:
    """Networks of the real classes; what random ones say of equal and of unequal pictures is known all the same."""
    torch.manual_seed(0)
    lpips = LpipsSqueeze()
    with torch.no_grad():
        for head in lpips.heads:
            head.fill_(1.0)
    features = EfficientNetLite0().train()
    for module in features.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # one batch is enough for norms that keep random features alive
    with torch.no_grad():
        features(torch.rand(2, 3, 48, 80))
    return Judges(lpips.eval(), features.eval(), Segmenter((0, 1, 5, 9)).eval())


@pytest.fixture
def short(maps, tmp_path) -> Path:
    return maps(tmp_path / "short", range(1001, 1001 + FRAMES), color=True)


@pytest.fixture
def teacher(tmp_path) -> Path:
    torch.manual_seed(2)
    config = PaperConfig(width=80, height=48, classes=4, edges=True, ngf=2)
    table = ClassTable((0, 1, 5, 9), ("sky", "road", "car", "person"))
    made = CompositeGenerator(config)
    looks = Looks(np.zeros((4, 3), np.float32), np.zeros((4, SAMPLES, 3), np.float32), np.zeros(4, np.int32))
    (tmp_path / "teacher").mkdir()
    file = tmp_path / "teacher" / MODEL_FILE
    save_teacher(file, name="old", generator=made, table=table, looks=looks, licence="CC0-1.0", story={})
    return tmp_path / "teacher"


def test_true_frames_score_best(short, judges):
    numbers = tuple(range(1001, 1001 + FRAMES))
    truth = open_truth(short, numbers, every=3)
    assert truth.scored == (1003, 1006, 1009)

    def blurred(number: int) -> np.ndarray:
        return cv2.GaussianBlur(truth.color.read(number), (0, 0), 2).astype(np.uint8)

    found = score(truth, {"same": truth.color.read, "blurred": blurred}, judges)
    same, soft, true = found["same"], found["blurred"], found["truth"]
    assert same["psnr_db"] == 100.0
    assert same["lpips"] == pytest.approx(0.0, abs=1e-5)
    assert same["sharpness"] == 1.0
    assert same["warping_error"] == true["warping_error"]
    assert same["miou"] == true["miou"]
    assert "kid" not in true
    assert soft["psnr_db"] < 40
    assert soft["lpips"] > same["lpips"]
    assert soft["sharpness"] < 0.8
    assert soft["kid"] > same["kid"]


def test_too_short_a_shot(short):
    with pytest.raises(InputError, match="score"):
        open_truth(short, (1001, 1002, 1003), every=1)
    with pytest.raises(InputError, match="every"):
        open_truth(short, tuple(range(1001, 1011)), every=8)


def test_conditions(short, model, tmp_path):
    ours = contenders(str(model), None)
    assert [one.quality for one in ours] == [Quality.FULL, Quality.FAST, Quality.DRAFT, Quality.FAST]
    assert [request_for(one, short, Condition.MAPS, tmp_path / "out").keys.value for one in ours] == [
        *["adaptive"] * 3,
        "paper",
    ]
    assert contenders(str(model), tmp_path)[0] == Contender("teacher", str(tmp_path), Quality.TEACHER)
    requests = {known: request_for(ours[1], short, known, tmp_path / "out") for known in Condition}
    assert all(request.instances for request in requests.values())
    assert {known for known, request in requests.items() if request.motion} == {Condition.MOTION, Condition.BOTH}
    given = {known for known, request in requests.items() if request.reference}
    assert given == {Condition.FRAMES, Condition.BOTH}
    assert [number for number, _ in requests[Condition.FRAMES].reference] == [1001, 1002]
    with pytest.raises(InputError, match="instance"):
        request_for(ours[0], tmp_path, Condition.MAPS, tmp_path / "out")


def test_a_take_knows_its_keys_and_times(short, model, judges, tmp_path):
    fast = contenders(str(model), None)[1]
    take = render_take(fast, short, Condition.FRAMES, tmp_path / "take", silent)
    assert take.frames.numbers == tuple(range(1001, 1001 + FRAMES))
    assert {1001, 1002, 1010} <= set(take.keys)
    assert take.runs == len(take.keys) - 2  # the given frames cost nothing
    assert take.figures["key_share"] == pytest.approx(take.runs / FRAMES)
    assert take.figures["frames_per_second"] > 0
    assert 0 <= take.figures["p50_ms"] <= take.figures["p99_ms"]
    picture_of = take.pictures()
    assert np.array_equal(picture_of(1002), read_color(short / "color" / "1002.png"))
    truth = open_truth(short, take.frames.numbers, every=1)
    shot = open_shot(load_model(str(model)), request_for(fast, short, Condition.FRAMES, tmp_path / "take"))
    found = compare_in_betweens(truth, take, picture_of, judges, 1, shot)
    assert found is not None
    assert found["frames"] == FRAMES - len(take.keys)
    carried = found["true_keys"]
    for one in (found, carried):
        assert one["lower_by"] == pytest.approx(1 - one["lpips"] / one["lpips_minterpolate"])
    assert carried["lpips"] < found["lpips"]  # true keys, and a network that learnt nothing
    every_frame = render_take(contenders(str(model), None)[0], short, Condition.MAPS, tmp_path / "full", silent)
    assert every_frame.runs == FRAMES
    assert compare_in_betweens(truth, every_frame, every_frame.pictures(), judges, 1, shot) is None


def test_side_by_side(short, model, teacher, judges, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_comparison, "load_judges", lambda *_: judges)
    what = Comparison(
        model=str(model),
        shot=short,
        lpips=tmp_path / "not read",
        teacher=teacher,
        conditions=(Condition.MOTION,),
        every=4,
        pictures=tmp_path / "pictures",
    )
    found = compare(what, tmp_path / "takes", silent, silent)
    assert found["shot"] == {"frames": FRAMES, "scored": 2, "every": 4}
    networks, figures = found["networks"], found["conditions"]["motion"]
    assert networks[PAPER_TEACHER]["true_gmacs_key_frame"] == pytest.approx(1058, rel=0.01)
    assert networks[PAPER_TEACHER]["thop_gmacs_key_frame"] == pytest.approx(1254, rel=0.01)
    assert networks[PAPER_STUDENT]["true_gmacs_key_frame"] == pytest.approx(259, rel=0.01)
    assert networks["fast"]["network_frames_per_second"] > 0
    assert networks["teacher"]["parameters_m"] < networks[PAPER_TEACHER]["parameters_m"]
    assert figures["fast"]["lpips_over_teacher"] == figures["fast"]["lpips"] / figures["teacher"]["lpips"]
    assert figures["teacher"]["key_share"] == 1.0
    for name in ("teacher", "full", "fast", "draft", PAPER_KEYS):
        assert {"psnr_db", "lpips", "kid", "sharpness", "miou", "warping_error", "p99_ms"} <= figures[name].keys()
        over = figures[name]["lpips"] / figures["paint"]["lpips"]
        assert figures[name]["lpips_over_paint"] == pytest.approx(over)
    mean, key = figures["full"]["true_gmacs_mean_frame"], networks["full"]["true_gmacs_key_frame"]
    assert mean == pytest.approx(key)
    assert figures["fast"]["true_gmacs_mean_frame"] < key
    assert figures[PAPER_STUDENT]["key_share"] == figures["fast"]["key_share"]
    assert figures["pictures"]["order"] == ["teacher", "full", "fast", "draft", PAPER_KEYS, "truth"]
    for file in figures["pictures"]["files"]:
        assert read_color(tmp_path / "pictures" / file).size
    from mapreel.core.commands.bench_tables import comparison_lines

    lines = comparison_lines(found)
    assert lines[0].startswith("2 of 10 frames")
    assert any(line.startswith("[labels, instances and motion]") for line in lines)
    assert any("minterpolate" in line or "no in-betweens" in line for line in lines)


@pytest.mark.skipif(not LPIPS.is_file(), reason="the shared networks are not here")
def test_yardsticks_of_the_street(tmp_path):
    """LPIPS of class-mean paint and of an old frame on every eighth frame from the third: known figures."""
    from mapreel.core.quality import lpips_squeeze
    from mapreel.core.vid2vid.evaluate_comparison import paint

    shot = SHARED / "street" / "test"
    truth = open_truth(shot, tuple(range(1, 97)), every=24)
    assert truth.scored == (3, 27, 51, 75)
    judges = Judges(lpips_squeeze(LPIPS))
    painted = paint("street", shot)

    def old(number: int) -> np.ndarray:
        return truth.color.read(max(1, number - 4))

    found = score(truth, {"paint": painted, "old": old}, judges)
    assert found["paint"]["lpips"] == pytest.approx(0.327, abs=0.02)
    assert found["old"]["lpips"] == pytest.approx(0.176, abs=0.03)
