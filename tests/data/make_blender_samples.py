# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the EXR samples with Blender: Cryptomatte, index passes, Vector; and mattes as Blender decodes them.

Run it with a Python that has bpy (4.5 or 5.0), once for each version:

    python tests/data/make_blender_samples.py tests/data/blender
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import bpy

SIZE = (64, 48)
FRAMES = (2, 3)
NAMES = ("car_01", 'car "two" ß', "tree\\old")
"""A plain name, one with quotes and a letter beyond ASCII, one with a backslash: Blender writes them as they are."""


def material(name, index):
    made = bpy.data.materials.new(name)
    made.pass_index = index
    return made


def cube(name, place, scale, made_of, index):
    bpy.ops.mesh.primitive_cube_add(location=place)
    made = bpy.context.object
    made.name, made.scale, made.pass_index = name, scale, index
    made.data.materials.append(made_of)
    return made


def slide(thing, start, end):
    for frame, place in ((1, start), (4, end)):
        thing.location = place
        thing.keyframe_insert("location", frame=frame)


def build():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = 32, False, "CPU"
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    layer = scene.view_layers[0]
    layer.use_pass_cryptomatte_object = layer.use_pass_cryptomatte_material = True
    layer.pass_cryptomatte_depth = 4
    layer.use_pass_object_index = layer.use_pass_material_index = layer.use_pass_vector = True
    paint, grass, bark = material('paint "red"', 1), material("grass_ü", 2), material("bark", 3)
    cube("ground", (0, 0, -1.2), (6, 6, 0.2), grass, 1)
    first = cube(NAMES[0], (-2.2, 0, 0), (0.8, 0.8, 0.8), paint, 2)
    slide(first, (-3.2, 0, -0.4), (0.1, 0, 2.0))  # to the right and up, so that both signs of its motion tell
    second = cube(NAMES[1], (1.8, 0.5, 0), (0.7, 0.7, 0.7), paint, 3)
    slide(second, (2.4, 0.5, 1.4), (1.2, 0.5, -0.6))  # to the left and down
    cube(NAMES[2], (0.4, 2.5, 1.2), (0.35, 0.35, 2.2), bark, 300)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.rotation_euler = (0, -9, 3.0), (math.radians(75), 0, 0)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    scene.collection.objects.link(camera)
    scene.collection.objects.link(sun)
    scene.camera = camera
    return scene


def render(scene, folder, version):
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "ZIP"
    for frame in FRAMES:
        scene.frame_set(frame)
        scene.render.filepath = str(folder / f"blender{version}.{frame:04d}.exr")
        bpy.ops.render.render(write_still=True)


def decode(folder, version):
    """Mattes of all names by Blender's Cryptomatte node, as 32-bit EXR; 4.5 only: the tree of 5.0 is no scene's."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.use_nodes = True
    scene.view_settings.view_transform = "Raw"
    tree = scene.node_tree
    tree.nodes.clear()
    image = bpy.data.images.load(str(folder / f"blender{version}.{FRAMES[0]:04d}.exr"))
    crypto = tree.nodes.new("CompositorNodeCryptomatteV2")
    crypto.source, crypto.image = "IMAGE", image
    crypto.layer_name = "ViewLayer.CryptoObject"
    output = tree.nodes.new("CompositorNodeComposite")
    tree.links.new(crypto.outputs["Matte"], output.inputs["Image"])
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.exr_codec, settings.color_mode = "OPEN_EXR", "32", "ZIP", "BW"
    for index, name in enumerate(NAMES):
        crypto.matte_id = name
        scene.render.filepath = str(folder / f"matte_by_blender_{index}.exr")
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    major, minor = bpy.app.version[:2]
    render(build(), target, f"{major}{minor}")
    if (major, minor) == (4, 5):
        decode(target, f"{major}{minor}")
