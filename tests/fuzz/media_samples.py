# SPDX-License-Identifier: GPL-3.0-or-later
"""A small sound picture or movie of every kind that Mapreel reads, for tests that break them."""

from __future__ import annotations

import json
import struct
import zlib
from fractions import Fraction

import av
import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit

from mapreel.core.media.images import read_color, read_color_float, write_exr, write_png
from mapreel.core.media.labels import read_instance_map, read_label_map
from mapreel.core.media.motion import read_motion
from mapreel.core.media.movies import movie_info, read_movie_frames
from mapreel.core.media.plates import exr_attributes, plate_facts, plate_header, read_plate


def make_files(folder):
    """A small sound file of each kind. Gives name -> (path, reader)."""

    def plate(path, frame=None):
        plate_facts(path, frame=frame)
        if path.suffix == ".exr":
            plate_header(path, frame=frame)
        return read_plate(path, frame=frame)

    readers = {
        "png-color": read_color, "png-label": read_label_map, "png-indexed": read_label_map,
        "png-16": read_instance_map, "png-plate": plate, "jpeg": read_color, "tiff-label": read_label_map,
        "tiff-tiled": read_label_map, "tiff-lzw": read_instance_map, "exr-color": read_color_float, "exr-plate": plate,
        "exr-tiled": read_color_float, "exr-parts": plate, "exr-deep": read_color_float, "exr-dwaa": read_color_float,
        "exr-piz": read_color_float, "exr-b44": read_color_float, "exr-motion": read_motion,
        "exr-cryptomatte": read_instance_map, "exr-index": read_instance_map, "mp4": read_mp4, "mkv": read_mp4,
    }  # fmt: skip
    made = make_pictures(folder) | make_exrs(folder) | make_movies(folder)
    assert made.keys() == readers.keys(), made.keys() ^ readers.keys()
    return {name: (made[name], readers[name]) for name in sorted(made)}


def read_mp4(path, frame=None):
    """The first frames of a movie."""
    movie_info(path)
    return np.stack([found.pixels for found in read_movie_frames(path)])


def pixels(channels=3, seed=1):
    """Soft noise, [40, 50, channels] uint8."""
    noise = np.random.default_rng(seed).integers(0, 255, (40, 50, channels)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3).reshape(noise.shape)


def save(path, array, kind, configure=None):
    """Write through OpenImageIO, with what `configure` puts into the header."""
    spec = oiio.ImageSpec(array.shape[1], array.shape[0], array.shape[2], kind)
    if configure is not None:
        configure(spec)
    target = oiio.ImageOutput.create(str(path))
    assert target.open(str(path), spec), target.geterror()
    if spec.tile_width:
        assert target.write_tiles(0, array.shape[1], 0, array.shape[0], 0, 1, array), target.geterror()
    else:
        assert target.write_image(array), target.geterror()
    assert target.close()
    return path


def tiles(spec):
    """Make it a tiled file."""
    spec.tile_width = spec.tile_height = 16


def packing(word):
    """Pack it in this way."""
    return lambda spec: spec.attribute("compression", word)


def make_pictures(folder):
    """PNG, JPEG and TIFF."""
    labels = pixels(1) // 16
    cv2.imwrite(str(folder / "color.jpg"), pixels())
    write_png(folder / "color.png", pixels())
    write_png(folder / "label.png", labels[..., 0])
    write_png(folder / "wide.png", labels[..., 0].astype(np.uint16) * 300)
    write_png(folder / "plate.png", pixels(4).astype(np.uint16) * 257)
    return {
        "png-color": folder / "color.png",
        "png-label": folder / "label.png",
        "png-indexed": indexed_png(folder / "indexed.png", labels[..., 0]),
        "png-16": folder / "wide.png",
        "png-plate": folder / "plate.png",
        "jpeg": folder / "color.jpg",
        "tiff-label": save(folder / "label.tif", labels, "uint8", packing("none")),
        "tiff-tiled": save(folder / "tiled.tif", labels, "uint8", lambda spec: (tiles(spec), packing("zip")(spec))),
        "tiff-lzw": save(folder / "lzw.tif", labels.astype(np.uint16) * 300, "uint16", packing("lzw")),
    }


def indexed_png(path, ids):
    """A PNG with a palette, put together by hand."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = ids.shape
    lines = b"".join(b"\0" + line.tobytes() for line in ids)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", bytes(range(48))), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def make_exrs(folder):
    """EXR as scan lines, tiles, parts, deep, in several packings, with Cryptomatte."""
    colour = pixels().astype(np.float32) / 64
    told = exr_attributes("ACEScg", Fraction(2), Fraction(24), "01:00:00:00")
    write_exr(folder / "color.exr", colour)
    write_exr(folder / "plate.exr", pixels(4) / 16.0 - 2, channels=("R", "G", "B", "A"), attributes=told)
    write_exr(folder / "motion.exr", pixels(2) / 16.0 - 8, channels=("motion.X", "motion.Y"))
    made = {name: folder / f"{name}.exr" for name in ("color", "plate", "motion")}
    made["tiled"] = save(folder / "tiled.exr", colour, "half", tiles)
    for word in ("dwaa", "piz", "b44"):
        made[word] = save(folder / f"{word}.exr", colour, "half", packing(word))
    made["parts"] = exr_parts(folder / "parts.exr", [colour, colour[..., :1]])
    made["deep"] = exr_deep(folder / "deep.exr")
    made["cryptomatte"] = exr_cryptomatte(folder / "cryptomatte.exr")
    made["index"] = save(folder / "index.exr", (pixels(1) // 16).astype(np.float32), "float", named("IndexOB.X"))
    return {f"exr-{name}": path for name, path in made.items()}


def named(*names):
    """Call its channels so."""

    def configure(spec):
        spec.channelnames = names
        spec.attribute("compression", "zip")

    return configure


def exr_parts(path, parts):
    """A multi-part EXR."""
    specs = []
    for index, array in enumerate(parts):
        spec = oiio.ImageSpec(array.shape[1], array.shape[0], array.shape[2], "half")
        spec.channelnames = ("R", "G", "B") if array.shape[2] == 3 else ("Z",)
        spec.attribute("oiio:subimagename", f"part{index}")
        specs.append(spec)
    target = oiio.ImageOutput.create(str(path))
    assert target.open(str(path), specs), target.geterror()
    for index, array in enumerate(parts):
        if index:
            assert target.open(str(path), specs[index], "AppendSubimage"), target.geterror()
        assert target.write_image(np.ascontiguousarray(array))
    assert target.close()
    return path


def exr_deep(path):
    """A deep EXR: several samples in some pixels."""
    spec = oiio.ImageSpec(12, 8, 5, "float")
    spec.channelnames = ("R", "G", "B", "A", "Z")
    spec.deep = True
    data = oiio.DeepData()
    data.init(spec)
    for pixel in range(96):
        data.set_samples(pixel, pixel % 3)
        for sample in range(pixel % 3):
            for channel in range(5):
                data.set_deep_value(pixel, channel, sample, float(sample + channel))
    target = oiio.ImageOutput.create(str(path))
    assert target.open(str(path), spec), target.geterror()
    assert target.write_deep_image(data), target.geterror()
    assert target.close()
    return path


def exr_cryptomatte(path, manifest=None, **fields):
    """A Cryptomatte of two objects in one rank. fields: of its metadata, to be written over or beside the usual."""
    ids = {"car": 0x3F1A2B3C, "tree": 0x40ABCDEF}
    bits = np.where(np.arange(50)[None, :, None] < 25, ids["car"], ids["tree"]).astype(np.uint32)
    whole = np.broadcast_to(bits, (40, 50, 1)).copy().view(np.float32)
    zero, one = np.zeros_like(whole), np.ones_like(whole)
    told = manifest if manifest is not None else json.dumps({name: f"{bits:08x}" for name, bits in ids.items()})
    usual = {"name": "CryptoObject", "hash": "MurmurHash3_32", "conversion": "uint32_to_float32", "manifest": told}

    def configure(spec):
        spec.channelnames = tuple(f"CryptoObject00.{leaf}" for leaf in "RGBA")
        spec.attribute("compression", "zip")
        for field, value in (usual | fields).items():
            if value is not None:
                spec.attribute(f"cryptomatte/abc1234/{field}", value)

    return save(path, np.concatenate([whole, one, zero, zero], axis=2), "float", configure)


def make_movies(folder):
    """MP4 and Matroska, by PyAV."""
    made = {}
    for kind, codec in (("mp4", "libx264"), ("mkv", "ffv1")):
        path = folder / f"movie.{kind}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=24)
            stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
            for shift in range(6):
                picture = np.roll(pixels()[:, :48], shift, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            container.mux(stream.encode(None))
        made[kind] = path
    return made
