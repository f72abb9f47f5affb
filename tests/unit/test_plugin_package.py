# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip for hosts: the same bytes every time, pure Python, nothing generic, nothing that is not in it."""

from __future__ import annotations

import ast
import sys
import zipfile
from pathlib import Path

import pytest

from mapreel.plugin import packaging

STDLIB = frozenset(sys.stdlib_module_names)
OF_THE_HOST = {"bpy", "mathutils", "addon_utils"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaging.build_blender("1.2.3", tmp_path_factory.mktemp("zip"))


def test_the_same_sources_give_the_same_bytes(archive, tmp_path):
    assert packaging.build_blender("1.2.3", tmp_path).read_bytes() == archive.read_bytes()


def test_one_folder_with_what_blender_looks_for(archive):
    with zipfile.ZipFile(archive) as found:
        names = found.namelist()
        assert {name.split("/")[0] for name in names} == {"mapreel_blender"}
        assert "mapreel_blender/blender_manifest.toml" in names
        assert b'version = "1.2.3"' in found.read("mapreel_blender/blender_manifest.toml")
        assert b'"version": (1, 2, 3),' in found.read("mapreel_blender/__init__.py")
        assert {Path(name).suffix for name in names} <= {".py", ".toml", ".json", ""}
        assert "mapreel_blender/palettes/street.json" in names


def test_every_import_is_of_the_library_the_host_or_the_zip(archive):
    with zipfile.ZipFile(archive) as found:
        names = set(found.namelist())
        for name in (name for name in names if name.endswith(".py")):
            for node in ast.walk(ast.parse(found.read(name))):
                if isinstance(node, ast.ImportFrom) and node.level:
                    folder = name.rsplit("/", 1)[0] + "".join(
                        f"/{part}" for part in (node.module or "").split(".") if part
                    )
                    there = f"{folder}.py" in names or f"{folder}/__init__.py" in names
                    assert there or all(f"{folder}/{alias.name}.py" in names for alias in node.names), (
                        name,
                        node.module,
                    )
                elif isinstance(node, ast.ImportFrom):
                    assert str(node.module).split(".")[0] in STDLIB | OF_THE_HOST, (name, node.module)
                elif isinstance(node, ast.Import):
                    assert {alias.name.split(".")[0] for alias in node.names} <= STDLIB | OF_THE_HOST, name


def test_an_import_that_no_host_could_follow_is_refused():
    assert packaging.relative_imports("from mapreel.core.contract.jobs import X", in_contract=True) == (
        "from .jobs import X"
    )
    assert packaging.relative_imports("    from mapreel.plugin.blender import api, x", in_contract=False) == (
        "    from . import api, x"
    )
    assert packaging.relative_imports("from mapreel.core.contract.jobs import X", in_contract=False) == (
        "from .mapreel_contract.jobs import X"
    )
    for source in ("import mapreel.core.media", "from mapreel.core.media.labels import X", "from mapreel import core"):
        with pytest.raises(ValueError, match="mapreel"):
            packaging.relative_imports(source, in_contract=False)
    with pytest.raises(ValueError, match="contract imports"):
        packaging.relative_imports("from mapreel.plugin.shared.link import Link", in_contract=True)
