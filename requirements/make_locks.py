# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the lock files beside this script from pyproject.toml: exact versions, and every hash the index has for them.

    python3 -m venv build/locks && build/locks/bin/pip install uv && build/locks/bin/python requirements/make_locks.py

What is locked already stays at its version, unless `--upgrade` is given: one new package does not move all the others.
One resolution holds for Linux (x86_64, aarch64), Windows and macOS; the markers say who needs what. It is cut into the
files that install.py installs one after the other, each with --no-deps, so that a CPU build of torch never drags the
CUDA packages in.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = "3.11"

# The CPU builds of torch are not on the ordinary index but on torch's own (or in a studio's --find-links folder): their
# hashes are added by hand, from the wheel itself (`pip hash FILE`), when the version changes.
TORCH_CPU = "2.13.0+cpu"
TORCH_CPU_HASHES = {
    "cp311-cp311-manylinux_2_28_x86_64": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
}

# Blender as a module, for the tests inside hosts: the last of each line for Python 3.11. They need numpy 1.
BLENDERS = {"4.5": "4.5.15", "5.0": "5.0.1"}

HEADER = """# SPDX-License-Identifier: GPL-3.0-or-later
# {purpose}
# Written by requirements/make_locks.py: do not edit.
"""

Blocks = dict[str, str]


def locked(pattern: str = "[!b]*.lock") -> list[str]:
    """What lock files hold now, as preferences: uv keeps these versions where it can."""
    lines = [line for path in sorted(HERE.glob(pattern)) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line.rstrip(" \\").replace("===", "==") for line in lines if "==" in line and TORCH_CPU not in line]


def kept(name: str, known: list[str]) -> list[str]:
    """The preferences of one lock file, none where everything is to be moved."""
    return locked(name) if known else []


def resolve(requirements: Iterable[str], preferences: Iterable[str]) -> Blocks:
    """Ask uv for the universal closure of `requirements`: name -> its lines (versions, markers, hashes)."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--universal",
        "--python-version",
        PYTHON,
        "--generate-hashes",
    ]
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"  # uv reads preferences from the file that it would write
        known.write_text("\n".join(preferences), encoding="utf-8")
        command += ["--no-header", "--no-annotate", "--quiet", "--output-file", str(known), "-"]
        subprocess.run(command, input="\n".join(requirements), stdout=subprocess.DEVNULL, text=True, check=True)
        text = known.read_text(encoding="utf-8")
    blocks: Blocks = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        name = block.split("==", 1)[0].strip().lower()
        blocks[name] = blocks.get(name, "") + block.strip() + "\n"
    return blocks


def is_cuda(name: str) -> bool:
    """Whether a package is there only for torch's CUDA build."""
    return name.startswith(("nvidia-", "cuda-", "triton"))


def write(name: str, purpose: str, blocks: Iterable[str]) -> None:
    """Write one lock file in place of the old one."""
    target = HERE / name
    temporary = target.with_suffix(".new")
    temporary.write_text(HEADER.format(purpose=purpose) + "".join(blocks), encoding="utf-8", newline="\n")
    temporary.replace(target)


def main() -> int:
    """Resolve once for users and once more with the developers' tools, then cut the result into files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    known = [] if parser.parse_args().upgrade else locked()
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    runtime_wants = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    runtime = resolve(runtime_wants, known)
    # The tools have to live with the versions that users get.
    pins = [
        line.rstrip(" \\")
        for block in runtime.values()
        for line in block.splitlines()
        if "==" in line and "--hash" not in line
    ]
    everything = resolve([*pins, *project["dependency-groups"]["dev"]], known)
    marks = resolve([*pins, *project["project"]["optional-dependencies"]["c2pa"]], known)

    plain = [block for name, block in runtime.items() if name != "torch" and not is_cuda(name)]
    cuda = [block for name, block in runtime.items() if is_cuda(name)]
    dev = [block for name, block in everything.items() if name not in runtime]
    cpu = "".join(f" \\\n    --hash=sha256:{digest}" for digest in TORCH_CPU_HASHES.values())
    write("runtime.lock", "What Mapreel runs on, without torch.", plain)
    write("torch-cpu.lock", "torch for Linux without CUDA; only some indexes have it.", [f"torch=={TORCH_CPU}{cpu}\n"])
    # `===` leaves out 2.13.0+cpu, which pip would rank higher than 2.13.0.
    write("torch.lock", "torch's stock builds: with CUDA on Linux.", [runtime["torch"].replace("==", "===", 1)])
    write("cuda.lock", "What the CUDA build of torch needs; installed only if that is the one that came.", cuda)
    signed = [block for name, block in marks.items() if name not in runtime]
    write("c2pa.lock", "The extra c2pa: what signs pictures and movies.", signed)
    for name, version in BLENDERS.items():
        blocks = resolve([f"bpy=={version}", "numpy<2"], kept(f"blender-{name}.lock", known))
        write(
            f"blender-{name}.lock",
            f"Blender {name} as a module, in an environment of its own for tests.",
            blocks.values(),
        )
    write("dev.lock", "What `install.py test` needs on top.", dev)
    return 0


if __name__ == "__main__":
    sys.exit(main())
