# SPDX-License-Identifier: Apache-2.0
"""Builds the zip that a host installs: the host's plugin, the contract it speaks, palettes, and nothing else.

A host's interpreter must not meet a generic name, nor a second copy of a package that another plugin brought: inside
the zip the contract is a subpackage, and every import of ours is made relative. The same sources give the same bytes.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = "mapreel_contract"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_IMPORT = re.compile(r"^(\s*from )mapreel\.(core\.contract|plugin\.\w+|plugin)(?:\.(\w+))? import ", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:from|import) mapreel\b", re.MULTILINE)


def relative_imports(source: str, *, in_contract: bool) -> str:
    """The source with every import of ours made relative. Raises ValueError where one cannot be."""

    def rewrite(match: re.Match[str]) -> str:
        start, package, module = match.groups()
        if package == "core.contract":
            folder = "." if in_contract else f".{CONTRACT}."
        elif in_contract:
            raise ValueError(f"the contract imports {match.group().strip()}")
        else:
            folder = "."
        return f"{start}{folder}{module or ''} import " if module or folder == "." else f"{start}.{CONTRACT} import "

    changed = _IMPORT.sub(rewrite, source)
    left = _LEFT.search(changed)
    if left:
        raise ValueError(f"an import that a host cannot follow: {left.group().strip()}")
    return changed


def blender_files(version: str) -> dict[str, bytes]:
    """Name inside the zip -> bytes, for Blender's extension of this version."""
    top = "mapreel_blender"
    files: dict[str, bytes] = {}
    plugin = ROOT / "plugin"
    for path in sorted([*(plugin / "blender").glob("*.py"), *(plugin / "shared").glob("*.py")]):
        if path.name == "__init__.py" and path.parent.name == "shared":
            continue
        text = relative_imports(path.read_text(encoding="utf-8"), in_contract=False)
        files[f"{top}/{path.name}"] = text.encode()
    for path in sorted((ROOT / "core" / "contract").glob("*.py")):
        text = relative_imports(path.read_text(encoding="utf-8"), in_contract=True)
        files[f"{top}/{CONTRACT}/{path.name}"] = text.encode()
    for path in sorted((ROOT / "resources" / "palettes").glob("*.json")):
        files[f"{top}/palettes/{path.name}"] = path.read_bytes()
    manifest = (plugin / "blender" / "blender_manifest.toml").read_text(encoding="utf-8")
    numbers = ", ".join(version.split(".")[:3])
    files[f"{top}/blender_manifest.toml"] = manifest.replace("@VERSION@", version).encode()
    files[f"{top}/__init__.py"] = files[f"{top}/__init__.py"].replace(
        b"(0, 0, 0),  # @VERSION@", f"({numbers}),".encode()
    )
    files[f"{top}/LICENSE"] = (ROOT / "LICENSES" / "Apache-2.0.txt").read_bytes()
    return files


def write_zip(files: dict[str, bytes], out: Path) -> Path:
    """Write files into a zip that depends on nothing but them. Returns `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".new")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # the same on Windows
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    temporary.replace(out)
    return out


def build_blender(version: str, folder: Path) -> Path:
    """Build `mapreel-blender-VERSION.zip` in a folder and give its path."""
    return write_zip(blender_files(version), folder / f"mapreel-blender-{version}.zip")
