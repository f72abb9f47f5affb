# SPDX-License-Identifier: GPL-3.0-or-later
"""The street of the demo, made again in real Blenders: the maps that ship, and the same in each version."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo"
COMMAND = DEMO / "street_scene.py"
VERSIONS = ("4.5", "5.0")
LIMIT_S = 120
SHIPPED = (2, 50)  # frames of seed 11 that are compared with the demo shot
# SHA-256 of the label ids (8 bits) and instance ids (16 bits, little end first) of frame 7 at 96x48 with one sample.
IDS_OF_SEED_3 = "c401d4b37ddda150cedaf4d20d053e0c6e6fbd1f932b394980949ec9d2a50557"
TYPES = {"label": OpenImageIO.UINT8, "instance": OpenImageIO.UINT16, "motion": OpenImageIO.HALF}


def call(program: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [*program, *arguments], env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.fixture(scope="module", params=VERSIONS)
def bpy_python(request: pytest.FixtureRequest) -> str:
    """An interpreter that has this Blender as a module."""
    folder = ROOT / f".venv-blender-{request.param}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists() or not list(folder.glob("**/site-packages/bpy")):
        pytest.skip(f"no Blender {request.param} as a module here: install.py test makes it")
    return str(python)


def pixels(path: Path) -> np.ndarray:
    """The pixels of a map, as its file has them."""
    picture = OpenImageIO.ImageBuf(str(path))
    found = np.asarray(picture.get_pixels(TYPES.get(path.parent.name, OpenImageIO.UINT8)))
    assert not picture.has_error, picture.geterror()
    return found


def test_the_maps_of_the_demo_are_made_again(bpy_python, tmp_path):
    first, second = SHIPPED
    frames = f"{first}-{second}x{second - first}"
    done = call([bpy_python, str(COMMAND)], str(tmp_path / "out ü"), "--frames", frames, "--labels-only")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^frame 50 \(2 of 2\): [0-9.]+ s$", done.stdout, re.MULTILINE)
    for kind, suffix in (("label", "png"), ("instance", "png"), ("motion", "exr")):
        for frame in SHIPPED:
            name = f"{kind}/{frame:04d}.{suffix}"
            made, shipped = pixels(tmp_path / "out ü" / name), pixels(DEMO / "street" / name)
            np.testing.assert_array_equal(made, shipped, err_msg=name)
    assert sorted(path.name for path in (tmp_path / "out ü").iterdir()) == [
        "instance",
        "label",
        "motion",
        "street.json",
    ]


def test_colour_ids_and_what_is_there_already(bpy_python, tmp_path):
    out = tmp_path / "out"
    said = [str(out), "--seed", "3", "--frames", "7", "--size", "96x48", "--samples", "1"]
    done = call([bpy_python, str(COMMAND)], *said)
    assert done.returncode == 0, done.stderr
    label, instance = pixels(out / "label/0007.png"), pixels(out / "instance/0007.png").astype("<u2")
    assert hashlib.sha256(label.tobytes() + instance.tobytes()).hexdigest() == IDS_OF_SEED_3
    colour = pixels(out / "color/0007.png")
    assert colour.shape == (48, 96, 3)
    assert len(np.unique(colour.reshape(-1, 3), axis=0)) > 500
    assert not re.search(rb"tEXt|iTXt|zTXt|tIME", (out / "color/0007.png").read_bytes())
    assert OpenImageIO.ImageBuf(str(out / "motion/0007.exr")).spec().channelnames == ("motion.X", "motion.Y")
    assert np.abs(pixels(out / "motion/0007.exr").astype(float)).max() > 1

    again = call([bpy_python, str(COMMAND)], *said)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "color/0007.png is there already; add --resume" in again.stderr.replace("\\", "/")
    resumed = call([bpy_python, str(COMMAND)], *said, "--resume")
    assert (resumed.returncode, resumed.stdout.strip()) == (0, f"{out}: 0 frames rendered, 1 kept")
    other = call([bpy_python, str(COMMAND)], *said, "--resume", "--seed", "4")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "other settings; name another OUT" in other.stderr


def test_a_folder_that_cannot_be_is_named(bpy_python, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    done = call([bpy_python, str(COMMAND)], str(tmp_path / "file" / "out"), "--frames", "1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"cannot write {tmp_path / 'file'}" in done.stderr
    assert "name an OUT" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "the following arguments are required: OUT"),
        (["out", "--colour"], 2, "unrecognized arguments: --colour; --help lists"),
        (["out", "--frames", "9-1"], 2, "--frames 9-1 is no range upwards within 1-1199"),
        (["out", "--frames", "1,2"], 2, "--frames 1,2 is no range; write 5, 1-96 or 1-96x8"),
        (["out", "--frames", "1-9x0"], 2, "--frames 1-9x0 is no range"),
        (["out", "--size", "512"], 2, "--size 512 is no size; write WIDTHxHEIGHT"),
        (["out", "--seed", "-1"], 2, "--seed -1 is no whole number from 0"),
        (["out", "--samples", "0"], 2, "--samples 0 is no whole number from 1"),
        (["out"], 1, "this Python has no bpy; use one that has"),
    ],
)
def test_bad_input_ends_with_a_sentence(arguments, code, sentence):
    done = call([sys.executable, "-S", str(COMMAND)], *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert done.stderr.startswith(f"street_scene.py: {sentence}")


def test_inside_blender_arguments_follow_two_dashes(tmp_path):
    blender = shutil.which("blender")
    if blender is None:
        pytest.skip("no Blender with its own executable here")
    done = call([blender, "-b", "--python", str(COMMAND)], "--", str(tmp_path / "out"), "--frames", "1q")
    assert done.returncode == 2
    assert "street_scene.py: --frames 1q is no range" in done.stderr


@pytest.fixture(scope="module")
def picture_files() -> Any:
    """The module that reads and writes pictures, which needs no Blender."""
    spec = importlib.util.spec_from_file_location("picture_files", DEMO / "street_parts" / "picture_files.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [(1, 1), (16, 5), (37, 33)])
@pytest.mark.parametrize("noise", [True, False])
def test_pictures_are_read_by_others_as_they_were(picture_files, tmp_path, size, noise):
    chance = np.random.default_rng(1)
    halves = {name: chance.normal(0, 9 if noise else 0, size).astype(np.float16) for name in ("motion.X", "motion.Y")}
    for kind, data, suffix in (
        ("label", chance.integers(0, 255, size).astype(np.uint8), "png"),
        ("instance", chance.integers(0, 65535, size).astype(np.uint16), "png"),
        ("motion", np.stack([halves["motion.X"], halves["motion.Y"]], axis=-1), "exr"),
    ):
        (tmp_path / kind).mkdir()
        path = tmp_path / kind / f"1.{suffix}"
        write = picture_files.png_of_ids if suffix == "png" else lambda _: picture_files.exr_of_halves(halves)
        path.write_bytes(write(data))
        np.testing.assert_array_equal(pixels(path).reshape(data.shape), data)


def test_passes_are_read_as_others_wrote_them(picture_files, tmp_path):
    values = np.random.default_rng(2).normal(0, 3, (21, 13, 3)).astype(np.float32)
    spec = OpenImageIO.ImageSpec(13, 21, 3, "float")
    spec.channelnames = ("View.Vector.X", "View.Vector.Y", "View.Index.X")
    for compression in ("none", "zip"):
        spec.attribute("compression", compression)
        picture = OpenImageIO.ImageBuf(spec)
        assert picture.set_pixels(OpenImageIO.ROI(), values)
        assert picture.write(str(tmp_path / f"{compression}.exr"))
    found = picture_files.read_exr_floats(tmp_path / "none.exr")
    for at, name in enumerate(spec.channelnames):
        np.testing.assert_array_equal(found[name], values[..., at])
    with pytest.raises(ValueError, match=r"zip\.exr is compressed"):
        picture_files.read_exr_floats(tmp_path / "zip.exr")
    cut = (tmp_path / "none.exr").read_bytes()[:-40]
    (tmp_path / "cut.exr").write_bytes(cut)
    with pytest.raises(ValueError, match="buffer"):
        picture_files.read_exr_floats(tmp_path / "cut.exr")
