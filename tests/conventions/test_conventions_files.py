# SPDX-License-Identifier: GPL-3.0-or-later
"""What every file has to be: licensed, named for what it does, free of this machine and of pickles."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_OURS = {".git", ".venv", ".types", "build", "dist", "__pycache__"}
CODE = {".py", ".toml", ".lock", ".sql", ".sh", ".in"}
TEXT = CODE | {".md", ".json", ".txt", ".yml", ".yaml", ".cfg", ""}


def walk(folder: Path) -> list[Path]:
    """The project's own files: what a fresh clone has, without asking git."""
    found = []
    for path in sorted(folder.iterdir()):
        made = path.name in NOT_OURS or path.name.endswith((".egg-info", "_cache", ".lock.d"))
        made = made or path.name.startswith("demo-out") or path.name == ".venv.lock" or path.is_symlink()
        if made or (path / "mapreel-environment").exists():
            continue
        found += walk(path) if path.is_dir() else [path]
    return found


FILES = walk(ROOT)


def name(path: Path) -> str:
    """Path from the root, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


def python_files(*, tests: bool) -> list[Path]:
    """Our Python, with or without the tests."""
    return [path for path in FILES if path.suffix == ".py" and (tests or not name(path).startswith("tests/"))]


def licence_of(path: Path) -> str:
    """The licence that a file has by its place."""
    open_to_hosts = name(path).startswith(("plugin/", "core/contract/")) or name(path) in {
        "__init__.py",
        "core/__init__.py",
    }
    return "Apache-2.0" if open_to_hosts else "GPL-3.0-or-later"


def test_every_source_file_says_its_licence() -> None:
    sources = [path for path in FILES if path.suffix in CODE or name(path) == ".ci/run"]
    assert len(sources) > 20
    wrong = []
    for path in sources:
        head = path.read_text(encoding="utf-8").splitlines()[:3]
        if not any(line.endswith(f"SPDX-License-Identifier: {licence_of(path)}") for line in head):
            wrong.append(name(path))
    assert wrong == []


def test_every_licence_has_its_text() -> None:
    texts = {path.stem for path in (ROOT / "LICENSES").glob("*.txt")}
    assert texts == {"GPL-3.0-or-later", "Apache-2.0"}
    assert "GNU GENERAL PUBLIC LICENSE" in (ROOT / "LICENSES/GPL-3.0-or-later.txt").read_text(encoding="utf-8")


def test_every_weight_has_a_licence_beside_it() -> None:
    weights = [path for path in FILES if path.suffix == ".safetensors"]
    assert [name(path) for path in weights if not any(path.parent.glob("LICENSE*"))] == []


def test_the_root_packages_stay_empty() -> None:
    for path in (ROOT / "__init__.py", ROOT / "core" / "__init__.py"):
        assert path.read_text(encoding="utf-8") == "# SPDX-License-Identifier: Apache-2.0\n"


def test_modules_are_named_for_what_they_do() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [name(path) for path in python_files(tests=True) if path.stem in vague] == []


def test_no_path_of_a_machine_and_no_registry() -> None:
    machine = re.compile(r"(?<![\w.])/(?:root|work|farm)/\w|[p]ypi\.org|[p]ythonhosted\.|[d]ownload\.pytorch")
    found = []
    for path in FILES:
        if path.suffix not in TEXT or path.stat().st_size > 1 << 20 or name(path).startswith("LICENSES/"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if machine.search(line):
                found.append(f"{name(path)}:{number}: {line.strip()}")
    assert found == []


def test_nothing_is_left_undone() -> None:
    undone = re.compile(r"Not[I]mplementedError|\b[T]ODO\b|\b[F]IXME\b|except( Exception)?: *[p]ass")
    found = [name(path) for path in python_files(tests=True) if undone.search(path.read_text(encoding="utf-8"))]
    assert found == []


def opens_pickles(path: Path) -> list[int]:
    """Lines where a file could run a pickle."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            bad = any(alias.name.split(".")[0] in PICKLERS for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            bad = (node.module or "").split(".")[0] in PICKLERS
        elif isinstance(node, ast.Attribute):
            bad = isinstance(node.value, ast.Name) and (node.value.id, node.attr) in {
                ("torch", "load"),
                ("torch", "hub"),
            }
        else:
            bad = (
                isinstance(node, ast.keyword)
                and node.arg == "allow_pickle"
                and getattr(node.value, "value", 0) is not False
            )
        if bad:
            lines.append(getattr(node, "lineno", 0))
    return lines


PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}


def test_no_pickle_is_ever_opened() -> None:
    assert {name(path): lines for path in python_files(tests=False) if (lines := opens_pickles(path))} == {}


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from dill import load", "torch.load(x)", "np.load(x, allow_pickle=True)", "import joblib as j"],
)
def test_the_pickle_check_sees(line: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(line + "\n", encoding="utf-8")
    assert opens_pickles(tmp_path / "bad.py") == [1]


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(path.name[:5] for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == [f"{number:04d}-" for number in range(1, len(numbers) + 1)]
    assert numbers


def test_the_package_list_is_complete() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    there = {"mapreel"}
    for path in FILES:
        if path.name == "__init__.py" and path.parent != ROOT:
            there.add(".".join(("mapreel", *path.parent.relative_to(ROOT).parts)))
    assert sorted(listed) == sorted(there)


def locked(lock: str) -> dict[str, list[str]]:
    """Packages of a lock file with their hashes."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    return {block.partition("=")[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block) for block in blocks}


def test_every_locked_version_has_hashes() -> None:
    locks = sorted(path.name for path in (ROOT / "requirements").glob("*.lock"))
    hosts = ["blender-4.5.lock", "blender-5.0.lock"]
    assert locks == [*hosts, "c2pa.lock", "cuda.lock", "dev.lock", "runtime.lock", "torch-cpu.lock", "torch.lock"]
    for lock in locks:
        assert locked(lock)
        assert [package for package, hashes in locked(lock).items() if not hashes] == []


def test_every_dependency_is_locked_and_justified() -> None:
    def bare(requirement: str) -> str:
        return re.split(r"[<>=!~ \[;]", requirement)[0].lower()

    everything = {
        re.split("=", package)[0] for path in (ROOT / "requirements").glob("*.lock") for package in locked(path.name)
    }
    wanted = {bare(requirement) for requirement in PROJECT["project"]["dependencies"]}
    groups = (*PROJECT["dependency-groups"].values(), *PROJECT["project"]["optional-dependencies"].values())
    tools = {bare(requirement) for group in groups for requirement in group}
    assert (wanted | tools) - everything == set()
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text(encoding="utf-8").lower()
    assert [package for package in sorted(wanted | tools) if f"| {package} |" not in reasons] == []


def test_a_runtime_dependency_is_used() -> None:
    imports = {"opencv-python-headless": "cv2", "pydantic-settings": "pydantic_settings", "openimageio": "OpenImageIO"}
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in python_files(tests=False) if path.name != "install.py"
    )
    for requirement in PROJECT["project"]["dependencies"]:
        package = re.split(r"[<>=!~ \[;]", requirement)[0]
        module = imports.get(package.lower(), package)
        assert re.search(rf"^\s*(import|from) {module}\b", sources, re.MULTILINE), f"nobody imports {module}"


def test_the_wheel_holds_the_package_and_its_resources(tmp_path: Path) -> None:
    for path in FILES:
        if not name(path).startswith(("tests/", "docs/")):
            copy = tmp_path / "checkout" / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "checkout" / "tests").mkdir()
    (tmp_path / "checkout" / "tests" / "__init__.py").write_text(
        "", encoding="utf-8"
    )  # what automatic discovery would take
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=tmp_path / "checkout",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.strip().splitlines()[-1]) as wheel:
        inside = set(wheel.namelist())
    info = {entry for entry in inside if entry.startswith("mapreel-") and ".dist-info/" in entry}
    assert {entry.split("/")[0] for entry in inside - info} == {"mapreel"}
    package = {
        name(path) for path in FILES if name(path).startswith(("core/", "plugin/", "ui/")) and path.suffix == ".py"
    }
    resources = {name(path) for path in FILES if name(path).startswith("resources/")}
    expected = {f"mapreel/{entry}" for entry in package | resources | {"__init__.py", "install.py"}}
    assert inside - info == expected
    assert any(entry.endswith("licenses/LICENSES/GPL-3.0-or-later.txt") for entry in info)
    assert any(entry.endswith("licenses/LICENSES/Apache-2.0.txt") for entry in info)
