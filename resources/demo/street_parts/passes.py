# SPDX-License-Identifier: GPL-3.0-or-later
"""How a frame is rendered by Cycles, and its label, instance and motion maps made of Blender's passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from street_parts.options import Options
from street_parts.picture_files import read_exr_floats

MOTION_STEP_PX = 1 / 32
PASSES = {"label": ("IndexMA", "Material Index"), "instance": ("IndexOB", "Object Index")}  # before 5.0, since


@dataclass(frozen=True)
class Maps:
    """Of one frame. label: [H, W] uint8; instance: [H, W] uint16, 0 is the sky; motion: x and y, [H, W] float16.

    Motion is in pixels, y down: a pixel p was at p + motion in the frame before.
    """

    label: NDArray[np.uint8]
    instance: NDArray[np.uint16]
    motion: tuple[NDArray[np.float16], NDArray[np.float16]]


def prepare(scene: Any, options: Options) -> None:
    """Set size, samples and passes."""
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = options.size
    render.resolution_percentage, render.fps = 100, 24
    render.use_persistent_data, render.use_motion_blur = True, False
    render.threads_mode, render.threads = ("FIXED", options.threads) if options.threads else ("AUTO", render.threads)
    for name in dir(render):
        if name.startswith("use_stamp"):
            setattr(render, name, False)  # no date, machine or path in the pictures
    _sample(scene.cycles, options.samples, has_colour=options.has_colour)
    layer = scene.view_layers[0]
    layer.use_pass_vector = layer.use_pass_object_index = layer.use_pass_material_index = True
    view = scene.view_settings
    view.view_transform, view.look, view.exposure = "AgX", "AgX - Medium High Contrast", 0.0


def _sample(cycles: Any, samples: int, *, has_colour: bool) -> None:
    """Light bounces twice, noise is taken out on the CPU; without colour there is no light at all."""
    bounces = 2 if has_colour else 0
    settings = {
        "device": "CPU",
        "samples": samples,
        "use_adaptive_sampling": True,
        "adaptive_threshold": 0.03,
        "adaptive_min_samples": 8,
        "use_denoising": has_colour,
        "denoiser": "OPENIMAGEDENOISE",
        "denoising_input_passes": "RGB_ALBEDO_NORMAL",
        "denoising_prefilter": "FAST",
        "denoising_quality": "BALANCED",
        "denoising_use_gpu": False,
        "max_bounces": 2 * bounces,
        "diffuse_bounces": bounces,
        "glossy_bounces": bounces,
        "transmission_bounces": bounces,
        "transparent_max_bounces": 4,
        "caustics_reflective": False,
        "caustics_refractive": False,
        "sample_clamp_indirect": 4,
        "use_fast_gi": False,
        "sampling_pattern": "BLUE_NOISE",  # what "automatic" meant until 5.0: motion stays the same
        "seed": 0,
        "use_animated_seed": True,
        "use_light_tree": False,
    }
    for name, value in settings.items():
        setattr(cycles, name, value)


def render_frame(scene: Any, frame: int, folder: Path, *, has_colour: bool) -> tuple[Maps, Path | None]:
    """Render into a folder for unfinished work; gives the maps and, if asked for, the path of the colour picture."""
    scene.frame_set(frame)
    path = folder / "passes.exr"
    _write_passes(scene, path)
    bpy.ops.render.render(write_still=True)
    maps = _maps_of(read_exr_floats(path))
    path.unlink()
    if not has_colour:
        return maps, None
    colour = folder / "color.png"
    _write_pictures(scene)
    bpy.data.images["Render Result"].save_render(str(colour))
    return maps, colour


def _write_passes(scene: Any, path: Path) -> None:
    scene.render.filepath = str(path)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    if hasattr(settings, "use_exr_interleave"):
        settings.use_exr_interleave = True


def _write_pictures(scene: Any) -> None:
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    settings.compression = 100


def _maps_of(channels: dict[str, NDArray[np.float32]]) -> Maps:
    passes = {name.split(".", 1)[1]: values for name, values in channels.items()}  # without the name of the layer
    ids = {kind: next(passes[f"{name}.X"] for name in names if f"{name}.X" in passes) for kind, names in PASSES.items()}
    return Maps(
        label=np.rint(ids["label"]).astype(np.uint8),
        instance=np.rint(ids["instance"]).astype(np.uint16),
        motion=(_stepped(passes["Vector.X"]), _stepped(-passes["Vector.Y"])),
    )


def _stepped(motion: NDArray[np.float32]) -> NDArray[np.float16]:
    """As a half, to the next 1/32 of a pixel."""
    halves = motion.astype(np.float16).astype(np.float32)
    stepped: NDArray[np.float32] = np.rint(halves / MOTION_STEP_PX) * MOTION_STEP_PX
    return stepped.astype(np.float16)
