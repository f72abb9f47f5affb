# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that takes hours gives way to drafts and other programs, unless its user has chosen a priority."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mapreel.core.local import BACKGROUND_NICE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="priorities are numbers on POSIX")


@pytest.mark.parametrize(("chosen", "then"), [(0, BACKGROUND_NICE), (3, 3)])
def test_a_training_is_niced_only_where_nobody_chose(chosen, then):
    code = (
        "import os\nfrom mapreel.core.local import work_in_background\n"
        f"os.setpriority(os.PRIO_PROCESS, 0, {chosen})\nwork_in_background()\nprint(os.nice(0))"
    )
    raised = subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout.strip()
    if int(raised) > chosen:
        pytest.skip("these tests run at a lower priority themselves")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == then
