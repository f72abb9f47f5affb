# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the index's advisories about every locked version. Exit code 1 where a known hole is found.

Where the advisories cannot be reached nothing fails: the check says how many versions it could not ask about. A hole
that does not concern us stands in IGNORED with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LOCKS = ("runtime.lock", "torch.lock", "cuda.lock", "dev.lock")
IGNORED: dict[str, str] = {}  # number of an advisory -> why it does not concern us
PATIENCE_S = 60


def say(text: str) -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")


def ask() -> dict[str, Any] | None:
    """What pip-audit says of the locks; None where it says nothing that can be read."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", "5"]
    for name in LOCKS:
        command += ["-r", str(HERE / name)]
    for number in IGNORED:
        command += ["--ignore-vuln", number]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        return dict(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def judge(answer: dict[str, Any] | None) -> int:
    """Say what was found; gives the exit code."""
    packages = answer["dependencies"] if answer else []
    asked = [package for package in packages if "skip_reason" not in package]
    holes = [(package, hole) for package in asked for hole in package["vulns"]]
    for package, hole in holes:
        fixed = ", ".join(hole.get("fix_versions") or ["no version yet"])
        what = f"{package['name']} {package['version']} has the known hole {hole['id']}"
        say(f"{what}: lock a version with it mended ({fixed})")
    if not asked:
        say("the index's advisories cannot be reached from here: nothing was asked")
    elif len(asked) < len(packages):
        say(f"asked about {len(asked)} of {len(packages)} locked versions")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(judge(ask()))
