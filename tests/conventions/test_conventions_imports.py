# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, tried in fresh interpreters: what sys.modules holds after an area was imported."""

from __future__ import annotations

import ast
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FRESH = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""

# Started with -m in a process of their own: the one place of the service where torch may be.
COMPUTE = "mapreel.core.service.compute"
READER = "mapreel.core.media.reader"


@dataclass(frozen=True)
class Rule:
    """What an area may have of ours, and which libraries it may have (None: any but those in `never`)."""

    ours: tuple[str, ...]
    libraries: frozenset[str] | None
    never: frozenset[str] = frozenset()


PIXELS = frozenset({"numpy", "cv2", "OpenImageIO", "av", "isal"})
HEAVY = PIXELS | {"torch", "safetensors", "constriction"}
WEB = frozenset({"starlette", "uvicorn", "typer", "PyQt6"})  # rich is not here: structlog loads it by itself
QUALITY = ("core.quality", "core.quality_kid", "core.quality_video")
HALF = ("core.contract", "core.media", "core.device", *QUALITY)

RULES = {
    "core.contract": Rule((), frozenset()),
    "core.media": Rule(("core.contract",), PIXELS),
    "core.vid2vid": Rule(HALF, None, WEB | {"constriction"}),
    "core.nirvana": Rule(HALF, None, WEB),
    "core.service": Rule(("core.contract", "core.settings", "core.logs"), None, HEAVY | {"typer", "PyQt6"}),
    "core.device": Rule(("core.contract",), None, WEB | {"cv2", "OpenImageIO", "av"}),
    "core.quality": Rule(("core.contract", "core.device"), None, WEB | {"cv2", "OpenImageIO", "av"}),
    "core.quality_kid": Rule(("core.contract", "core.device", "core.quality"), None, WEB | {"OpenImageIO", "av"}),
    "core.quality_video": Rule(("core.contract", "core.media", "core.quality"), None, WEB),
    "core.settings": Rule(("core.contract",), None, HEAVY | WEB),
    "core.logs": Rule(("core.contract", "core.settings"), None, HEAVY | WEB),
    "core.runners": Rule(("core.contract",), None, HEAVY | WEB),
    "core.commands": Rule(("core",), None, frozenset({"torch", "starlette", "uvicorn", "PyQt6"})),
    "plugin": Rule(("core.contract",), frozenset()),
    "ui": Rule(("core.contract", "core.media", "core.settings", "core.logs"), None, frozenset({"torch"})),
}


def areas() -> list[str]:
    """Every package and single module of the house, found on the disk."""
    found = ["plugin", "ui"]
    for path in sorted((ROOT / "core").iterdir()):
        if path.suffix == ".py" and path.stem != "__init__":
            found.append(f"core.{path.stem}")
        elif (path / "__init__.py").exists():
            found.append(f"core.{path.name}")
    return found


def modules_of(area: str) -> list[str]:
    """Dotted names of all modules of an area."""
    path = ROOT.joinpath(*area.split("."))
    files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else sorted(path.rglob("*.py"))
    # what runs inside a host is tried there (tests/hosts), and read by test_plugin_package
    files = [file for file in files if file.parent != ROOT / "plugin" / "blender"]
    names = [".".join(("mapreel", *file.relative_to(ROOT).with_suffix("").parts)) for file in files]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


@functools.cache
def loaded(*modules: str) -> frozenset[str]:
    """What a fresh interpreter has loaded after importing these."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".types")}
    command = [sys.executable, "-P", "-W", "error", "-c", FRESH, *modules]
    done = subprocess.run(command, env=environment, cwd=ROOT.anchor, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout))


def offences(area: str, rule: Rule, modules: frozenset[str]) -> list[str]:
    """Loaded modules that the rule does not let the area have."""
    allowed = (area, *rule.ours)
    found = []
    for name in modules:
        top, _, rest = name.partition(".")
        if top == "mapreel":
            inside = any(rest == part or rest.startswith(part + ".") for part in allowed)
            ancestor = any(part.startswith(rest + ".") for part in allowed)
            if rest and not inside and not ancestor:
                found.append(name)
        elif top in rule.never or foreign(top, rule.libraries):
            found.append(name)
    return sorted(found)


def foreign(top: str, libraries: frozenset[str] | None) -> bool:
    """Whether a top-level name is outside the standard library and what the area may use."""
    if libraries is None or top in libraries or top in sys.stdlib_module_names:
        return False
    if top.startswith(("__editable__", "_distutils_hack")):  # the loader of editable installs
        return False
    return not libraries or top not in {name.partition(".")[0] for name in loaded(*sorted(libraries))}


def rule_for(area: str) -> Rule:
    """The rule of an area; single modules of core that have none of their own belong to the command line."""
    return RULES[area] if (ROOT.joinpath(*area.split("."))).is_dir() else RULES.get(area, RULES["core.commands"])


def test_every_package_has_a_rule() -> None:
    packages = [area for area in areas() if ROOT.joinpath(*area.split(".")).is_dir()]
    assert [area for area in packages if area not in RULES] == []


@pytest.mark.parametrize("area", areas())
def test_an_area_loads_what_it_may(area: str) -> None:
    modules = [name for name in modules_of(area) if name != COMPUTE]
    assert offences(area, rule_for(area), loaded(*modules)) == []


def test_the_check_sees_an_offence() -> None:
    assert offences("core.contract", RULES["core.contract"], loaded("numpy")) != []
    assert offences("core.contract", RULES["core.contract"], frozenset({"mapreel.core.media.images"})) != []
    assert offences("core.service", RULES["core.service"], frozenset({"torch"})) == ["torch"]


def imports_of(path: Path) -> set[str]:
    """Every module that a file names in an import, at whatever depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def sources() -> list[Path]:
    """All modules of the package, tests left out."""
    return [path for folder in ("core", "plugin", "ui") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("process", [COMPUTE, READER])
def test_nobody_imports_what_is_started_as_a_process(process: str) -> None:
    assert [path for path in sources() if process in imports_of(path)] == []


def test_only_the_panel_imports_qt() -> None:
    qt = ("PyQt", "PySide", "qtpy")
    outside = [path for path in sources() if path.relative_to(ROOT).parts[0] != "ui"]
    assert [path for path in outside if any(name.startswith(qt) for name in imports_of(path))] == []


def test_what_hosts_load_parses_on_an_old_python() -> None:
    for path in sources():
        if path.relative_to(ROOT).parts[:2] == ("core", "contract") or path.relative_to(ROOT).parts[0] == "plugin":
            ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    ast.parse((ROOT / "install.py").read_text(encoding="utf-8"), feature_version=(3, 8))
