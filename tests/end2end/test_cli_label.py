# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that artists bring in, as the command line takes them: looked at, turned into label maps, rendered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mapreel.core.contract.frames import find_sequence
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.palettes import load_palette

DATA = Path(__file__).resolve().parents[1] / "data"
BLENDER = str(DATA / "blender" / "blender50.%04d.exr")
OBJECTS = ("--classes", "car*=car", "--classes", "ground=road", "--classes", "tree*=vegetation")


def test_inspect_tells_layers_names_and_motion(warm_mapreel):
    run = warm_mapreel("label", "inspect", BLENDER, "--layer", "CryptoObject", "--json")
    assert run.code == 0, run.stderr
    told = json.loads(run.stdout)
    assert (told["frames"], told["size"], told["source"]) == ("2-3", [64, 48], BLENDER)
    assert {entry["name"] for entry in told["entries"]} == {"car_01", 'car "two" ß', "tree\\old", "ground", "nothing"}
    assert (told["motion"]["axes"], told["motion"]["sure"]) == ("x,-y", True)


def test_cryptomatte_becomes_label_maps_and_a_palette(warm_mapreel, tmp_path):
    words = ("--layer", "CryptoObject", "--classes", "car*=vehicle", "--classes", "*=rest")
    run = warm_mapreel("label", "convert", f"{BLENDER} 2-3", *words, "--out", tmp_path / "out")
    assert run.code == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"{tmp_path}/out/blender50.%04d.png 2-3"
    palette = load_palette(tmp_path / "out" / "palette.json")
    assert palette.names == {0: "nothing", 1: "vehicle", 2: "rest"}
    found = find_sequence(tmp_path / "out")
    assert found.numbers == (2, 3)
    assert sorted(np.unique(read_label_map(found.pattern.path(3))).tolist()) == [0, 1, 2]


def test_palette_to_palette_there_and_back(warm_mapreel, tmp_path):
    source = DATA / "maps" / "grey8.png"
    shot = tmp_path / "shot"
    shot.mkdir()
    (shot / "a.1001.png").write_bytes(source.read_bytes())
    steps = (
        ("cityscapes", "cityscapes-train", "train", "--colours"),
        ("cityscapes-train", "cityscapes", "back"),
    )
    maps = shot
    for palette, to, name, *more in steps:
        out = tmp_path / name
        run = warm_mapreel("label", "convert", maps, "--palette", palette, "--to", to, "--out", out, *more)
        assert run.code == 0, run.stderr
        maps = out
    assert np.array_equal(read_label_map(tmp_path / "back" / "a.1001.png"), np.load(DATA / "maps" / "ids.npy"))


def test_classes_in_a_file_and_a_name_without_a_class(warm_mapreel, tmp_path):
    (tmp_path / "mine.json").write_text('{"car*": "car", "ground": "road", "nothing": "sky"}')
    words = (
        "--layer",
        "CryptoObject",
        "--classes",
        tmp_path / "mine.json",
        "--to",
        "street",
        "--out",
        tmp_path / "out",
    )
    run = warm_mapreel("label", "convert", BLENDER, *words)
    assert run.code == 2
    assert "“tree\\old”" in run.stderr
    assert "the palette street" in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_blender_render_becomes_pictures_at_once(warm_mapreel, tmp_path):
    """Objects by name, instances, motion: all from the files that Blender wrote."""
    words = ("--layer", "CryptoObject", *OBJECTS, "--classes", "nothing=sky")
    words += ("--instances", BLENDER, "--instance-layer", "Object Index", "--motion", BLENDER)
    out = tmp_path / "out"
    run = warm_mapreel("render", BLENDER, "--model", "street", *words, "--out", out, "--local")
    assert run.code == 0, run.stderr
    assert "ViewLayer.Vector.X" in run.stderr
    assert "as x,-y (Blender's Vector pass" in run.stderr
    assert find_sequence(out).numbers == (2, 3)
    request = json.loads((out / "mapreel.json").read_text(encoding="utf-8"))["request"]
    assert request["layer"] == "CryptoObject"


def test_colours_without_their_palette_are_refused_with_its_name(warm_mapreel, tmp_path):
    shot = tmp_path / "shot"
    shot.mkdir()
    (shot / "a.1001.png").write_bytes((DATA / "maps" / "colours.png").read_bytes())
    refused = warm_mapreel("render", shot, "--model", "street", "--out", tmp_path / "no", "--local")
    assert refused.code == 2
    assert "--palette" in refused.stderr
    assert not (tmp_path / "no").exists()


def test_a_rule_that_leads_to_no_class_costs_nothing(warm_mapreel, tmp_path):
    run = warm_mapreel(
        "render", BLENDER, "--model", "street", "--layer", "CryptoObject", "--classes", "car*=lorry", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert run.code == 2
    assert "“lorry” is no class of the model street" in run.stderr
    assert not (tmp_path / "out").exists()
