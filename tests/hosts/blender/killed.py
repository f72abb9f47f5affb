# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker and the service are killed by turns while Blender waits for a render: what the panel says, and when."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender.properties import shot_of  # noqa: E402
from bl_ext.user_default.mapreel_blender.session import SESSION  # noqa: E402

TOLD = ("the worker stopped in mid-job", "the service ended")
scene = bpy.context.scene
settings = scene.mapreel
settings.labels, settings.out, settings.quality = inside.GIVEN["labels"], str(inside.FOLDER / "take"), "full"
scene.frame_start, scene.frame_end = 1, inside.GIVEN["frames"]
link = SESSION.connected()


def until(what: Callable[[], bool], limit_s: float) -> float:
    """As `inside.pumped_until`."""
    return inside.pumped_until(link, what, limit_s, lambda: [job.sentence for job in link.jobs[-1:]])


def processes() -> dict[str, int]:
    """The process of the service, and the one that computes."""
    with link.client() as client:
        facts = client.status()
    return {"service": facts["pid"], "compute": facts["compute_pid"]}


rounds = []
for number in range(inside.GIVEN["times"]):
    victim = ("compute", "service")[number % 2]
    job = link.submit(shot_of(scene).render_request())
    until(lambda job=job: job.is_over or (job.state == "running" and job.progress is not None), 90.0)
    was = job.sentence
    os.kill(processes()[victim], signal.SIGKILL)
    told_s = until(lambda job=job: job.is_over or job.sentence.startswith(TOLD), 30.0)
    sentence = job.sentence
    over_s = until(lambda job=job: job.is_over, 90.0)
    pictures = len(list(Path(job.take).glob("*.png")))
    rounds.append(
        {
            "victim": victim,
            "was": was,
            "told_s": round(told_s, 3),
            "sentence": sentence,
            "over_s": round(over_s, 2),
            "state": job.state,
            "end": job.sentence,
            "pictures": pictures,
        }
    )
    (inside.FOLDER / "rounds.json").write_text(json.dumps(rounds, indent=1))
inside.end(rounds=rounds, alive=bpy.data.objects["Cube"].name == "Cube", kept=settings.labels)
