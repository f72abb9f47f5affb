# SPDX-License-Identifier: GPL-3.0-or-later
"""From a .blend to an MP4 and a neural archive without a window.

    blender -b shot.blend -P blender_shot.py -- OUT [--model street] [--quality fast] [--psnr 34] [--train-every 10]

Materials get the classes that their names hold (car, road …); those you gave by hand stay. OUT gets the maps, the
frames as PNG, `shot.nirv` and `shot.mp4`; what is there already is kept, and new ones are called `…_v002`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

import bpy


def mapreel() -> Any:
    """The package of the extension, however this Blender calls it (4.2 and newer, or older)."""
    for name in ("bl_ext.user_default.mapreel_blender", "mapreel_blender"):
        if name in bpy.context.preferences.addons:
            return importlib.import_module(name)
    raise SystemExit("Mapreel is not enabled in this Blender: run `python3 install.py host blender`")


def make(scene: Any, options: argparse.Namespace) -> dict[str, str]:
    """Maps, frames, archive, movie. Gives where each lies; raises MapreelError, one sentence."""
    package = mapreel()
    api = importlib.import_module(f"{package.__name__}.api")
    classes = importlib.import_module(f"{package.__name__}.classes")

    classes.guess(classes.load_palette(scene.mapreel.palette))
    maps = api.maps_from_scene(scene, f"{options.out}/maps")
    shot = {"labels": maps.pattern, "instances": maps.pattern, "motion": maps.pattern}
    for line in api.check_maps(scene, maps.pattern).lines:
        print(line)

    if options.train_every:
        scene.mapreel.labels, scene.mapreel.instances, scene.mapreel.motion = shot.values()
        made = api.train_on_shot(scene, f"{options.out}/training", every=options.train_every, steps=options.train_steps)
        print(made.sentence)
        options.model = made.model
    take = api.render(scene, out=f"{options.out}/frames", model=options.model, quality=options.quality, **shot)
    archive = api.archive(take.path, f"{options.out}/shot.nirv", scene=scene, psnr_db=options.psnr)
    movie = api.unarchive(archive.path, f"{options.out}/shot.mp4")
    return {"maps": maps.folder, "frames": take.path, "archive": archive.path, "movie": movie.path}


def main(arguments: list[str]) -> dict[str, str]:
    """Read the words after `--` and do it."""
    parser = argparse.ArgumentParser(prog="blender_shot.py")
    parser.add_argument("out", help="folder for everything that is made; `//` is where the .blend lies")
    parser.add_argument("--model", default="street", help="name or folder of a model")
    parser.add_argument("--quality", default="fast", choices=["full", "fast", "draft"])
    parser.add_argument("--psnr", type=float, default=34.0, help="of the archive, dB")
    parser.add_argument("--train-every", type=int, default=0, help="train on every nth frame as Blender renders it")
    parser.add_argument("--train-steps", type=int, default=2000)
    return make(bpy.context.scene, parser.parse_args(arguments))


if __name__ == "__main__":
    for what, path in main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []).items():
        print(f"{what}: {path}")
