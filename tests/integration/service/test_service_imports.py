# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fresh interpreter loads: the service nothing heavy, the contract nothing but the standard library."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mapreel.core.contract

HEAVY = {"torch", "numpy", "cv2", "OpenImageIO", "av", "constriction", "safetensors", "PyQt6"}
CONTRACT = sorted(path.stem for path in Path(mapreel.core.contract.__file__).parent.glob("[!_]*.py"))
SHOW = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded(names, python=sys.executable):
    lines = [f"import {name}" for name in names]
    out = subprocess.run([python, "-c", "\n".join([*lines, SHOW])], capture_output=True, text=True, check=True).stdout
    return set(json.loads(out))


@pytest.mark.parametrize("name", ["server", "__main__", "compute"])
def test_the_service_loads_nothing_heavy(name):
    modules = loaded([f"mapreel.core.service.{name}"])
    assert not HEAVY & modules
    ours = {module for module in modules if module.startswith("mapreel.core.")}
    assert not [m for m in ours if m.split(".")[2] not in {"contract", "service", "settings", "logs"}]


def test_the_service_never_imports_compute():
    assert "mapreel.core.service.compute" not in loaded(["mapreel.core.service.__main__"])


def test_the_compute_process_needs_none_of_the_services_libraries():
    modules = loaded(["mapreel.core.service.compute"])
    assert not {"starlette", "uvicorn", "pydantic", "structlog", "platformdirs"} & modules


@pytest.mark.parametrize("python", [sys.executable, "python3.10"])
def test_the_contract_is_the_standard_library(python):
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no {python} here")
    modules = loaded([f"mapreel.core.contract.{name}" for name in CONTRACT], found)
    tops = {module.partition(".")[0] for module in modules}
    startup = {module.partition(".")[0] for module in loaded([], found)}
    assert not {top for top in tops - startup - {"mapreel"} if top not in sys.stdlib_module_names}
