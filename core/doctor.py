# SPDX-License-Identifier: GPL-3.0-or-later
"""What is set up on this machine, what is wrong with it and what to do: the checks behind `mapreel doctor`.

Libraries that may crash are tried in a child process with a time limit, so that a doctor always has an answer.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import MapreelError, ServiceUnreachableError
from mapreel.core.contract.state_folder import StateFolder, state_folder
from mapreel.core.contract.versions import installed_version
from mapreel.core.machine import memory_bytes
from mapreel.core.screen import check_screen

GOOD, NOTE, BAD = "good", "note", "bad"
LEAST_MEMORY = 3 << 30  # a render of 512 x 256 px takes half a gigabyte, a training two
LEAST_DISK = 2 << 30
CHILD_S = 120.0  # a cold disk may take a minute to bring torch
ENCODERS = {"libx264": "H.264", "libx265": "H.265", "ffv1": "FFV1", "prores_ks": "ProRes"}

# Asked in a child: a wheel for another processor ends its process instead of raising.
LIBRARIES = """
import importlib, json
said = {}
for name in ("numpy", "cv2", "OpenImageIO", "av", "constriction", "safetensors", "starlette", "uvicorn"):
    try:
        importlib.import_module(name)
    except ImportError as error:
        said[name] = str(error)
try:
    import av
    encoders = [name for name in %r if name in av.codecs_available]
except ImportError:
    encoders = []
print(json.dumps({"failed": said, "encoders": encoders}))
"""
COLOUR = """
import json, OpenImageIO as oiio
config = oiio.ColorConfig(%r)
print(json.dumps({"spaces": len(config.getColorSpaceNames()), "error": config.geterror()}))
"""
PANEL = """
import json, os
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from PyQt6.QtCore import PYQT_VERSION_STR
from PyQt6.QtSvg import QSvgRenderer
from PyQt6.QtWidgets import QApplication, QLabel
application = QApplication(["mapreel"])
QLabel("x").grab()
from mapreel.ui.text import languages
print(json.dumps({"qt": PYQT_VERSION_STR, "languages": languages()}))
"""

TORCH = """
import json, torch
image = torch.arange(16.0).reshape(1, 1, 4, 4)
right = [45.0, 54.0, 81.0, 90.0]
def works(device):
    kernel = torch.ones(1, 1, 3, 3, device=device)
    return torch.nn.functional.conv2d(image.to(device), kernel).flatten().tolist() == right
cards = []
for index in range(torch.cuda.device_count()):
    facts = torch.cuda.get_device_properties(index)
    cards.append({"name": facts.name, "memory": facts.total_memory, "works": works(f"cuda:{index}")})
print(json.dumps({
    "version": torch.__version__, "works": works("cpu"), "cards": cards, "cuda": torch.version.cuda,
    "bfloat16": torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported(),
}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: good, a note (works, but good to know) or bad, with what to do about it."""

    name: str
    state: str
    said: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, one finding after the other; never raises."""
    for name, check in CHECKS.items():
        try:
            yield check(name)
        except MapreelError as error:
            yield Finding(name, BAD, error.what, error.remedy)
        except Exception as error:  # noqa: BLE001 - a doctor that falls ill helps nobody
            said = f"could not be looked at ({type(error).__name__}: {error})"
            yield Finding(name, BAD, said, "send us this line")


def ask(script: str, *, seconds: float = CHILD_S) -> dict[str, Any] | str:
    """Run a few lines in a child of the same Python; gives what it printed as JSON, or how it ended."""
    command = [sys.executable, "-P", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:.0f} s"
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"])[-1]
    return dict(json.loads(lines[-1]))


def gib(count: float) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GiB"


def _program(name: str) -> Finding:
    said = f"{installed_version('mapreel')} in {sys.prefix}, Python {platform.python_version()}, {platform.platform()}"
    other = shutil.which("mapreel")
    if other and not Path(other).resolve().is_relative_to(Path(sys.prefix).resolve()):
        remedy = f"type {Path(sys.prefix) / 'bin' / 'mapreel'}, or put its folder first on PATH"
        return Finding(name, NOTE, f"{said}; the word mapreel alone starts another one, {other}", remedy)
    return Finding(name, GOOD, said)


def _surroundings(name: str) -> Finding:
    bent = sorted(variable for variable in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP") if os.environ.get(variable))
    if bent:
        said = f"{', '.join(bent)} set in this shell: foreign modules can get in front of Mapreel's"
        return Finding(name, NOTE, said, f"unset {' '.join(bent)} for Mapreel")
    return Finding(name, GOOD, "no variable bends Python")


def _settings(name: str) -> Finding:
    from mapreel.core.settings import load_settings

    load_settings()
    own = sorted(variable for variable in os.environ if variable.startswith("MAPREEL_"))
    return Finding(name, GOOD, f"from {', '.join(own)}" if own else "all at their defaults")


def _libraries(name: str) -> Finding:
    answer = ask(LIBRARIES % (tuple(ENCODERS),))
    again = "run `python3 install.py uninstall`, then `python3 install.py`"
    if isinstance(answer, str):
        return Finding(name, BAD, f"the libraries crash when loaded: {answer}", again)
    if answer["failed"]:
        library, reason = min(answer["failed"].items())
        return Finding(name, BAD, f"{library} does not load: {reason}", again)
    missing = [spoken for encoder, spoken in ENCODERS.items() if encoder not in answer["encoders"]]
    if missing:
        said = f"all load; movies cannot be written as {', '.join(missing)}"
        return Finding(name, NOTE, said, "write image sequences, or install Mapreel's own build of PyAV again")
    return Finding(name, GOOD, f"all load; movies as {', '.join(ENCODERS.values())}")


def _torch(name: str) -> Finding:
    answer = ask(TORCH)
    if isinstance(answer, str) or not answer["works"]:
        said = answer if isinstance(answer, str) else "a sum comes out wrong"
        return Finding(name, BAD, f"torch does not compute: {said}", "run `python3 install.py` with another --backend")
    said = f"torch {answer['version']} computes and was checked"
    if any(not card["works"] for card in answer["cards"]):
        return Finding(
            name, BAD, "torch computes wrongly on the graphics card", "update its driver, or use --device cpu"
        )
    cards = ", ".join(f"{card['name']} with {gib(card['memory'])}" for card in answer["cards"])
    if answer["cuda"] and not cards:
        remedy = "install the card's driver, or take the small build: `python3 install.py --backend cpu`"
        return Finding(name, NOTE, f"{said}; it could use a CUDA card and finds none", remedy)
    kind = cards or ("on the processor, in bfloat16" if answer["bfloat16"] else "on the processor")
    return Finding(name, GOOD, f"{said}: {kind}")


def _memory(name: str) -> Finding:
    total, free = memory_bytes()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = f"{cores} cores, {gib(total)} of memory, {gib(free)} of it free"
    if free < LEAST_MEMORY:
        return Finding(name, NOTE, said, "close other programs before a training or an archive of large pictures")
    return Finding(name, GOOD, said)


def _disk(name: str) -> Finding:
    places = {"here": Path.cwd(), "the state folder": _existing(state_folder().root)}
    free = {spoken: shutil.disk_usage(place).free for spoken, place in places.items()}
    said = ", ".join(f"{gib(count)} free for {spoken}" for spoken, count in free.items())
    if min(free.values()) < LEAST_DISK:
        return Finding(name, BAD, said, "free some space: a shot of a hundred frames takes 0.1 to 2 GiB")
    return Finding(name, GOOD, said)


def _existing(path: Path) -> Path:
    """The nearest folder upwards that is there."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _state(name: str) -> Finding:
    from mapreel.core.service.local_disk import require_local

    folder = state_folder()
    require_local(_existing(folder.root))
    if not os.access(_existing(folder.root), os.W_OK):
        said = f"the state folder {folder.root} may not be written to"
        return Finding(name, BAD, said, "set MAPREEL_STATE to a folder of yours")
    return Finding(name, GOOD, f"{folder.root} ({_jobs(folder)})")


def _jobs(folder: StateFolder) -> str:
    """How many jobs the queue holds, by state."""
    import sqlite3
    from contextlib import closing

    if not folder.database.exists():
        return "no jobs yet"
    with closing(sqlite3.connect(f"{folder.database.as_uri()}?mode=ro", uri=True)) as queue:
        rows = queue.execute("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state").fetchall()
    return ", ".join(f"{count} {state}" for state, count in rows) or "no jobs yet"


def _service(name: str) -> Finding:
    from mapreel.core.contract.client import ServiceClient

    try:
        with ServiceClient(start=False) as client:
            facts = client.status()
    except ServiceUnreachableError:
        return Finding(name, GOOD, "not running; it starts when it is needed")
    there, here = str(facts.get("version", "")), installed_version("mapreel")
    if there and there != here:
        said = f"the service that runs is of version {there}, this is {here}"
        return Finding(name, NOTE, said, "run `mapreel service stop`; unfinished jobs go on with the new one")
    return Finding(name, GOOD, f"running, process {facts.get('pid', '?')}")


def _models(name: str) -> Finding:
    from mapreel.core.vid2vid.models import MODEL_FILE, shipped_models

    whole = [model for model, path in shipped_models().items() if _is_whole(path / MODEL_FILE)]
    broken = sorted(set(shipped_models()) - set(whole))
    if broken or not whole:
        said = f"the model {broken[0]} is cut off" if broken else "no model came with this installation"
        return Finding(name, BAD, said, "fetch Mapreel again (a checkout without its large files has no models)")
    return Finding(name, GOOD, ", ".join(whole))


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                return False
            header = json.loads(file.read(length))
        end = max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
        return path.stat().st_size == 8 + length + int(end)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _colour(name: str) -> Finding:
    config = os.environ.get("OCIO", "")
    if not config:
        return Finding(name, GOOD, "$OCIO is not set: the built-in configuration is used")
    remedy = "correct $OCIO, or unset it to use the built-in configuration"
    if not config.startswith("ocio://") and not Path(config).is_file():
        return Finding(name, BAD, f"$OCIO names {config}, which is not there", remedy)
    answer = ask(COLOUR % (config,))
    if isinstance(answer, str) or answer["error"] or not answer["spaces"]:
        said = answer if isinstance(answer, str) else answer["error"] or "it has no colour spaces"
        return Finding(name, BAD, f"$OCIO names {config}, which cannot be used: {said}", remedy)
    return Finding(name, GOOD, f"$OCIO names {config}, {answer['spaces']} colour spaces")


def _panel(name: str) -> Finding:
    answer = ask(PANEL)
    if isinstance(answer, str):
        lacks = re.search(r"lib[\w.+-]+\.so[.\d]*", answer)
        said = f"the panel's window cannot be made: {answer}"
        remedy = f"install what brings {lacks[0]}" if lacks else "run `python3 install.py` again"
        return Finding(name, NOTE, said, f"{remedy}; the command line works without")
    if os.environ.get("DISPLAY"):
        check_screen()
    return Finding(name, GOOD, f"Qt {answer['qt']}, languages {', '.join(answer['languages'])}")


CHECKS: dict[str, Callable[[str], Finding]] = {
    "program": _program,
    "surroundings": _surroundings,
    "settings": _settings,
    "libraries": _libraries,
    "torch": _torch,
    "machine": _memory,
    "disk": _disk,
    "state": _state,
    "service": _service,
    "models": _models,
    "colour": _colour,
    "panel": _panel,
}
