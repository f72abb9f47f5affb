# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that artists bring in, read from the samples in tests/data and held against other readers' values."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
import pytest

from mapreel.core.contract.errors import (
    DamagedFileError,
    FileTooLargeError,
    InputError,
    MissingInputError,
    UnknownLabelError,
    UnsupportedFileError,
)
from mapreel.core.contract.frames import find_sequence
from mapreel.core.contract.maps import MapOptions
from mapreel.core.media import cryptomatte as crypto
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.exrlayers import exr_layout
from mapreel.core.media.labels import MapReading, instance_numbers, read_coded, read_instance_map, read_label_map
from mapreel.core.media.landmarks import Subject, are_landmarks, read_landmarks
from mapreel.core.media.mapfacts import map_layers, told_choice
from mapreel.core.media.mapheaders import map_header
from mapreel.core.media.motion import find_motion, read_motion
from mapreel.core.media.motioncheck import judge
from mapreel.core.media.movies import read_movie_frames
from mapreel.core.media.murmur import crypto_id
from mapreel.core.media.palettes import load_palette
from mapreel.core.media.sequence import open_maps

DATA = Path(__file__).resolve().parents[1] / "data"
MAPS, BLENDER = DATA / "maps", DATA / "blender"
NAMES = ("car_01", 'car "two" ß', "tree\\old")  # as make_blender_samples.py has them
CITY = MapReading(palette=load_palette("cityscapes"))
OBJECTS = {"45": "IndexOB", "50": "Object Index"}


@pytest.fixture(scope="module")
def ids():
    return np.load(MAPS / "ids.npy", allow_pickle=False)


@pytest.mark.parametrize("name", ["grey8.png", "grey16.png", "indexed.png", "grey8.tif", "grey16.tif", "indexed.tif"])
def test_ids_of_png_and_tiff(name, ids):
    assert np.array_equal(read_label_map(MAPS / name), ids)
    assert np.array_equal(read_label_map(MAPS / name, reading=CITY), ids)
    assert map_header(MAPS / name)[0] == ids.shape


@pytest.mark.parametrize("name", ["grey8.png", "grey16.png", "grey8.tif", "grey16.tif"])
def test_ids_as_opencv_reads_them(name, ids):
    assert np.array_equal(cv2.imdecode(np.fromfile(MAPS / name, np.uint8), cv2.IMREAD_UNCHANGED), ids)


@pytest.mark.parametrize("name", ["colours.png", "colours16.png", "colours.tif", "renumbered.png"])
def test_colours_of_a_palette(name, ids):
    assert np.array_equal(read_label_map(MAPS / name, reading=CITY), ids)


def test_colours_without_a_palette_say_which_would_fit():
    with pytest.raises(UnknownLabelError, match=r"colour picture.*--palette"):
        read_label_map(MAPS / "colours.png", frame=3)
    with pytest.raises(
        UnknownLabelError, match=r"no class of celebamask: #4682b4 \(300 pixels\), .* first at x 0, y 0"
    ):
        read_label_map(MAPS / "colours.png", reading=MapReading(palette=load_palette("celebamask")))


def test_a_soft_edge_is_no_class(tmp_path):
    picture = cv2.imread(str(MAPS / "colours.png"))
    picture[5, 7] = (1, 2, 3)
    assert cv2.imwrite(str(tmp_path / "soft.png"), picture)
    with pytest.raises(UnknownLabelError, match=r"#030201 \(1 pixels\), first at x 7, y 5.*label doctor"):
        read_label_map(tmp_path / "soft.png", reading=CITY)


def test_transparent_pixels_have_no_class(tmp_path):
    picture = np.zeros((4, 4, 4), np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), picture)
    with pytest.raises(UnknownLabelError, match="16 pixels that are not opaque"):
        read_label_map(tmp_path / "a.png", reading=CITY)


@pytest.mark.parametrize(("name", "layer"), [("uint.exr", None), ("layered.exr", None), ("parts.exr", None)])
def test_index_passes(name, layer, ids):
    assert np.array_equal(read_label_map(MAPS / name, reading=MapReading(layer=layer)), ids)
    assert np.array_equal(read_instance_map(MAPS / name), ids)


def test_an_index_pass_in_a_part_of_the_display_window(ids):
    expected = np.zeros_like(ids)
    expected[4:20, 6:30] = ids[4:20, 6:30]
    assert np.array_equal(read_label_map(MAPS / "window.exr"), expected)
    assert map_header(MAPS / "window.exr")[0] == ids.shape


def save_exr(path, values, channels, kind="float", packing="zip", texts=()):
    planes = np.asarray(values, np.float32)
    spec = oiio.ImageSpec(planes.shape[1], planes.shape[0], planes.shape[2], kind)
    spec.channelnames = channels
    spec.attribute("compression", packing)
    for name, text in texts:
        spec.attribute(name, text)
    target = oiio.ImageOutput.create("openexr")
    assert target.open(str(path), spec), target.geterror()
    assert target.write_image(planes)
    assert target.close()


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (0.5, "float", "1 pixels of id.X that are no whole numbers, first at x 2, y 1.*anti-aliasing"),
        (70000.0, "float", "ids from 0 to 70000"),
        (-1.0, "float", "ids from -1 to 0"),
        (2050.0, "half", "no exact ids above 2048"),
    ],
)
def test_values_that_are_no_ids(tmp_path, value, kind, said):
    values = np.zeros((3, 4, 1))
    values[1, 2] = value
    save_exr(tmp_path / "0001.exr", values, ("id.X",), kind)
    with pytest.raises(UnknownLabelError, match=said):
        read_label_map(tmp_path / "0001.exr", frame=1)


def test_channels_that_differ_are_no_ids(tmp_path):
    save_exr(tmp_path / "a.exr", np.arange(24).reshape(2, 4, 3), ("id.R", "id.G", "id.B"))
    with pytest.raises(UnknownLabelError, match="different values in"):
        read_label_map(tmp_path / "a.exr")
    assert read_label_map(tmp_path / "a.exr", reading=MapReading(layer="id.G")).tolist() == [
        [1, 4, 7, 10],
        [13, 16, 19, 22],
    ]


def test_a_nan_is_no_id(tmp_path):
    save_exr(tmp_path / "a.exr", np.full((2, 2, 1), np.nan), ("id.X",))
    with pytest.raises(DamagedFileError, match="NaN"):
        read_label_map(tmp_path / "a.exr")


def test_instance_maps_in_colours_and_folded():
    found = read_instance_map(MAPS / "instances.png")
    assert np.array_equal(found, np.load(MAPS / "ids.npy") + 256)
    assert instance_numbers(np.array([0, 1, 65535, 65536, 65537, 131071], np.uint32)).tolist() == [0, 1, 65535, 1, 2, 1]


# --- Blender -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["45", "50"])
def test_index_passes_of_blender(version):
    path = BLENDER / f"blender{version}.0002.exr"
    found = read_label_map(path, reading=MapReading(layer=OBJECTS[version]))
    assert sorted(np.unique(found).tolist()) == [0, 1, 2, 3, 300]
    with pytest.raises(InputError, match=rf"several maps.*--layer.*CryptoMaterial.*ViewLayer\.{OBJECTS[version]}"):
        read_label_map(path)
    with pytest.raises(InputError, match="has no layer Depth"):
        read_label_map(path, reading=MapReading(layer="Depth"))


@pytest.mark.parametrize(("material", "thing"), [("IndexMA", "IndexOB"), ("Material Index", "Object Index")])
def test_of_blenders_two_index_passes_materials_are_classes_and_objects_instances(tmp_path, material, thing):
    """As its extension writes them: one file serves as labels, instances and motion."""
    path = tmp_path / "maps.0001.exr"
    names = (f"ViewLayer.{thing}.X", f"ViewLayer.{material}.X", "ViewLayer.Vector.X")
    save_exr(path, np.arange(12.0).reshape(2, 2, 3), names)
    assert read_label_map(path).tolist() == [[1, 4], [7, 10]]
    assert read_instance_map(path).tolist() == [[0, 3], [6, 9]]
    assert f"ViewLayer.{material} (index)" in told_choice(path, 1, MapReading())
    assert f"ViewLayer.{thing} (index)" in told_choice(path, 1, MapReading(flag="--instance-layer"))
    save_exr(path, np.arange(12.0).reshape(2, 2, 3), (*names[:2], "ViewLayer.id.X"))
    with pytest.raises(InputError, match="several maps"):
        read_label_map(path)


@pytest.mark.parametrize("version", ["45", "50"])
def test_cryptomatte_of_blender(version):
    """Objects and their index pass come from the same render, and differ on outlines alone."""
    path = BLENDER / f"blender{version}.0002.exr"
    rules = ClassRules((("ground", "1"), ("car_*", "2"), ('car "two" ß', "3"), ("tree\\*", "300"), ("nothing", "0")))
    by_name = read_label_map(path, reading=MapReading(layer="cryptoobject", rules=rules))
    index = read_label_map(path, reading=MapReading(layer=OBJECTS[version]))
    assert sorted(np.unique(by_name).tolist()) == [0, 1, 2, 3, 300]
    assert (by_name != index).mean() < 0.05
    materials = read_coded(path, 2, MapReading(layer="ViewLayer.CryptoMaterial"))
    assert {'paint "red"', "grass_ü", "bark", "nothing"} <= {materials.entry(c).name for c in materials.present()}


@pytest.mark.parametrize("index", range(len(NAMES)))
def test_coverage_is_what_blender_decodes(index):
    path = BLENDER / "blender45.0002.exr"
    matte = crypto.choose(crypto.cryptomattes(exr_layout(path), path, 2), "CryptoObject", path, 2)
    assert matte is not None
    ids, coverage = crypto._ranks(matte, path, 2)
    ours = np.where(ids == crypto_id(NAMES[index]), coverage, 0).sum(axis=0)
    theirs = oiio.ImageBuf(str(BLENDER / f"matte_by_blender_{index}.exr")).get_pixels("float")[:, :, 0]
    assert np.abs(ours - theirs).max() < 1e-6
    assert ours.max() > 0.99


@pytest.mark.parametrize("version", ["45", "50"])
def test_the_vector_pass_of_blender_leads_to_the_frame_before(version):
    paths = {n: BLENDER / f"blender{version}.{n:04d}.exr" for n in (2, 3)}
    here, before = (read_label_map(paths[n], reading=MapReading(layer=OBJECTS[version])) for n in (3, 2))
    motion = read_motion(paths[3], frame=3)
    assert find_motion(exr_layout(paths[3]), paths[3]).axes == "x,-y"
    assert judge([(motion, here, before)]).sure
    turned = judge([(read_motion(paths[3], layout="x,y"), here, before)])
    assert turned.better is not None
    assert turned.better.axes == "x,-y"
    car = here == 2
    assert motion[car][:, 0].mean() < -1  # it drove right and up, so it was left of and below where it is
    assert motion[car][:, 1].mean() > 1


@pytest.mark.parametrize("version", ["45", "50"])
def test_one_look_finds_all_layers(version):
    kinds = [fact.kind for fact in map_layers(BLENDER / f"blender{version}.0002.exr")]
    assert kinds == ["cryptomatte", "cryptomatte", "index", "index", "motion"]


# --- Cryptomatte with a manifest beside the file -----------------------------------------------------------------


def beside(folder: Path) -> Path:
    shutil.copytree(MAPS / "names", folder / "names")
    return Path(shutil.copy(MAPS / "cryptomatte_beside.0001.exr", folder / "a.0001.exr"))


def test_a_manifest_beside_the_file(tmp_path, ids):
    rules = ClassRules((("road*", "7"), ('house "A"', "11"), ("tree ?", "21"), ("sky", "23"), ("car*", "26")))
    assert np.array_equal(read_label_map(beside(tmp_path), reading=MapReading(rules=rules)), ids)


def test_a_manifest_that_is_gone_leaves_a_sentence(tmp_path):
    path = beside(tmp_path)
    (tmp_path / "names" / "manifest.json").unlink()
    with pytest.raises(MissingInputError, match=r"names/manifest.json of frame 1 \(.*\) is not there; copy it"):
        read_label_map(path, frame=1)


def test_a_broken_manifest_leaves_a_sentence(tmp_path):
    path = beside(tmp_path)
    (tmp_path / "names" / "manifest.json").write_text('{"car": ')
    with pytest.raises(DamagedFileError, match="manifest"):
        read_label_map(path, frame=1)


@pytest.mark.parametrize(
    "name", ["../secret.json", "/etc/passwd", "C:\\secret.json", "names/../../x.json", ".", "a\\..\\..\\b"]
)
def test_a_manifest_outside_the_folder_is_not_opened(tmp_path, name):
    (tmp_path / "secret.json").write_text("{}")
    folder = tmp_path / "shot"
    folder.mkdir()
    texts = [("cryptomatte/1234567/name", "n"), ("cryptomatte/1234567/manif_file", name)]
    save_exr(folder / "a.exr", np.ones((2, 2, 2)), ("n00.r", "n00.g"), texts=texts)
    with pytest.raises(InputError, match="outside its folder"):
        read_label_map(folder / "a.exr")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    folder = tmp_path / "shot"
    folder.mkdir()
    (folder / "m.json").symlink_to(tmp_path / "secret.json")
    texts = [("cryptomatte/1234567/name", "n"), ("cryptomatte/1234567/manif_file", "m.json")]
    save_exr(folder / "a.exr", np.ones((2, 2, 2)), ("n00.r", "n00.g"), texts=texts)
    with pytest.raises(InputError, match="outside its folder"):
        read_label_map(folder / "a.exr")


NAMED = [("cryptomatte/1234567/name", "n"), ("cryptomatte/1234567/manifest", '{"car": "3f800000"}')]


@pytest.mark.parametrize(
    ("channels", "kind", "packing", "error", "said"),
    [
        (("n00.r", "n00.g", "n02.r", "n02.g"), "float", "zip", DamagedFileError, "lacks the layer n01"),
        (("n00.r", "n00.g", "n00.b", "x.y"), "float", "zip", DamagedFileError, "lacks channels of n00"),
        (("n00.r", "n00.g", "n00.b", "n00.a"), "half", "zip", UnsupportedFileError, "in 16 bits"),
        (("n00.r", "n00.g", "n00.b", "n00.a"), "float", "dwaa", UnsupportedFileError, "DWAA, which changes ids"),
        (("n00.r", "n00.g", "n00.b", "n00.a"), "float", "pxr24", UnsupportedFileError, "PXR24, which changes ids"),
    ],
)
def test_cryptomattes_that_cannot_be_right(tmp_path, channels, kind, packing, error, said):
    save_exr(tmp_path / "a.exr", np.ones((40, 40, len(channels))), channels, kind, packing, NAMED)
    with pytest.raises(error, match=said):
        read_label_map(tmp_path / "a.exr")


@pytest.mark.parametrize(
    "channels",
    [
        ("n00.R", "n00.G", "n00.B", "n00.A"),
        ("n00.red", "n00.green", "n00.blue", "n00.alpha"),
        ("n00.r", "n00.g", "n00.b", "n00.a"),
    ],
)
def test_the_rank_that_covers_most_wins(tmp_path, channels):
    """Ids 1.0 and 2.0; the second rank may cover more, and what no rank covers is nothing."""
    cover = [(0.6, 0.4), (0.3, 0.7), (0.5, 0.5), (0.2, 0.3), (0.0, 0.0)]
    values = np.array([[(1.0, a, 2.0, b) for a, b in cover]])
    save_exr(tmp_path / "a.exr", values, channels, texts=NAMED)
    coded = read_coded(tmp_path / "a.exr", 1, MapReading())
    assert [coded.entry(int(c)).name for c in coded.codes[0]] == ["car", "40000000", "car", "nothing", "nothing"]


# --- motion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layout", "axes"),
    [
        ("motion.0002.exr", None, "x,y"),
        ("motion_nuke.0002.exr", None, "x,-y"),
        ("motion_other.0002.exr", "mv:x,y", "x,y"),
    ],
)
def test_motion_of_everybody_is_the_same(name, layout, axes):
    motion = read_motion(MAPS / name, layout=layout)
    assert set(map(tuple, motion.reshape(-1, 2).tolist())) == {(0.0, 0.0), (-3.0, -1.0)}
    assert np.array_equal(motion, read_motion(MAPS / "motion.0002.exr"))
    assert find_motion(exr_layout(MAPS / name), MAPS / name, told=layout).axes == axes


def test_a_layer_that_nobody_knows_is_asked_for():
    with pytest.raises(UnsupportedFileError, match=r"mv\.R, mv\.G, mv\.B.*--motion-layout LAYER:x,y"):
        read_motion(MAPS / "motion_other.0002.exr")
    turned = read_motion(MAPS / "motion_other.0002.exr", layout="mv:-x,y")
    assert np.array_equal(turned * (-1, 1), read_motion(MAPS / "motion.0002.exr"))


# --- movies, landmarks, sequences --------------------------------------------------------------------------------


def test_a_movie_with_b_frames_at_uneven_times():
    frames = list(read_movie_frames(MAPS / "uneven.mp4"))
    assert [frame.time_s for frame in frames] == [Fraction(t, 1000) for t in (0, 40, 80, 200, 240, 400)]
    greys = [round(float(frame.pixels.mean())) for frame in frames]
    assert np.abs(np.array(greys) - np.arange(20, 240, 40)).max() <= 2


def test_landmarks_of_faces_and_bodies():
    face = read_landmarks(MAPS / "face.npy")
    assert (face.subject, face.numbers, face.in_pixels) == (Subject.FACE, (1, 2), False)
    body = read_landmarks(MAPS / "pose")
    assert (body.subject, body.numbers, body.in_pixels) == (Subject.POSE, (1001, 1002), True)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("walk_############_keypoints.json", (1001, 1002)),
        ("walk_$F12_keypoints.json", (1001, 1002)),
        ("walk_############_keypoints.json 1002-1100", (1002,)),
        ("walk_000000001001_keypoints.json", (1001, 1002)),
    ],
)
def test_openpose_by_pattern(text, numbers):
    assert are_landmarks(f"{MAPS}/pose/{text}")
    assert read_landmarks(f"{MAPS}/pose/{text}").numbers == numbers


def test_a_sequence_that_changes_its_kind_is_told_at_once(tmp_path):
    for number in (1, 2, 3):
        shutil.copy(MAPS / "grey8.png", tmp_path / f"a.{number:04d}.png")
    shutil.copy(MAPS / "colours.png", tmp_path / "a.0003.png")
    with pytest.raises(UnknownLabelError, match="frame 3"):
        open_maps(tmp_path, "label")
    found = open_maps(tmp_path, "label", options=MapOptions(palette="cityscapes"))
    assert np.array_equal(found.read(1), found.read(3))


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_maps_of_one_line(tmp_path, shape):
    values = np.arange(shape[0] * shape[1]).reshape(shape)
    assert cv2.imwrite(str(tmp_path / "a.0001.png"), values.astype(np.uint8))
    assert cv2.imwrite(str(tmp_path / "b.0001.tif"), values.astype(np.uint16))
    save_exr(tmp_path / "c.0001.exr", values[..., None], ("id.X",))
    for name in ("a.####.png", "b.####.tif", "c.####.exr"):
        assert np.array_equal(open_maps(str(tmp_path / name), "label").read(1), values)


@pytest.mark.parametrize(
    "text", ["n.####.exr", "n.%04d.exr", "n.$F4.exr", "n.@@@@.exr", "n.####.exr 2-3", "n.2-3#.exr", "n.2-3@@@@.exr"]
)
def test_every_spelling_finds_the_same_frames_and_is_printed_back(tmp_path, text):
    for version in (2, 3):
        shutil.copy(BLENDER / f"blender45.{version:04d}.exr", tmp_path / f"n.{version:04d}.exr")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "._n.0002.exr").write_bytes(b"x")
    options = MapOptions(layer="IndexOB")
    maps = open_maps(f"{tmp_path}/{text}", "label", options=options)
    assert maps.numbers == (2, 3)
    assert maps.source == f"{tmp_path}/{text}"
    pattern = find_sequence(f"{tmp_path}/{text}").pattern
    assert pattern.spelled(pattern.frames) == f"{tmp_path}/{text}"


@pytest.mark.parametrize("name", ["grey16.tif", "indexed.tif", "colours.tif"])
def test_every_cut_tiff_fails_with_a_sentence(tmp_path, name):
    whole = (MAPS / name).read_bytes()
    path = tmp_path / "a.tif"
    for length in (*range(1, len(whole) - 4, max(1, len(whole) // 25)),):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.tif"):
            read_label_map(path, frame=1, reading=CITY)


def test_a_tiff_that_lies_about_its_size(tmp_path):
    data = bytearray((MAPS / "grey8.tif").read_bytes())
    start = int.from_bytes(data[4:8], "little")
    for tag in range(int.from_bytes(data[start : start + 2], "little")):
        at = start + 2 + 12 * tag
        if int.from_bytes(data[at : at + 2], "little") in (256, 257):
            data[at + 8 : at + 10] = (65535).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(data)
    for read in (read_label_map, map_header):
        with pytest.raises((DamagedFileError, FileTooLargeError)):
            read(tmp_path / "a.tif")


def test_a_jpeg_is_no_label_map(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UnsupportedFileError, match="compression has changed its ids"):
        read_label_map(tmp_path / "a.jpg", reading=CITY)


def test_the_samples_say_where_they_come_from():
    manifest = json.loads((MAPS / "names" / "manifest.json").read_text(encoding="utf-8"))
    assert {name: f"{crypto_id(name):08x}" for name in manifest} == manifest
    size = sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file())
    assert size < 2 << 20


def write_movie(path, frames, codec, layout):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = layout
        for frame in frames:
            given = av.VideoFrame.from_ndarray(frame, format=layout if frame.ndim == 2 else "rgb24")
            container.mux(stream.encode(given.reformat(format=layout)))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("codec", "layout", "name", "options"),
    [
        ("ffv1", "gray", "grey8.png", MapOptions()),
        ("ffv1", "gray16le", "grey16.png", MapOptions()),
        ("ffv1", "bgr0", "colours.png", MapOptions(palette="cityscapes")),
        ("png", "rgb24", "colours.png", MapOptions(palette="cityscapes")),
    ],
)
def test_a_movie_packed_without_loss_holds_maps(tmp_path, ids, codec, layout, name, options):
    picture = oiio.ImageBuf(str(MAPS / name)).get_pixels("uint16" if layout == "gray16le" else "uint8")
    picture = picture[:, :, 0] if layout.startswith("gray") else picture
    path = write_movie(
        tmp_path / f"maps.{'mov' if codec == 'png' else 'mkv'}", [picture, picture, picture[::-1].copy()], codec, layout
    )
    maps = open_maps(path, "label", None, options=options)
    assert maps.numbers == (1, 2, 3)
    assert np.array_equal(maps.read(3), ids[::-1])
    assert np.array_equal(maps.read(1), ids)
    if layout.startswith("gray"):
        assert np.array_equal(open_maps(path, "instance").read(2), ids)


@pytest.mark.parametrize(("codec", "layout"), [("libx264", "yuv420p"), ("ffv1", "yuv420p")])
def test_a_movie_whose_ids_were_changed_is_refused(tmp_path, codec, layout):
    grey = np.zeros((36, 32), np.uint8)
    path = write_movie(tmp_path / "maps.mkv", [np.dstack([grey] * 3)] * 2, codec, layout)
    with pytest.raises(UnsupportedFileError, match="compression has changed the ids"):
        open_maps(path, "label")
    with pytest.raises(UnsupportedFileError, match="no movie holds motion maps"):
        open_maps(path, "motion")
