# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in a studio: each is refused in one sentence, and nothing is lost or left behind."""

from __future__ import annotations

import bpy
import inside

package = inside.begin()
from bl_ext.user_default.mapreel_blender import api, classes  # noqa: E402

scene = bpy.context.scene
settings = scene.mapreel
locked = inside.GIVEN["locked"]
scene.frame_start, scene.frame_end = 1, 2
scene.render.resolution_x, scene.render.resolution_y = 64, 64
bpy.data.objects["Cube"].data.materials[0].name = "car"
classes.guess(classes.load_palette("street"))
before = inside.state_of_file()
said = {}

# a file that was never saved
settings.labels = "//maps/label"
said["unsaved maps"] = inside.refusal(api.render, scene, out=str(inside.FOLDER / "take"))
settings.labels = inside.GIVEN["labels"]
said["unsaved out"] = inside.refusal(api.render, scene)
said["unsaved draft"] = inside.refusal(api.draft, scene, 1)
said["unsaved from scene"] = inside.refusal(api.maps_from_scene, scene)
said["unsaved beauty"] = inside.refusal(api.beauty_frames, scene, "//beauty", 1)
said["unsaved archive"] = inside.refusal(api.archive, inside.GIVEN["labels"])
said["unsaved operator"] = inside.refusal(bpy.ops.mapreel.render)
said["unsaved operator maps"] = inside.refusal(bpy.ops.mapreel.write_maps)

# a folder that nobody may write into
said["locked render"] = inside.refusal(api.render, scene, out=f"{locked}/take")
said["locked draft"] = inside.refusal(api.draft, scene, 1, out=f"{locked}/draft.png")
said["locked from scene"] = inside.refusal(api.maps_from_scene, scene, f"{locked}/maps")
said["locked beauty"] = inside.refusal(api.beauty_frames, scene, f"{locked}/beauty", 1)
said["locked archive"] = inside.refusal(api.archive, inside.GIVEN["labels"], f"{locked}/shot.nirv")

# maps that are not there, and a range that has none
take = str(inside.FOLDER / "take")
said["missing folder"] = inside.refusal(api.render, scene, out=take, labels=str(inside.FOLDER / "no maps"))
said["missing maps"] = inside.refusal(api.render, scene, out=take, labels=str(inside.FOLDER / "no.####.png"))
drafted = str(inside.FOLDER / "draft.png")
said["missing draft"] = inside.refusal(api.draft, scene, 1, out=drafted, labels=str(inside.FOLDER / "no.####.png"))
said["range"] = inside.refusal(api.render, scene, out=take, first=900, last=910)
said["range draft"] = inside.refusal(api.draft, scene, 900, out=drafted)
said["no model"] = inside.refusal(api.render, scene, out=take, model="nobody trained this")

# a scene without a camera
camera, scene.camera = scene.camera, None
said["camera maps"] = inside.refusal(api.maps_from_scene, scene, str(inside.FOLDER / "maps"))
said["camera beauty"] = inside.refusal(api.beauty_frames, scene, str(inside.FOLDER / "beauty"), 1)
said["camera operator"] = inside.refusal(bpy.ops.mapreel.write_maps, folder=str(inside.FOLDER / "maps"))
scene.camera = camera

inside.end(
    said=said,
    kept=inside.state_of_file() == before,
    left=sorted(path.name for path in inside.FOLDER.iterdir()),
    settings=settings.labels,
)
