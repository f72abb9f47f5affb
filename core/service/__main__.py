# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m mapreel.core.service`: run the service in the foreground until it is stopped or idle.

When it cannot start, the last line on stderr is the error as JSON, which the client that started it reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mapreel.core.contract.errors import MapreelError, one_line
from mapreel.core.contract.state_folder import state_folder
from mapreel.core.service.locks import LockTimeoutError
from mapreel.core.service.server import serve
from mapreel.core.settings import load_settings


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mapreel.core.service", description=__doc__)
    parser.add_argument("--state", type=Path, help="the state folder (default: MAPREEL_STATE, else the platform's)")
    parser.add_argument("--runners", default="mapreel.core.runners", help="module with run(request, take, context)")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """0: ended as told, or another one runs already; 1 or 2: could not start."""
    options = _arguments(words)
    try:
        settings = load_settings()
        folder = state_folder(options.state or settings.state)
        try:
            serve(folder, settings, options.runners)
        except LockTimeoutError:
            sys.stderr.write(f"a service runs already for {one_line(str(folder.root))}\n")
    except MapreelError as exc:
        sys.stderr.write(f"{exc}\n{json.dumps(exc.to_dict())}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
