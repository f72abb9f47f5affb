# SPDX-License-Identifier: GPL-3.0-or-later
"""Train on this shot: true frames, a few steps of training, the whole range with the model; script and button."""

from __future__ import annotations

from pathlib import Path

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api  # noqa: E402
from bl_ext.user_default.mapreel_blender.session import SESSION  # noqa: E402

scene = bpy.context.scene
scene.render.engine, scene.cycles.samples = "CYCLES", 1
scene.render.resolution_x, scene.render.resolution_y = inside.GIVEN["size"]
scene.frame_start, scene.frame_end = 1, 5
bpy.ops.wm.save_as_mainfile(filepath=str(inside.FOLDER / "shot.blend"))
cube = bpy.data.objects["Cube"]
unclassed = inside.refusal(api.train_on_shot, scene, every=2, steps=2)
cube["mapreel_class"] = "car"
few = inside.refusal(api.train_on_shot, scene, every=9, steps=2)
untouched = sorted(path.name for path in inside.FOLDER.glob("mapreel/*"))
before = inside.state_of_file()
told = []
made = api.train_on_shot(scene, every=2, steps=2, report=lambda share, sentence: told.append((share, sentence)))
kept = inside.state_of_file() == before
pattern = scene.mapreel.labels

scene.mapreel.train_every, scene.mapreel.train_steps = 4, 1
pressed = sorted(bpy.ops.mapreel.train())
scene.frame_end = 9
lacking = inside.refusal(api.train_on_shot, scene, every=2, steps=2)
inside.end(
    unclassed=unclassed,
    few=few,
    untouched=untouched,
    kept=kept,
    pattern=pattern,
    told=[sentence for _, sentence in told],
    shares=[share for share, _ in told],
    model=made.model,
    take=made.take,
    color=sorted(path.name for path in Path(made.data, "color").iterdir()),
    label=sorted(path.name for path in Path(made.data, "label").iterdir()),
    motion=Path(made.data, "motion").exists(),
    sentence=made.sentence,
    parts=[made.maps_s, made.true_s, made.train_s, made.rest_s, made.seconds, made.all_true_s, made.alone_s],
    pressed=pressed,
    shown=SESSION.trained,
    second=bpy.path.abspath(scene.mapreel.model),
    lacking=lacking,
)
