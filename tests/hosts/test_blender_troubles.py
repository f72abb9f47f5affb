# SPDX-License-Identifier: GPL-3.0-or-later
"""How the extension holds where something is missing, locked, old or moved: one sentence each, nothing lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import OpenImageIO
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo" / "street"
SIZE = (128, 64)
WANTED = {
    "unsaved maps": "//maps/label is relative to a file that was never saved; save the file",
    "unsaved out": "no out chosen",
    "unsaved draft": "is relative to a file that was never saved; save the file",
    "unsaved from scene": "is relative to a file that was never saved; save the file",
    "unsaved beauty": "//beauty is relative to a file that was never saved; save the file",
    "unsaved archive": "is relative to a file that was never saved; save the file",
    "unsaved operator": "no out chosen",
    "unsaved operator maps": "is relative to a file that was never saved; save the file",
    "locked render": "LOCKED",
    "locked draft": "LOCKED",
    "locked from scene": "LOCKED",
    "locked beauty": "LOCKED",
    "locked archive": "LOCKED",
    "missing folder": "no maps",
    "missing maps": "no file matches",
    "missing draft": "no file matches",
    "range": "GapError",
    "range draft": "900",
    "no model": "nobody trained this",
    "camera maps": "the scene Scene has no camera; add one",
    "camera beauty": "the scene Scene has no camera; add one",
    "camera operator": "the scene Scene has no camera; add one",
}


@pytest.fixture
def labels(tmp_path: Path) -> str:
    """Label maps of a corner of the demo, two frames."""
    folder = tmp_path / "label"
    folder.mkdir()
    for number in (1, 2):
        whole = OpenImageIO.ImageBuf(str(DEMO / "label" / f"{number:04d}.png"))
        corner = OpenImageIO.ImageBufAlgo.cut(whole, OpenImageIO.ROI(128, 256, 128, 192))
        assert corner.write(str(folder / f"{number:04d}.png"))
    return str(folder)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write into, not even root."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        folder = Path("/sys/kernel")
    if not folder.is_dir():
        pytest.skip("no folder here that is closed to root")
    yield folder
    (tmp_path / "locked").chmod(0o755)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk than the temporary ones."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one disk only here")
    folder = Path(tempfile.mkdtemp(prefix="mapreel-", dir=memory))
    yield folder
    shutil.rmtree(folder)


def pixels(path: str | Path) -> np.ndarray:
    """The pixels of a picture. [H, W, 3] uint8."""
    return np.asarray(OpenImageIO.ImageBuf(str(path)).get_pixels(OpenImageIO.UINT8))[..., :3]


def test_each_trouble_is_one_sentence(blender: Any, labels: str, locked: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    said = blender("troubles", labels=labels, locked=str(locked))
    assert set(said["said"]) == set(WANTED)
    for case, sentence in said["said"].items():
        wanted = WANTED[case].replace("LOCKED", str(locked))
        assert wanted in sentence, (case, sentence)
        assert "Traceback" not in sentence, (case, sentence)
        assert len(sentence.strip().splitlines()) == 1, (case, sentence)
        assert not sentence.startswith(("OSError", "PermissionError", "FileNotFoundError")), (case, sentence)
    assert said["kept"]
    left = set(said["left"]) - before - {"given.json", "blender", "state"}
    assert {name.partition("_v")[0] for name in left} <= {"take"}  # of jobs that failed and may be tried again
    assert not [path for name in left for path in (tmp_path / name).iterdir()]
    assert said["settings"] == labels


def test_a_shot_that_moves_to_another_disk(blender: Any, labels: str, other_disk: Path) -> None:
    said = blender("moved", labels=labels, other_disk=str(other_disk), size=SIZE)
    assert said["old_is_gone"]
    assert said["taken"] == "//mapreel/take"
    new = Path(said["new"])
    assert np.array_equal(pixels(said["before"]), pixels(new / "mapreel" / "take" / "0002.png"))
    assert np.array_equal(pixels(said["after"]), pixels(said["before"]))
    assert Path(said["directory"]) == new / "mapreel" / "take"
    assert Path(said["second"]) == new / "mapreel" / "take_v002"
    assert Path(said["archive"]) == new / "mapreel" / "shot.nirv"
    assert pixels(said["draft"]).shape == (SIZE[1], SIZE[0], 3)
