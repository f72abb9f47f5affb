# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures out: every kind of file read back by another reader, colours, highlights, alpha, plate metadata, marks."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest

from mapreel.core.contract.errors import MissingInputError, UsageError
from mapreel.core.contract.pictures import FileKind, file_spec
from mapreel.core.contract.progress import SilentContext
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, EncodeRequest, Preset, RenderRequest
from mapreel.core.media import colour
from mapreel.core.media.colour import LINEAR, PINNED, SRGB, ColourConfig, colour_config
from mapreel.core.media.delivery import _NAMED, Delivery
from mapreel.core.media.marks import TRAINED
from mapreel.core.media.plates import PRIMARIES, PlateHeaders, exr_attributes, plate_facts, plate_header, read_plate
from mapreel.core.media.proof import prove_picture
from mapreel.core.media.sidecars import recorded_path, recorded_request
from mapreel.core.media.writers import PictureHeader, write_exr, write_picture
from mapreel.core.nirvana import decoding, jobs
from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
from mapreel.core.nirvana.shaper import shaper_for

RNG = np.random.default_rng(1)
SIZE = (35, 51)


def spec(word: str, bits: int | None = None, packing: str | None = None, out: str = "frames"):
    return file_spec(Path(out), word, bits, packing)


def noise(bits: int, channels: int) -> np.ndarray:
    top = (1 << bits) - 1
    return RNG.integers(0, top, (*SIZE, channels), np.uint16, endpoint=True).astype(
        np.uint8 if bits == 8 else np.uint16
    )


def opencv(path: Path) -> np.ndarray:
    """OpenCV opens no names that are not ASCII; bytes it does."""
    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found[..., [2, 1, 0, 3][: found.shape[2]]]


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("word", "packing"), [("png", None), ("tiff", "zip"), ("tiff", "none")])
def test_whole_numbers_are_kept_exactly(tmp_path, word, packing, bits, channels):
    pixels, wanted = noise(bits, channels), spec(word, bits, packing)
    path = tmp_path / f"szene älva{wanted.suffix}"
    write_picture(path, pixels, wanted, PictureHeader(xmp=b"<x/>", software="Mapreel"))
    first = path.read_bytes()
    write_picture(path, pixels, wanted, PictureHeader(xmp=b"<x/>", software="Mapreel"))
    assert path.read_bytes() == first  # no clock in it
    if not (word == "tiff" and bits == 8 and channels == 4):  # there OpenCV multiplies alpha in
        assert np.array_equal(opencv(path), pixels)
    assert np.array_equal(prove_picture(path), pixels)  # libtiff and libpng, through OpenImageIO
    assert b"<x/>" in first
    assert b"Mapreel" in first


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (900, 3)])
def test_tiff_of_odd_sizes(tmp_path, size):
    pixels = RNG.integers(0, 65535, (*size, 3)).astype(np.uint16)
    write_picture(tmp_path / "a.tif", pixels, spec("tiff", 16))
    assert np.array_equal(opencv(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("packing", ["zip", "zips", "piz", "rle", "none"])
@pytest.mark.parametrize("bits", [16, 32])
def test_exr_keeps_floats(tmp_path, bits, packing):
    pixels = RNG.normal(0, 30, (*SIZE, 4)).astype(np.float16 if bits == 16 else np.float32)
    write_picture(tmp_path / "a.exr", pixels, spec("exr", bits, packing))
    source = oiio.ImageInput.open(str(tmp_path / "a.exr"))
    found = source.spec()
    assert (found.getattribute("compression"), str(found.format)) == (packing, "half" if bits == 16 else "float")
    assert np.array_equal(source.read_image("float"), pixels.astype(np.float32))
    source.close()


@pytest.mark.parametrize("packing", ["dwaa", "dwab"])
def test_exr_packed_with_a_loss_that_is_not_seen(tmp_path, packing):
    rows, columns = np.mgrid[:64, :96]
    pixels = np.stack([rows / 64, columns / 96, 16 * rows / 64], axis=-1).astype(np.float32)
    write_picture(tmp_path / "a.exr", pixels, spec("exr", 16, packing))
    found = read_plate(tmp_path / "a.exr")
    assert np.abs(found - pixels).mean() < 0.01
    assert np.median(np.abs(found[48:, :, 2] / pixels[48:, :, 2] - 1)) < 0.01


@pytest.mark.parametrize(
    ("word", "bits", "packing", "out", "sentence"),
    [
        ("png", 12, None, "x", "not written with 12 bits; use --bits 8 or 16"),
        ("exr", 8, None, "x", "16 or 32 (half or float)"),
        ("exr", None, "b44", "x", "no compression called b44"),
        ("png", None, "zip", "x", "leave --compression out"),
        ("png16", 8, None, "x", "png16 has 16 bits, not 8"),
        ("h265", None, None, "x", "name the output name.mp4"),
        ("exr", None, None, "x.mp4", "cannot hold EXR"),
        ("ffv1", None, None, "x.mp4", "with the ending .mkv"),
        ("prores", None, "gold", "x.mov", "hq, proxy"),
        ("png", None, None, "x.nirv", "no movie"),
    ],
)
def test_what_no_file_can_be_is_a_sentence(word, bits, packing, out, sentence):
    with pytest.raises(UsageError) as caught:
        spec(word, bits, packing, out)
    assert sentence in str(caught.value)


def test_the_ending_decides():
    kinds = {".mp4": FileKind.H264, ".mov": FileKind.PRORES, ".mkv": FileKind.FFV1, ".m4v": FileKind.H264}
    for suffix, kind in kinds.items():
        assert spec("auto", out=f"x{suffix}").kind is kind
        assert spec("png", out=f"x{suffix}").kind is kind  # the default of a render
        assert spec("h264", out=f"x{suffix}").kind is FileKind.H264
    assert file_spec(Path("x.mkv"), "auto", deep=12).bits == 12


# --- colours ----------------------------------------------------------------------------------------------------


def test_the_pinned_config_has_our_names_and_our_curve():
    config = colour_config(None)
    assert config.to_dict()["name"] == PINNED
    assert {name: config.resolve(name) for name in _NAMED} == _NAMED
    codes = RNG.random((8, 8, 3), np.float32)
    light = config.convert(codes, SRGB, LINEAR)
    assert np.abs(light - colour.to_light(codes)).max() < 1e-4
    for name, primaries in PRIMARIES.items():
        assert config.primaries(name) == pytest.approx(primaries, abs=2e-3)
    assert config.is_linear("ACEScg")
    assert not config.is_linear("srgb")


def test_values_above_one_come_back():
    """ACEScct is a logarithm: 16.0 through ten bits and back is within one per cent."""
    light = np.array([[[16.0, 16.0, 16.0], [0.18, 4.0, 1.0], [0.0, 0.001, 30.0]]], np.float32)
    for word, out, peak in (("png", "x", 65535), ("prores", "x.mov", 65535), ("tiff", "x", 65535)):
        wanted = spec(word, 10 if word == "prores" else 16, out=out)
        there = Delivery(spec=wanted, source=LINEAR, asked="ACEScct", linear=True)
        codes = there.pixels(light)
        assert codes.dtype == np.uint16
        if word == "prores":
            codes = np.round(codes / 65535 * 1023) / 1023 * 65535
        back = colour_config(None).convert((codes / peak).astype(np.float32), "ACEScct", LINEAR)
        assert back[0, 0] == pytest.approx([16.0] * 3, rel=0.01)
        assert back[0, 1] == pytest.approx([0.18, 4.0, 1.0], rel=0.03)


@pytest.mark.parametrize("depth", [10, 12, 16])
def test_the_shaper_of_archives_is_inverted(depth):
    shaper = shaper_for(-0.5, 32.0)
    light = np.array([16.0, 1.0, 0.18, 31.9, 0.02, -0.25], np.float32)
    top = (1 << depth) - 1
    back = shaper.linear(np.round(shaper.codes(light) * top).astype(np.float32) / top)
    assert back[:4] == pytest.approx(light[:4], rel=0.01)
    assert back[4:] == pytest.approx(light[4:], abs=0.005)


def test_alpha_is_multiplied_in_where_exr_wants_it_and_nowhere_else():
    picture = np.array([[[128, 64, 255, 128], [10, 20, 30, 0]]], np.uint8)
    straight = Delivery(spec=spec("exr")).pixels(picture, peak=255)
    assert straight[0, 0, :3] == pytest.approx(colour.to_light(picture[0, 0, :3] / np.float32(255)) * (128 / 255), 1e-5)
    assert straight[0, 1].tolist() == [0, 0, 0, 0]
    light = np.array([[[0.5, 0.25, 4.0, 0.5]]], np.float32)
    shown = Delivery(spec=spec("png"), source=LINEAR, linear=True).pixels(light, associated=True)
    assert shown.tolist() == [[[255, 188, 255, 128]]]
    moved = Delivery(spec=spec("exr"), source=LINEAR, asked="ACEScg", linear=True).pixels(light, associated=True)
    alone = colour_config(None).convert(light[..., :3] / 0.5, LINEAR, "ACEScg") * 0.5
    assert moved[..., :3] == pytest.approx(alone, rel=1e-4)
    assert moved[0, 0, 3] == 0.5


OWN_CONFIG = """ocio_profile_version: 2
roles: {default: studio, scene_linear: studio, aces_interchange: studio}
file_rules: [!<Rule> {name: Default, colorspace: studio}]
displays: {screen: [!<View> {name: plain, colorspace: studio}]}
active_displays: []
active_views: []
colorspaces:
  - !<ColorSpace> {name: studio, aliases: [srgb]}
  - !<ColorSpace>
    name: doubled
    to_scene_reference: !<MatrixTransform> {matrix: [0.5,0,0,0, 0,0.5,0,0, 0,0,0.5,0, 0,0,0,1]}
"""


def test_a_studio_brings_its_own_config(tmp_path):
    path = tmp_path / "studio.ocio"
    path.write_text(OWN_CONFIG)
    there = Delivery(spec=spec("tiff", 16), asked="doubled", ocio=str(path))
    there.check()
    assert there.pixels(np.full((2, 2, 3), 51, np.uint8), peak=255)[0, 0] == pytest.approx([26214] * 3, abs=1)
    told = there.to_dict()["colour"]
    assert (told["from"], told["to"], told["config"]["name"]) == ("studio", "doubled", "studio.ocio")
    assert len(told["config"]["sha256"]) == 64
    assert str(tmp_path) not in json.dumps(there.to_dict())


def test_configs_and_spaces_that_cannot_be_used(tmp_path):
    with pytest.raises(UsageError, match=r"is not there"):
        ColourConfig(str(tmp_path / "none.ocio"))
    (tmp_path / "bad.ocio").write_text("nothing: [")
    with pytest.raises(UsageError, match="cannot be used"):
        ColourConfig(str(tmp_path / "bad.ocio"))
    with pytest.raises(UsageError, match=r"no space called ACEScgg; it has ACEScg"):
        colour_config(None).resolve("ACEScgg")
    with pytest.raises(UsageError, match="data and no colour"):
        colour_config(None).resolve("raw")
    with pytest.raises(UsageError, match="whose light is not known"):
        Delivery(spec=spec("exr"), source="ACEScct").check()


def test_files_say_what_their_colours_are(tmp_path):
    picture = np.full((4, 4, 3), 90, np.uint8)
    Delivery(spec=spec("exr"), asked="ACEScg").write(tmp_path / "a.exr", picture, peak=255)
    assert plate_facts(tmp_path / "a.exr").colour_space == "ACEScg"
    source = oiio.ImageInput.open(str(tmp_path / "a.exr"))
    assert source.spec().getattribute("colorInteropID") == "lin_ap1_scene"
    source.close()
    for space, chunks in (("Rec.2100-PQ - Display", [b"cICP"]), ("ACEScct", []), ("srgb", [b"sRGB"])):
        Delivery(spec=spec("png", 16), asked=space).write(tmp_path / "a.png", picture, peak=255)
        data = (tmp_path / "a.png").read_bytes()
        assert [name for name in (b"sRGB", b"cICP") if name in data[:1500]] == chunks


# --- what a plate says -----------------------------------------------------------------------------------------


@pytest.fixture
def plates(tmp_path) -> Path:
    """Two frames as a camera department sends them: overscan on the left, a crop, timecode and much else."""
    folder = tmp_path / "plates"
    folder.mkdir()
    for number in (1001, 1002):
        plate = oiio.ImageSpec(40, 20, 3, "half")
        plate.x, plate.y, plate.full_x, plate.full_y = 100 - 4, 50 + 6, 100, 50
        plate.full_width, plate.full_height = 64, 36
        for name, value in exr_attributes("ACEScg", Fraction(2), Fraction(24000, 1001), None).items():
            kind = {"FramesPerSecond": "rational", "chromaticities": "float[8]"}.get(name)
            plate.attribute(name, oiio.TypeDesc(kind), value) if kind else plate.attribute(name, value)
        plate.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), (0x01020300 + number - 1001, 0))
        plate.attribute("studio/scene", "Älva “12”")
        plate.attribute("lens", oiio.TypeDesc("float[3]"), (35.0, 2.8, 0.5))
        plate.attribute("worldToCamera", oiio.TypeDesc("matrix"), tuple(float(value) for value in range(16)))
        plate.attribute("cryptomatte/1234567/name", "object")
        plate.attribute("compression", "dwaa:200")
        out = oiio.ImageOutput.create("openexr")
        assert out.open(str(folder / f"plate.{number}.exr"), plate)
        assert out.write_image(np.full((20, 40, 3), 0.5, np.float16))
        assert out.close()
    return folder


def header_of(path: Path) -> tuple[oiio.ImageSpec, dict[str, object]]:
    source = oiio.ImageInput.open(str(path))
    found = source.spec().copy()
    source.close()
    return found, {entry.name: entry.value for entry in found.extra_attribs}


def test_windows_and_words_of_a_plate_are_kept(plates, tmp_path):
    headers = PlateHeaders(str(plates / "plate.####.exr"))
    there = Delivery(spec=spec("exr"))
    for number in (1001, 1002):
        path = tmp_path / f"{number}.exr"
        there.write(path, np.full((36, 64, 3), 200, np.uint8), peak=255, plate=headers.header(number))
        found, words = header_of(path)
        assert (found.full_x, found.full_y, found.full_width, found.full_height) == (100, 50, 64, 36)
        assert (found.x, found.y, found.width, found.height) == (100, 56, 36, 20)  # overscan was never rendered
        assert words["smpte:TimeCode"][0] == 0x01020300 + number - 1001
        assert (words["FramesPerSecond"], words["PixelAspectRatio"]) == ((24000, 1001), 2.0)
        assert words["studio/scene"] == "Älva “12”"
        assert words["lens"] == pytest.approx((35.0, 2.8, 0.5))
        assert words["worldToCamera"] == tuple(float(value) for value in range(16))
        assert words["compression"] == "zip"
        assert words["chromaticities"] == pytest.approx(PRIMARIES[LINEAR])  # of these pixels, not of the plate's
        assert not [name for name in words if name.startswith("cryptomatte")]
        assert TRAINED in words["xmp"]
    assert read_plate(tmp_path / "1001.exr").shape == (36, 64, 3)


def test_of_maps_the_words_are_kept_but_a_matte_crops_no_picture(plates, tmp_path):
    headers = PlateHeaders(None, [lambda _: None, lambda number: plates / f"plate.{number}.exr"])
    Delivery(spec=spec("exr")).write(
        tmp_path / "a.exr", np.zeros((36, 64, 3), np.uint8), peak=255, plate=headers.header(1001)
    )
    found, words = header_of(tmp_path / "a.exr")
    assert (found.x, found.width, found.full_width) == (100, 64, 64)
    assert words["lens"] == pytest.approx((35.0, 2.8, 0.5))
    assert headers.header(1009) == PictureHeader()
    with pytest.raises(MissingInputError, match="1009"):
        PlateHeaders(str(plates)).header(1009)


def test_a_plate_of_another_size_gives_its_words_alone(plates, tmp_path):
    header = plate_header(plates / "plate.1001.exr")
    Delivery(spec=spec("exr")).write(tmp_path / "a.exr", np.zeros((80, 90, 3), np.uint8), peak=255, plate=header)
    found, words = header_of(tmp_path / "a.exr")
    assert (found.x, found.y, found.width, found.height, found.full_x) == (0, 0, 90, 80, 0)
    assert words["studio/scene"] == "Älva “12”"


# --- through an archive -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lit(tmp_path_factory) -> Path:
    """An archive of one frame in the default profile: a lamp of 16.0 in front of a soft wall, half transparent."""
    folder = tmp_path_factory.mktemp("lit")
    rows, columns = np.mgrid[:64, :96]
    picture = np.stack([0.18 + 0.1 * np.sin(columns / 9), 0.2 + rows / 640, columns / 192, rows * 0 + 1.0], axis=-1)
    picture[16:48, 30:70] = (16.0, 4.0, 1.5, 1.0)
    picture[:, 80:] *= 0.5
    told = exr_attributes(LINEAR, Fraction(2), Fraction(24), "01:00:00:00")
    write_exr(folder / "lit.0001.exr", picture, channels=("R", "G", "B", "A"), attributes=told)
    request = EncodeRequest(source=str(folder), out=str(folder / "lit.nirv"), preset=Preset.DRAFT)
    jobs.run_encode(request, folder / "lit.nirv", SilentContext())
    return folder / "lit.nirv"


def decode(archive: Path, take: Path, **fields) -> dict:
    return decoding.run_decode(DecodeRequest(archive=str(archive), out=str(take), **fields), take, SilentContext())


def lamp(picture: np.ndarray) -> np.ndarray:
    return np.median(picture[20:44, 36:64, :3], axis=(0, 1))


def test_16_comes_back_from_an_archive_within_one_per_cent(lit, tmp_path):
    decode(lit, tmp_path / "exr", compression="dwaa")
    assert lamp(read_plate(tmp_path / "exr" / "0001.exr"))[0] == pytest.approx(16.0, rel=0.01)
    done = decode(lit, tmp_path / "log", image_format=DecodeFormat.TIFF, bits=16, colour_space="ACEScct")
    assert done["format"] == "tiff16"
    codes = prove_picture(tmp_path / "log" / "0001.tif")
    light = colour_config(None).convert((codes[..., :3] / 65535).astype(np.float32), "ACEScct", LINEAR)
    assert lamp(light)[0] == pytest.approx(16.0, rel=0.01)
    assert lamp(light) == pytest.approx([16.0, 4.0, 1.5], rel=0.1)  # what the coarsest preset loses is the codec's
    assert np.median(codes[..., 3][:, 84:]) == pytest.approx(32768, rel=0.03)
    story = json.loads((tmp_path / "log" / "mapreel.json").read_text())
    assert story["pictures"]["colour"]["to"] == "ACEScct"
    assert story["pictures"]["colour"]["from"] == "Linear Rec.709 (sRGB)"


def test_movies_of_an_archive(lit, tmp_path):
    for name, fields, alpha in (("a.mkv", {}, True), ("a.mov", {"compression": "4444"}, True), ("a.mp4", {}, False)):
        done = decode(lit, tmp_path / name, **fields)
        story = json.loads((tmp_path / f"{name}.json").read_text())
        assert story["movie"]["frames"] == 1
        assert story["pictures"]["files"]["bits"] == {"a.mkv": 16, "a.mov": 10, "a.mp4": 8}[name]
        import av

        with av.open(str(tmp_path / name)) as container:
            first = next(container.decode(video=0))
        assert ("a" in first.format.name.replace("le", "")) == alpha, (first.format.name, done)


def test_words_of_an_archive_and_of_its_plate(lit, tmp_path):
    decode(lit, tmp_path / "plain")
    _, words = header_of(tmp_path / "plain" / "0001.exr")
    assert (words["PixelAspectRatio"], words["smpte:TimeCode"][0], words["FramesPerSecond"]) == (
        2.0,
        0x01000000,
        (24, 1),
    )
    assert "xmp" not in words  # a camera's picture stays one
    decode(lit, tmp_path / "plate", plate=str(lit.parent / "lit.####.exr"))
    _, again = header_of(tmp_path / "plate" / "0001.exr")
    assert again["smpte:TimeCode"] == words["smpte:TimeCode"]


def test_what_a_network_made_is_marked_through_an_archive():
    form = PictureFormat(samples=SampleFormat.BITS_8)
    from mapreel.core.nirvana.convert import decode_delivery

    request = DecodeRequest(archive="/x.nirv", out="/frames")
    assert decode_delivery(request, form, {"format": "mapreel-take", "model": {"name": "street"}}).trained
    assert not decode_delivery(request, form, {"format": "another"}).trained


# --- what is written down ---------------------------------------------------------------------------------------


def test_paths_are_recorded_without_the_machine(tmp_path):
    take = tmp_path / "shot" / "take"
    assert recorded_path(str(tmp_path / "shot" / "label" / "a.####.png"), take) == "../label/a.####.png"
    assert recorded_path("/elsewhere/secret/maps", take) == "maps"
    request = RenderRequest(
        labels=str(tmp_path / "label"),
        model="street",
        out=str(take),
        reference=((1, str(tmp_path / "look.png")),),
        c2pa=True,
        c2pa_cert=str(tmp_path / "keys" / "chain.pem"),
        c2pa_key=str(tmp_path / "keys" / "key.pem"),
    )
    told = recorded_request(request, take)
    assert told["reference"] == [[1, "../../look.png"]]
    assert (told["c2pa_cert"], told["out"]) == ("chain.pem", "take")
    assert "key.pem" not in json.dumps(told)
    assert str(tmp_path) not in json.dumps(told)
