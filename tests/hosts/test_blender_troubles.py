# SPDX-License-Identifier: GPL-3.0-or-later
"""How the extension holds where something is missing, locked, old or moved: one sentence each, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import OpenImageIO
import pytest

from mapreel.core.contract.proof import service_proof
from mapreel.core.contract.state_folder import ENDPOINT_FORMAT, PROTOCOL, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo" / "street"
SIZE = (128, 64)
TOKEN = "0123456789abcdef" * 4
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


class _Older(BaseHTTPRequestHandler):
    """A service that proves itself, and speaks a protocol of yesterday."""

    def do_GET(self) -> None:
        nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
        proof = service_proof(TOKEN, nonce, self.server.server_address[1])
        words = json.dumps({"proof": proof, "protocol": PROTOCOL - 1}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        """Not a word."""


@pytest.fixture
def older_worker(own_state: Path) -> Iterator[int]:
    """An older service runs for the state folder of the tests; gives its protocol."""
    state = state_folder(own_state)
    state.root.mkdir(mode=0o700)
    state.token.write_text(TOKEN)
    state.token.chmod(0o600)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Older)
    known = {"format": ENDPOINT_FORMAT, "port": server.server_address[1], "pid": os.getpid(), "protocol": PROTOCOL - 1}
    state.endpoint.write_text(json.dumps(known))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield PROTOCOL - 1
    server.shutdown()
    server.server_close()
    serving.join()
    state.endpoint.unlink()


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


def test_a_worker_that_is_older(blender: Any, older_worker: int, labels: str) -> None:
    said = blender("older_worker", labels=labels)
    for sentence in (said["refused"], said["panel"]):
        assert f"the running service belongs to an older Mapreel (protocol {older_worker}," in sentence
        assert "stop it with that version's" in sentence
    assert said["seconds"] < 2.0
    assert said["alive"]
