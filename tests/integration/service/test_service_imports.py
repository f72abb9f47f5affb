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


def loaded(names, python=sys.executable):
    """Modules that a fresh interpreter loads for `names` beyond those that it has anyway."""
    lines = ["import sys, json", "before = set(sys.modules)", *(f"import {name}" for name in names)]
    code = "\n".join([*lines, "print(json.dumps(sorted(set(sys.modules) - before)))"])
    return set(json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout))


def test_the_service_loads_nothing_heavy_and_never_compute():
    modules = loaded(["mapreel.core.service.__main__"])
    assert not HEAVY & modules
    assert "mapreel.core.service.compute" not in modules
    ours = {module for module in modules if module.startswith("mapreel.core.")}
    assert not [name for name in ours if name.split(".")[2] not in {"contract", "service", "settings", "logs"}]


def test_the_compute_process_starts_with_next_to_nothing():
    modules = loaded(["mapreel.core.service.compute"])
    assert not (HEAVY | {"starlette", "uvicorn", "pydantic", "structlog", "platformdirs"}) & modules


@pytest.mark.parametrize("python", [sys.executable, "python3.10"])
def test_the_contract_is_the_standard_library(python):
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no {python} here")
    tops = {
        module.partition(".")[0] for module in loaded([f"mapreel.core.contract.{name}" for name in CONTRACT], found)
    }
    assert not {top for top in tops - {"mapreel"} if top not in sys.stdlib_module_names}
