# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of broken PNG, EXR, JPEG and MP4 files, read in a child process: each is read or refused, none crashes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import random, resource, sys
from fractions import Fraction
from pathlib import Path
import cv2
import numpy as np
from mapreel.core.contract.errors import InputError
from mapreel.core.media.images import picture_size, read_color, read_color_float, write_exr, write_png
from mapreel.core.media.labels import read_label_map
from mapreel.core.media.motion import read_motion
from mapreel.core.media.movies import movie_info, read_movie
from mapreel.core.media.moviewriter import MovieWriter
from mapreel.core.media.plates import exr_attributes, plate_facts, read_plate

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
folder, count = Path(sys.argv[1]), int(sys.argv[2])
random.seed(20)
noise = np.random.default_rng(1).integers(0, 255, (40, 50, 3)).astype(np.uint8)
write_png(folder / "color.png", cv2.GaussianBlur(noise, (0, 0), 3))
write_png(folder / "label.png", noise[..., 0] % 12)
write_exr(folder / "color.exr", noise / 255.0)
write_exr(folder / "motion.exr", noise[..., :2] / 16.0 - 8, channels=("motion.X", "motion.Y"))
cv2.imwrite(str(folder / "color.jpg"), noise)
deep = np.dstack([noise, noise[..., :1]])
told = exr_attributes("ACEScg", Fraction(2), Fraction(24), "01:00:00:00")
write_png(folder / "plate.png", deep.astype(np.uint16) * 257)
write_exr(folder / "plate.exr", deep / 16.0 - 2, channels=("R", "G", "B", "A"), attributes=told)

def plate(path, frame=None):
    plate_facts(path, frame=frame)
    return read_plate(path, frame=frame)

readers = {
    "color.png": read_color, "label.png": read_label_map, "color.exr": read_color_float, "motion.exr": read_motion,
    "color.jpg": read_color, "plate.png": plate, "plate.exr": plate,
}
lies = [b"\\xff\\xff\\xff\\x7f", b"\\0\\0\\0\\x80", b"\\xff\\xff\\xff\\xff", b"\\0\\0\\xea\\x60", b"\\0\\0\\0\\0"]

def mutate(data):
    kind, at = random.randrange(5), random.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
    if kind == 2:
        at = random.randrange(min(400, len(data) - 4))
        return data[:at] + random.choice(lies) + data[at + 4 :]
    if kind == 3:
        return data[:at] + data[at + random.randrange(1, 60) :]
    return data[:at] + random.randbytes(random.randrange(1, 40)) + data[at:]

for name, read in readers.items():
    whole = (folder / name).read_bytes()
    good = read(folder / name)
    same = refused = other = 0
    for _ in range(count):
        path = folder / ("broken" + Path(name).suffix)
        path.write_bytes(mutate(whole))
        for look in (read, picture_size):
            try:
                found = look(path, frame=7)
            except InputError as error:
                assert "frame 7" in str(error) and path.name in str(error), error
                refused += look is read
                continue
            if look is read:
                same += found.shape == good.shape and bool((found == good).all())
                other += not (found.shape == good.shape and bool((found == good).all()))
    print(name, same, other, refused, flush=True)

with MovieWriter(folder / "whole.mp4", (40, 50), 24.0) as writer:
    for shift in range(6):
        writer.write(np.roll(noise, shift, axis=1))
whole, read, refused = (folder / "whole.mp4").read_bytes(), 0, 0
for _ in range(count):
    (folder / "broken.mp4").write_bytes(mutate(whole))
    try:
        movie_info(folder / "broken.mp4")
        read += len(list(read_movie(folder / "broken.mp4"))) > 0
    except InputError as error:
        assert "broken.mp4" in str(error), error
        refused += 1
print("movie.mp4", read, 0, refused, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit of the memory")
def test_broken_files_never_crash_a_reader(tmp_path):
    count = 100
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(count)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stdout}\n{done.stderr[-2000:]}"
    assert done.stderr == ""  # libraries that talk would spoil the progress lines
    results = {name: tuple(map(int, numbers)) for name, *numbers in map(str.split, done.stdout.splitlines())}
    assert len(results) == 8
    assert all(sum(numbers) == count for numbers in results.values())
    for name in ("color.png", "label.png"):  # every byte of a PNG is under a checksum: never another picture
        same, other, refused = results[name]
        assert other == 0
        assert refused > 0.9 * count
        assert same + refused == count
