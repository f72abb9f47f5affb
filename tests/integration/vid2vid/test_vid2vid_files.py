# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders into every kind of file, marked and signed, and `mapreel verify` of what became of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest

from mapreel.core import cli
from mapreel.core.contract.errors import MissingInputError, OutputExistsError, UsageError
from mapreel.core.contract.requests import ImageFormat
from mapreel.core.media import marks
from mapreel.core.media.colour import SRGB, colour_config
from mapreel.core.media.images import read_color
from mapreel.core.media.marks import TRAINED, read_manifest
from mapreel.core.media.movies import read_movie
from mapreel.core.media.proof import prove_picture
from mapreel.core.media.takecheck import check_take

FRAMES = {"frames": "1001-1003"}


@pytest.fixture(scope="module")
def plain(street, model, tmp_path_factory) -> Path:
    """A take of three PNG frames. Never write into it."""
    from mapreel.core.contract.progress import SilentContext
    from mapreel.core.contract.requests import RenderRequest
    from mapreel.core.vid2vid.render_job import run_render

    take = tmp_path_factory.mktemp("plain") / "take"
    request = RenderRequest(labels=str(street / "label"), model=str(model), out=str(take), frames="1001-1003")
    run_render(request, take, SilentContext())
    return take


@pytest.fixture
def own(plain, tmp_path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "own"))


def frame(plain: Path, number: int) -> np.ndarray:
    return read_color(plain / f"{number}.png")


@pytest.fixture
def files(render, street, tmp_path):
    """Renders the labels alone into a take of that name."""

    def run(name: str, **fields) -> Path:
        render(street, name, instances=None, motion=None, **{**FRAMES, **fields})
        assert check_take(tmp_path / name).faults == []
        return tmp_path / name

    return run


def test_pictures_of_every_kind_show_the_same(files, plain):
    deep = files("deep", bits=16)
    tiff = files("tiff", image_format=ImageFormat.TIFF)
    half = files("half", image_format=ImageFormat.EXR, compression="piz")
    moved = files("moved", image_format=ImageFormat.EXR, bits=32, colour_space="ACEScg")
    config = colour_config(None)
    for number in range(1001, 1004):
        shown = frame(plain, number)
        assert np.abs(prove_picture(deep / f"{number}.png") / 257 - shown).max() < 0.51
        assert np.array_equal(prove_picture(tiff / f"{number}.tif"), shown)
        for folder, space in ((half, "lin_rec709"), (moved, "ACEScg")):
            light = prove_picture(folder / f"{number}.exr")
            assert np.abs(config.convert(light, space, SRGB) * 255 - shown).max() < 0.9
        for path in (plain / f"{number}.png", tiff / f"{number}.tif", half / f"{number}.exr"):
            assert TRAINED.encode() in path.read_bytes()
    story = json.loads((moved / "mapreel.json").read_text())
    assert story["files"] == {"kind": "exr", "bits": 32, "suffix": ".exr", "compression": "zip"}
    assert (story["colour"]["from"], story["colour"]["to"]) == ("sRGB Encoded Rec.709 (sRGB)", "ACEScg")
    assert story["digital_source_type"] == TRAINED


def test_movies_of_every_kind(files, plain):
    kinds = {"a.mkv": ("ffv1", 0.0), "a.mov": ("prores", 4.0), "b.mp4": ("h264", 8.0)}  # of noise
    for name, (codec, most) in kinds.items():
        path = files(name)
        found = list(read_movie(path))
        assert len(found) == 3
        for number, picture in zip(range(1001, 1004), found, strict=True):
            assert np.abs(picture.astype(int) - frame(plain, number)).mean() <= most
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == codec
            assert TRAINED in {key.lower(): text for key, text in container.metadata.items()}["comment"]
    deep = files("c.mp4", image_format=ImageFormat.H265, bits=10)
    with av.open(str(deep)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p10le"
    story = json.loads((deep.parent / "c.mp4.json").read_text())
    assert story["movie"]["frames"] == 3
    assert set(story["written"]["1001"]) == {"from"}


def test_an_odd_movie_says_that_it_was_padded(maps, render, tmp_path):
    shot = maps(tmp_path / "maps", range(1, 4), size=(35, 51))
    result = render(shot, "a.mp4", motion=None)
    assert "one row and one column" in " ".join(result["notes"])
    assert "one row and one column" in " ".join(json.loads((tmp_path / "a.mp4.json").read_text())["result"]["notes"])


def test_words_of_exr_maps_and_plates_come_along(street, render, tmp_path):
    (tmp_path / "plate").mkdir()
    for number in range(1001, 1004):
        spec = oiio.ImageSpec(20, 10, 3, "half")
        spec.x, spec.y, spec.full_width, spec.full_height = 5, 7, 80, 48
        spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), (number - 1001, 0))
        spec.attribute("studio/take", "A003")
        out = oiio.ImageOutput.create("openexr")
        assert out.open(str(tmp_path / "plate" / f"p.{number}.exr"), spec)
        assert out.write_image(np.ones((10, 20, 3), np.float16))
        assert out.close()
    fields = {**FRAMES, "instances": None, "image_format": ImageFormat.EXR}
    render(street, "own", plate=str(tmp_path / "plate" / "p.####.exr"), **fields)
    for number in range(1001, 1004):
        source = oiio.ImageInput.open(str(tmp_path / "own" / f"{number}.exr"))
        found = source.spec().copy()
        source.close()
        assert (found.x, found.y, found.width, found.height) == (5, 7, 20, 10)
        assert found.getattribute("smpte:TimeCode")[0] == number - 1001
        assert found.getattribute("studio/take") == "A003"
    assert check_take(tmp_path / "own").faults == []


# --- going on ---------------------------------------------------------------------------------------------------


def test_a_take_is_gone_on_with_in_its_own_kind_only(files, street, render, tmp_path):
    files("take", bits=16, frames="1001-1002")
    with pytest.raises(OutputExistsError):
        files("take", frames="1001-1003", resume=True)
    files("take", bits=16, resume=True)
    written = json.loads((tmp_path / "take" / "mapreel.json").read_text())["written"]
    assert sorted(written) == ["1001", "1002", "1003"]


def test_an_old_take_without_hashes_gets_them_when_it_is_gone_on_with(own, street, model, render, tmp_path):
    told = json.loads((own / "mapreel.json").read_text())
    del told["written"]
    (own / "mapreel.json").write_text(json.dumps(told))
    assert check_take(own).unproven == 3
    render(street, "own", instances=None, motion=None, resume=True, **FRAMES)
    verdict = check_take(own)
    assert (verdict.unproven, verdict.faults) == (0, [])


# --- verify -----------------------------------------------------------------------------------------------------


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-200] ^= 16
    path.write_bytes(data)


def test_verify_names_what_is_not_as_it_was_written(own, capsys):
    assert cli.main(["verify", str(own)]) == 0
    assert capsys.readouterr().out == "3 frames planned, all there, whole and as they were written\n"
    spoil(own / "1002.png")
    (own / "1003.png").unlink()
    (own / "1007.png").write_bytes((own / "1001.png").read_bytes())
    assert cli.main(["verify", str(own)]) == 1
    told = capsys.readouterr()
    assert "2 of 3 frames 1002-1003 of own cannot be trusted" in told.err
    assert "frame 1002 (own/1002.png) is not what was written" in told.err
    assert "frame 1003 is not there" in told.err
    assert "1007.png is in the folder, but no frame of this take" in told.err
    assert cli.main(["verify", str(own), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["planned"], data["good"], data["bad_frames"], data["whole"]) == (3, 1, [1002, 1003], False)


def test_verify_without_hashes_still_reads_every_frame(own):
    told = json.loads((own / "mapreel.json").read_text())
    del told["written"]
    (own / "mapreel.json").write_text(json.dumps(told))
    (own / "1002.png").write_bytes((own / "1002.png").read_bytes()[:-300])
    verdict = check_take(own)
    assert (verdict.frames, verdict.good, verdict.unproven) == ({1002}, 2, 2)


@pytest.mark.parametrize("name", ["x.exr", "x.tif"])
def test_verify_reads_other_kinds_to_their_end(files, tmp_path, name):
    kind = ImageFormat.EXR if name.endswith("exr") else ImageFormat.TIFF
    take = files("take", image_format=kind)
    path = take / f"1002.{name[2:]}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    told = json.loads((take / "mapreel.json").read_text())
    del told["written"]
    (take / "mapreel.json").write_text(json.dumps(told))
    assert check_take(take).frames == {1002}


def test_verify_of_a_movie(files, tmp_path, capsys):
    take = files("a.mp4")
    whole = take.read_bytes()
    spoil(take)
    assert cli.main(["verify", str(take)]) == 1
    assert "sha-256 differs" in capsys.readouterr().err
    take.write_bytes(whole[: len(whole) // 2])
    assert cli.main(["verify", str(take)]) == 1
    assert check_take(take).frames <= {1001, 1002, 1003}
    take.unlink()
    assert cli.main(["verify", str(take)]) == 2


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "mapreel-take", "version": 9, "frames": "1"}', '{"format": "x", "version": 1}']
)
def test_verify_of_what_nobody_knows(own, text, capsys):
    (own / "mapreel.json").write_text(text)
    assert cli.main(["verify", str(own)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (own / "mapreel.json").unlink()
    assert cli.main(["verify", str(own)]) == 2
    assert "nobody knows" in capsys.readouterr().err


def test_verify_follows_no_name_out_of_the_folder(own, tmp_path):
    (tmp_path / "secret.png").write_bytes((own / "1001.png").read_bytes())
    told = json.loads((own / "mapreel.json").read_text())
    told["written"]["1001"]["file"] = "../secret.png"
    (own / "mapreel.json").write_text(json.dumps(told))
    (own / "1001.png").unlink()
    assert check_take(own).faults == ["frame 1001 is not there"]


# --- C2PA -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def signer(tmp_path_factory) -> dict[str, str]:
    """A certificate chain and key as a studio would have them, made by openssl for this run."""
    pytest.importorskip("c2pa")
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("keys")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    (folder / "leaf.cnf").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=emailProtection\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    root = ("-x509", "-days", "30", "-subj", "/O=Mapreel tests/CN=root", "-keyout", "root.key", "-out", "root.pem")
    run("req", *ec, *root, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", *ec, "-subj", "/O=Mapreel tests/CN=signer", "-keyout", "key.pem", "-out", "leaf.csr")
    run(
        *("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"),
        *("-days", "20", "-extfile", "leaf.cnf", "-out", "leaf.pem"),
    )
    (folder / "chain.pem").write_bytes((folder / "leaf.pem").read_bytes() + (folder / "root.pem").read_bytes())
    return {"c2pa_cert": str(folder / "chain.pem"), "c2pa_key": str(folder / "key.pem")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_signed_files_say_who_made_them_and_with_what(files, signer, plain):
    for name, fields, picture in (
        ("png", {}, "1002.png"),
        ("tif", {"image_format": ImageFormat.TIFF}, "1002.tif"),
        ("a.mp4", {}, None),
        ("a.mov", {}, None),
    ):
        take = files(name, c2pa=True, **signer, **fields)
        file = take / picture if picture else take
        told = read_manifest(file)
        assert told is not None
        assert told["validation_state"] == "Valid"
        manifest = told["manifests"][told["active_manifest"]]
        said = next(one["data"] for one in manifest["assertions"] if one["label"].startswith("c2pa.actions"))
        action = said["actions"][0]
        assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", TRAINED)
        assert action["parameters"]["com.mapreel.model"]["licence"] == "CC0-1.0"
        assert manifest["ingredients"][0]["instance_id"].startswith("sha256:")
        if picture:
            assert np.array_equal(prove_picture(file)[..., :3], frame(plain, 1002))
        side = take / "mapreel.json" if picture else take.with_name(f"{take.name}.json")
        assert json.loads(side.read_text())["c2pa"] == {"certificate": "chain.pem"}
        assert "key.pem" not in side.read_text()
    spoiled = bytearray(file.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    file.write_bytes(spoiled)
    told = read_manifest(file)
    assert told is None or told["validation_state"] == "Invalid"
    assert read_manifest(plain / "1001.png") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_signed_is_said_before_anything_is_rendered(files, signer, tmp_path):
    for name, fields, kind, sentence in (
        ("x", {"image_format": ImageFormat.EXR}, UsageError, "no place in EXR"),
        ("x.mkv", {}, UsageError, "no place in FFV1"),
        ("x", {"c2pa_key": signer["c2pa_cert"]}, UsageError, "no private key"),
        ("x", {"c2pa_cert": str(tmp_path / "none.pem")}, MissingInputError, "cannot be read"),
    ):
        with pytest.raises(kind, match=sentence):
            files(name, **{**signer, "c2pa": True, **fields})
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("x") and any(path.iterdir())]


def test_without_the_package_it_is_said_how_to_get_it(files, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("-----BEGIN")
    with pytest.raises(UsageError, match="pip install"):
        files("x", c2pa=True, c2pa_cert=str(tmp_path / "cert.pem"), c2pa_key=str(tmp_path / "key.pem"))
    assert marks.MIME_TYPES[".png"] == "image/png"


def test_a_frame_that_the_disk_changed_is_noticed_by_the_job(street, render, monkeypatch):
    """Whole, and a picture, but not the one that was written."""
    from mapreel.core.contract.errors import OutputError
    from mapreel.core.vid2vid import takefolder

    real = takefolder.written

    def swapped(path, sources=()):
        entry = real(path, sources)
        if path.stem == "1002":
            path.write_bytes((path.parent / "1001.png").read_bytes())
        return entry

    monkeypatch.setattr(takefolder, "written", swapped)
    with pytest.raises(OutputError, match="frame 1002"):
        render(street, "take", **FRAMES)
