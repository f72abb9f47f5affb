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


def numbered(folder, *files):
    """Copies of sample files as the frames 1, 2 … of one sequence."""
    folder.mkdir()
    for number, file in enumerate(files, start=1):
        (folder / f"map.{number:04d}{Path(file).suffix}").write_bytes((DATA / "maps" / file).read_bytes())
    return folder


def test_inspect_looks_beyond_the_first_frame(warm_mapreel, tmp_path):
    maps = numbered(tmp_path / "maps", "grey8.png", "grey8.png", "indexed.png", "grey8.png")
    told = warm_mapreel("label", "inspect", maps, "--json").data
    one = warm_mapreel("label", "inspect", f"{maps}/map.####.png 1", "--json").data
    assert (told["read"], one["read"], told["unlike"]) == ("1-4", "1", {"3": "indexed"})
    assert sum(entry["pixels"] for entry in told["entries"]) == 4 * sum(entry["pixels"] for entry in one["entries"])
    (maps / "map.0004.png").write_bytes((maps / "map.0004.png").read_bytes()[:-40])
    run = warm_mapreel("label", "inspect", maps)
    assert run.code == 1
    assert "frame 4 (maps/map.0004.png) is cut short" in run.stdout
    assert "frames 1-3:" in run.stdout


def test_inspect_of_what_nobody_knows_is_told_and_its_exit_code_too(warm_mapreel, tmp_path):
    colours = numbered(tmp_path / "colours", "colours.png")
    unknown = warm_mapreel("label", "inspect", colours)
    assert unknown.code == 1
    assert "--palette" in unknown.stdout
    assert "one file; the number in its name is taken for the frame number, 1" in unknown.stdout
    assert warm_mapreel("label", "inspect", colours, "--palette", "cityscapes").code == 0
    several = warm_mapreel("label", "inspect", BLENDER, "--json")
    assert several.code == 0  # to choose a layer is what it is asked for
    none = warm_mapreel("label", "inspect", BLENDER, "--frames", "90-99")
    assert (none.code, "it has 2-3" in none.stderr) == (2, True)


def test_the_doctor_reads_exr_by_layer_and_classes(warm_mapreel, tmp_path):
    asked = warm_mapreel("label", "doctor", BLENDER)
    assert asked.code == 2  # before anything is queued
    assert "--layer" in asked.stderr
    words = ("--layer", "CryptoObject", "--classes", "car*=car", "--classes", "ground=road")
    words += ("--classes", "*=vegetation", "--classes", "nothing=sky", "--palette", "street")
    for way in ((), ("--local",)):
        run = warm_mapreel("label", "doctor", BLENDER, *words, *way, "--json")
        assert run.code == 0, run.stderr
        result = run.data["result"]
        assert (result["looked_at"], result["size"]) == (2, [64, 48])
        assert "damaged" not in {each["problem"] for each in result["findings"]}
    run = warm_mapreel("label", "doctor", BLENDER, *words, "--repair", tmp_path / "out")
    assert run.code == 0, run.stderr
    assert "2 frames, 64x48" in run.stdout
    street = {entry.name: entry.id for entry in load_palette("street").classes}
    ids = set(np.unique(read_label_map(tmp_path / "out" / "blender50.0003.png")).tolist())
    assert ids == {street[name] for name in ("car", "road", "vegetation", "sky")}
    lost = warm_mapreel("label", "doctor", BLENDER, "--layer", "CryptoObject", "--classes", "car*=boat", *words[-2:])
    assert (lost.code, "“boat” is no class of the palette street" in lost.stderr) == (2, True)


def test_the_doctor_counts_what_it_read(warm_mapreel, tmp_path):
    maps = numbered(tmp_path / "maps", "grey8.png", "grey8.png", "grey8.png")
    (maps / "map.0002.png").unlink()
    assert "map.####.png: 2 of 3 frames read, " in warm_mapreel("label", "doctor", maps).stdout
    assert "map.####.png: 1 frame, " in warm_mapreel("label", "doctor", maps, "--frames", "1").stdout
    refused = warm_mapreel("label", "doctor", maps, "--repair", tmp_path / "out")
    assert refused.code == 2
    assert "frame 2 is missing" in refused.stderr
    assert not (tmp_path / "out").exists()
