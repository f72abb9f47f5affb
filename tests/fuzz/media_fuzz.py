# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads thousands of broken EXR, PNG, TIFF, JPEG and MP4 files through the reader processes; counts what came of it.

    python tests/fuzz/media_fuzz.py --count 20000 --seed 1 [--only exr-tiled …] [--keep DIR]

Allowed are a picture and an error that is one sentence with the file's name in it. Everything else is a fault and ends
with exit code 1: another exception in this process, a PNG that reads as another picture (each of its bytes is under a
checksum), an answer after the limit of time, a sound file that reads no more afterwards. A reader that crashes, hangs
or runs out of memory is no fault, it is what readers are for: such files are counted, and kept with --keep. A case is
made of the seed, the kind and the case's number alone.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from media_samples import make_files

from mapreel.core.contract.errors import InputError, UnsupportedFileError
from mapreel.core.media import readers
from mapreel.core.media.readerlimits import Limits

LIMIT_S = 20.0
MEMORY_BYTES = 3 << 30
LIES = (
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\xff\xff\xff\xff",
    b"\0\0\xea\x60",
    b"\0\0\0\0",
    b"\x01\0\0\0",
    b"\0\0\0\1",
)
COLUMNS = ("same", "other", "refused", "surprised", "crashed", "hung", "memory", "fault")
EVERY = 50  # files between two looks at a sound one


# --- mutations -------------------------------------------------------------------------------------------------------


def mutate(data, rng):
    """One to three faults: cut, a flipped bit, a lie in the header or anywhere, bytes taken out, doubled, put in."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(data) < 8:
            return data
        data = _MUTATIONS[rng.randrange(len(_MUTATIONS))](data, rng)
    return data


def _cut(data, rng):
    return data[: rng.randrange(len(data))]


def _flip(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _lie_early(data, rng):
    at = rng.randrange(min(600, len(data) - 4))
    return data[:at] + rng.choice(LIES) + data[at + 4 :]


def _lie(data, rng):
    at = rng.randrange(len(data) - 4)
    return data[:at] + rng.choice(LIES) + data[at + 4 :]


def _take_out(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 60) :]


def _double(data, rng):
    at = rng.randrange(len(data))
    part = data[at : at + rng.randrange(1, 200)]
    return data[:at] + part * rng.randrange(2, 4) + data[at + len(part) :]


def _put_in(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 40)) + data[at:]


_MUTATIONS = (_cut, _flip, _lie_early, _lie, _take_out, _double, _put_in)


# --- the walk --------------------------------------------------------------------------------------------------------


class Walk:
    """Reads broken files and counts: same, other, refused, crashed, hung, memory; faults are listed."""

    def __init__(self, folder, keep=None):
        self.folder, self.keep = folder, keep
        self.counts, self.faults, self.slowest_s = collections.Counter(), [], 0.0
        self.files = make_files(folder)
        self.good = {}
        for name, (path, read) in self.files.items():
            self.good[name] = self._try_good(read, path)

    @staticmethod
    def _try_good(read, path):
        try:
            return read(path)
        except UnsupportedFileError:  # deep EXR
            return None

    def case(self, seed, name, number):
        """One broken file."""
        whole, read = self.files[name]
        path = self.folder / f"broken{whole.suffix}"
        path.write_bytes(mutate(whole.read_bytes(), random.Random(f"{seed} {name} {number}")))
        started = time.monotonic()
        try:
            found = read(path, frame=7)
        except InputError as error:
            what = self._refused(error, path)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            what = f"fault: {type(error).__name__}: {error}"[:300]
        else:
            what = "same" if self._same(name, found) else "other"
            if what == "other" and name.startswith("png"):
                what = "fault: a PNG reads as another picture"
        self._note(seed, name, number, what, path, time.monotonic() - started)

    def _refused(self, error, path):
        said, story = str(error), error.detail
        if path.name not in said or "\n" in said or not said.endswith(".") or not error.remedy:
            return f"fault: no sentence: {said}"[:300]
        if "made its reader crash" in said:
            return f"crashed: {story}"
        if "longer than" in said:
            return "hung"
        if "cannot be read (" in said:
            return f"surprised: {said[said.index('(', said.index('cannot be')) :]}"[:120]
        return "memory" if "needs more memory" in said else "refused"

    def _same(self, name, found):
        good = self.good[name]
        return good is not None and found.shape == good.shape and np.array_equal(found, good)

    def _note(self, seed, name, number, what, path, seconds):
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > LIMIT_S + 10:
            what = f"fault: took {seconds:.0f} s"
        self.counts[name, what.partition(":")[0]] += 1
        if ":" in what or what in ("hung", "memory"):
            self.faults.append((f"{name} {number}", what))
            if self.keep is not None:
                (self.keep / f"{name}-{seed}-{number}{path.suffix}").write_bytes(path.read_bytes())

    def check_good(self, name):
        """A sound file of the same kind still reads, whatever came before."""
        path, read = self.files[name]
        good = self._try_good(read, path)
        if (good is None) != (self.good[name] is None) or (good is not None and not self._same(name, good)):
            self.faults.append((name, "fault: a sound file reads no more"))


def run(count, seed, only=None, keep=None, tell=lambda _: None):
    """Read `count` broken files, the kinds by turns. Gives the walk."""
    readers.readers().limits = Limits(memory_bytes=MEMORY_BYTES, seconds=LIMIT_S)
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder), keep)
        names = [name for name in walk.files if not only or name in only]
        for number in range(count):
            name = names[number % len(names)]
            walk.case(seed, name, number)
            if number % EVERY == EVERY - 1:
                walk.check_good(name)
            if number % 1000 == 999:
                tell(f"{number + 1} files, slowest {walk.slowest_s:.2f} s")
        for name in names:
            walk.check_good(name)
    return walk


def main(words=None):
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="kinds, as exr-tiled")
    parser.add_argument("--keep", type=Path, help="a folder for files that crash, hang or are faults")
    options = parser.parse_args(words)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    walk = run(options.count, options.seed, options.only, options.keep, say)
    say(f"{'':16s}" + "".join(f"{column:>10s}" for column in COLUMNS))
    for name in sorted({name for name, _ in walk.counts}):
        say(f"{name:16s}" + "".join(f"{walk.counts[name, column]:10d}" for column in COLUMNS))
    for where, what in walk.faults[:60]:
        say(f"{where} {what}")
    say(f"{options.count} files in {time.monotonic() - started:.0f} s, slowest {walk.slowest_s:.2f} s")
    return 1 if any(what.startswith("fault") for _, what in walk.faults) else 0


def say(text):
    """A line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
