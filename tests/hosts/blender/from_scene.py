# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes, instances and motion of a scene of two cubes on a plane."""

from __future__ import annotations

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api, classes  # noqa: E402

scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = 128, 64
scene.frame_start, scene.frame_end = 1001, 1003
no_class = inside.refusal(api.maps_from_scene, scene, str(inside.FOLDER / "none"))

cube = bpy.data.objects["Cube"]
cube.data.materials[0].name = "red_car_paint"
part = bpy.data.objects.new("bumper", cube.data)
scene.collection.objects.link(part)
part.parent, part.location = cube, (0.0, 0.0, 1.2)
bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -1))
plane = bpy.context.object
plane.pass_index = 77
bpy.data.materials["red_car_paint"].pass_index = 33
cube.keyframe_insert("location", frame=1001)
cube.location.x = 1
cube.keyframe_insert("location", frame=1003)

palette = classes.load_palette("street")
guessed = classes.guess(palette)
bare = classes.without_class(scene)
wrong = inside.refusal(classes.assign, "*", "spaceship", palette)
named = classes.assign("PLANE", "road", palette, what="objects")
scenes, materials = len(bpy.data.scenes), sorted(bpy.data.materials.keys())
progress = []
first = api.maps_from_scene(scene, str(inside.FOLDER / "maps ü"), report=lambda *now: progress.append(now))
second = api.maps_from_scene(scene, str(inside.FOLDER / "maps ü"), frames=(1001, 1003, 2))
shown = {"labels": first.pattern, "instances": first.pattern, "motion": first.pattern}
take = api.render(scene, out=str(inside.FOLDER / "take"), **shown)
left = [thing.pass_index for thing in (plane, bpy.data.materials["red_car_paint"])]
clean = len(bpy.data.scenes) == scenes and sorted(bpy.data.materials.keys()) == materials
slots = [(slot.link, slot.material) for slot in plane.material_slots]

camera, scene.camera = scene.camera, None
no_camera = inside.refusal(api.maps_from_scene, scene, str(inside.FOLDER / "none"))
inside.end(
    guessed=guessed,
    bare=bare,
    wrong=wrong,
    named=named,
    folder=first.folder,
    pattern=first.pattern,
    frames=first.frames,
    again=[second.folder, second.frames],
    progress=progress,
    left=left,
    clean=clean,
    slots=slots,
    take=take.path,
    no_class=no_class,
    no_camera=no_camera,
    ids=palette.ids,
)
