# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the samples of maps that need no renderer, all of one small street, and proves them with other readers.

    python tests/data/make_samples.py          writes tests/data/maps anew
    python tests/data/make_samples.py --check  reads them with Pillow and tifffile, where these are installed

`ids.npy` [24, 32] uint16 holds the Cityscapes ids that every label map means; frame 2 shows the car 3 px to the right
and 1 px further down, and `motion` what that is. See make_blender_samples.py for what only a renderer makes.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit

HERE = Path(__file__).resolve().parent / "maps"
SHIFT = (3, 1)  # the car's way from frame 1 to frame 2, px, right and down
COLOURS = {7: (128, 64, 128), 11: (70, 70, 70), 21: (107, 142, 35), 23: (70, 130, 180), 26: (0, 0, 142)}
NAMES = {7: "road_main", 11: 'house "A"', 21: "tree ü", 23: "sky", 26: "car_01"}


def street(shift=(0, 0)):
    ids = np.full((24, 32), 23, np.uint16)
    ids[14:], ids[6:14, 18:], ids[8:14, 2:7] = 7, 11, 21
    x, y = 5 + shift[0], 13 + shift[1]
    ids[y : y + 5, x : x + 8] = 26
    return ids


def colours(ids):
    painted = np.zeros((*ids.shape, 3), np.uint8)
    for label, colour in COLOURS.items():
        painted[ids == label] = colour
    return painted


def png(name, samples, depth, kind, palette=b""):
    """A PNG by hand, so that indices and depths are what we say and not what a library likes."""

    def chunk(word, content):
        return struct.pack(">I", len(content)) + word + content + struct.pack(">I", zlib.crc32(word + content))

    height, width = samples.shape[:2]
    wide = samples.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *([chunk(b"PLTE", palette)] if palette else []), chunk(b"IDAT", zlib.compress(rows))]
    (HERE / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))


def tiff(name, samples, photometric, palette=()):
    """A TIFF by hand: one strip, deflate."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    bits = samples.dtype.itemsize * 8
    strip = zlib.compress(samples.astype(samples.dtype.newbyteorder("<")).tobytes())
    extra = struct.pack(f"<{channels}H", *[bits] * channels) + struct.pack(f"<{len(palette)}H", *palette)
    start = 8 + len(strip) + len(strip) % 2
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, bits if channels == 1 else start), (259, 3, 1, 8),
        (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(strip)),
        (284, 3, 1, 1),
    ]  # fmt: skip
    if palette:
        tags.append((320, 3, len(palette), start + 2 * channels))
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    padded = strip + b"\0" * (len(strip) % 2)
    content = b"II*\0" + struct.pack("<I", start + len(extra)) + padded + extra + directory
    (HERE / name).write_bytes(content)


def exr(name, parts, attributes=()):
    """Parts: (title, channels, planes [H, W, C], kind, origin, display window or None)."""
    specs = []
    for title, channels, planes, kind, origin, display in parts:
        spec = oiio.ImageSpec(planes.shape[1], planes.shape[0], planes.shape[2], kind)
        spec.channelnames = channels
        spec.x, spec.y = origin
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = display or (0, 0, *planes.shape[1::-1])
        spec.attribute("compression", "zip")
        spec.attribute("DateTime", "")
        if title:
            spec.attribute("oiio:subimagename", title)
        specs.append(spec)
    for key, value in attributes:
        specs[0].attribute(key, value)
    target = oiio.ImageOutput.create("openexr")
    opened = target.open(str(HERE / name), tuple(specs)) if len(specs) > 1 else target.open(str(HERE / name), specs[0])
    assert opened, target.geterror()
    for index, (spec, (_, _, planes, kind, *_rest)) in enumerate(zip(specs, parts, strict=True)):
        assert index == 0 or target.open(str(HERE / name), spec, "AppendSubimage"), target.geterror()
        assert target.write_image(planes.astype(np.uint32 if kind == "uint" else np.float32)), target.geterror()
    assert target.close()


def plain(channels, planes, kind="float"):
    return [("", channels, planes, kind, (0, 0), None)]


def scramble(block):
    block = (block * 0xCC9E2D51) & 0xFFFFFFFF
    block = ((block << 15) | (block >> 17)) & 0xFFFFFFFF
    return (block * 0x1B873593) & 0xFFFFFFFF


def murmur(text):
    """The hash again, in another way than the product's, for ids that the product has to find."""
    data = text.encode()
    h, tail = 0, len(data) & 3
    for (block,) in struct.iter_unpack("<I", data[: len(data) - tail]):
        h ^= scramble(block)
        h = ((h << 13) | (h >> 19)) & 0xFFFFFFFF
        h = (h * 5 + 0xE6546B64) & 0xFFFFFFFF
    if tail:
        h ^= scramble(int.from_bytes(data[-tail:], "little"))
    h ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = ((h ^ (h >> shift)) * factor) & 0xFFFFFFFF
    h ^= h >> 16
    return h ^ (1 << 23) if (h >> 23) & 255 in (0, 255) else h


def cryptomatte():
    """One Cryptomatte of two ranks in a file with its manifest beside it; edges of the car are half road."""
    ids = street()
    hashes = {label: murmur(name) for label, name in NAMES.items()}
    first = np.vectorize(hashes.get)(ids).astype(np.uint32).view(np.float32)
    coverage = np.ones(ids.shape, np.float32)
    second, rest = np.zeros_like(first), np.zeros_like(coverage)
    edge = (ids == 26) & (np.roll(ids, 1, axis=1) != 26)
    coverage[edge], rest[edge] = 0.625, 0.375
    second[edge] = np.array([hashes[7]], np.uint32).view(np.float32)[0]
    names = ("names00.R", "names00.G", "names00.B", "names00.A")
    told = "cryptomatte/bda530a/"
    attributes = [
        (told + "name", "names"), (told + "hash", "MurmurHash3_32"), (told + "conversion", "uint32_to_float32"),
        (told + "manif_file", "names/manifest.json"),
    ]  # fmt: skip
    exr("cryptomatte_beside.0001.exr", plain(names, np.stack([first, coverage, second, rest], 2)), attributes)
    (HERE / "names").mkdir(exist_ok=True)
    manifest = {name: f"{hashes[label]:08x}" for label, name in NAMES.items()}
    (HERE / "names" / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")


def motion():
    """Frame 2 of the street, three times: our own channels, Nuke's layers, and a layer that only the artist knows."""
    here = street(SHIFT) == 26
    field = np.zeros((24, 32, 2), np.float32)
    field[here] = (-SHIFT[0], -SHIFT[1])
    exr("motion.0002.exr", plain(("motion.X", "motion.Y"), field, "half"))
    up = field * (1, -1)
    nuke = np.concatenate([-up, up], axis=2)
    exr("motion_nuke.0002.exr", plain(("forward.u", "forward.v", "backward.u", "backward.v"), nuke))
    exr("motion_other.0002.exr", plain(("mv.R", "mv.G", "mv.B"), np.concatenate([field, field[..., :1] * 0], 2)))


def movie():
    """Six frames with B-frames at uneven times (ms): 0, 40, 80, 200, 240, 400."""
    with av.open(str(HERE / "uneven.mp4"), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "crf": "8", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate((0, 40, 80, 200, 240, 400)):
            grey = np.full((24, 32, 3), 20 + 40 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def landmarks():
    """A face of 478 points on a circle, and a body of OpenPose's BODY_25 in two files."""
    turn = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    face = np.stack([0.5 + 0.3 * np.cos(turn), 0.5 + 0.4 * np.sin(turn)], axis=1).astype(np.float32)
    np.save(HERE / "face.npy", np.stack([face, face + np.float32(0.01)]))
    (HERE / "pose").mkdir(exist_ok=True)
    for frame in (1001, 1002):
        points = [value for i in range(25) for value in (4.0 + i, 2.0 + i / 2 + frame - 1001, 0.9)]
        person = {"person_id": [-1], "pose_keypoints_2d": points, "hand_left_keypoints_2d": []}
        text = json.dumps({"version": 1.3, "people": [person]})
        (HERE / "pose" / f"walk_{frame:012d}_keypoints.json").write_text(text, encoding="utf-8")


def write():
    HERE.mkdir(exist_ok=True)
    ids = street()
    np.save(HERE / "ids.npy", ids)
    entries = bytearray(768)
    for label, colour in COLOURS.items():
        entries[3 * label : 3 * label + 3] = bytes(colour)
    png("grey8.png", ids, 8, 0)
    png("grey16.png", ids, 16, 0)
    png("indexed.png", ids, 8, 3, bytes(entries))
    order = sorted(COLOURS)  # as programs save that number colours as they come
    png("renumbered.png", np.searchsorted(order, ids), 8, 3, bytes(c for label in order for c in COLOURS[label]))
    png("colours.png", colours(ids), 8, 2)
    png("colours16.png", colours(ids).astype(np.uint16) * 257, 16, 2)
    tiff("grey8.tif", ids.astype(np.uint8), 1)
    tiff("grey16.tif", ids, 1)
    spread = [value * 257 for channel in range(3) for value in entries[channel::3]]
    tiff("indexed.tif", ids.astype(np.uint8), 3, spread)
    tiff("colours.tif", colours(ids), 2)
    exr("uint.exr", plain(("id",), ids[..., None], "uint"))
    exr("layered.exr", plain(("A", "B", "G", "R", "id.B", "id.G", "id.R"), np.stack([ids * 0.5] * 4 + [ids] * 3, 2)))
    exr("parts.exr", [
        ("beauty", ("R", "G", "B"), np.zeros((24, 32, 3)), "half", (0, 0), None),
        ("objectid", ("R",), ids[..., None], "float", (0, 0), None),
    ])  # fmt: skip
    cut = ids[4:20, 6:30]
    exr("window.exr", [("", ("objectid.X",), cut[..., None], "half", (6, 4), (0, 0, 32, 24))])
    png("instances.png", np.stack([ids % 256, ids * 0 + 1, ids * 0], 2), 8, 2)
    cryptomatte()
    motion()
    movie()
    landmarks()


def check():
    """The samples through readers that share no code with the product or with this script."""
    import tifffile
    from PIL import Image

    ids = np.load(HERE / "ids.npy")
    painted = colours(ids)
    for name in ("grey8.png", "grey16.png", "indexed.png"):
        assert np.array_equal(np.array(Image.open(HERE / name)), ids), name
    for name in ("renumbered.png", "colours.png"):
        assert np.array_equal(np.array(Image.open(HERE / name).convert("RGB")), painted), name
    for name in ("grey8.tif", "grey16.tif", "indexed.tif"):
        assert np.array_equal(tifffile.imread(HERE / name), ids), name
        assert np.array_equal(np.array(Image.open(HERE / name)), ids), name
    assert np.array_equal(tifffile.imread(HERE / "colours.tif"), painted)
    for name, place in (("uint.exr", 0), ("layered.exr", -1)):
        pixels = oiio.ImageBuf(str(HERE / name)).get_pixels("uint" if name == "uint.exr" else "float")
        assert np.array_equal(pixels[..., place], ids), name


if __name__ == "__main__":
    check() if "--check" in sys.argv else write()
