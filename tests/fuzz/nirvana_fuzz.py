# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens thousands of broken archives in child processes with limits, and counts what came of them.

    python tests/fuzz/nirvana_fuzz.py --count 20000 --seed 1 [--archive FILE.nirv …] [--every-byte] [--keep DIR]

Half of the mutations are *blind*; of the others all checksums of chunks are made right again (*forged*), for three in
ten that of the groups' symbols too (*symbols*), and that which ties the header to frame numbers and settings: where
these were changed it is *another* archive, and which pictures were right nobody can say. (Version 1 has no such tie.)
Allowed are a named error, the right picture, and another picture of which `verify` says so. Everything else is a fault
and ends with exit code 1: another exception, a crash, a hang, too much memory, a wrong picture that nobody notices. A
case is made of the seed, the archive's name and the case's number alone.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "integration" / "nirvana_golden"
CPU_LIMIT_S = 20  # of processor time for one case; a whole archive takes some hundredths
ADDRESS_LIMIT = 1 << 30  # bytes of address space that a case may take on top of what the process has
RESIDENT_LIMIT_KB = 700 << 10  # of memory
MANY_PIXELS = 1 << 21  # an archive that claims more is asked for a corner of its first and its last frame
CORNER = 64
FAULTS = ("exception", "untidy", "crash", "hang", "memory", "silent")


@dataclass(frozen=True)
class SymbolsCheck:
    """Where a profile computes the checksum of a group's symbols, and where it stands in the payload."""

    module: str
    function: str
    offset: int


PROFILES = {
    "nirvana": SymbolsCheck("mapreel.core.nirvana.groups", "symbols_crc", 1),
    "reel": SymbolsCheck("mapreel.core.nirvana.reel.payload", "symbols_crc", 1),
}


# --- small archives --------------------------------------------------------------------------------------------------


class Shot:
    """A moving colour ramp of four small frames, with alpha if wished."""

    def __init__(self, pictures, height=16, width=24, frames=4):
        self.pictures, self.size = pictures, (height, width)
        self.numbers = tuple(range(1001, 1001 + frames))

    def read(self, number):
        import numpy as np

        rows, cols = np.mgrid[: self.size[0], : self.size[1]]
        t = number - self.numbers[0]
        ramp = np.stack([cols * 9 + 6 * t, rows * 13, (rows + cols) * 5 + t, 255 - rows * 7], axis=-1) % 256 / 255
        form = self.pictures
        return form.rounded(ramp[..., : form.channels].astype(np.float32) * (3 if form.samples == "half" else 1))


def make_archives(folder, profiles):
    """Small archives of each profile: 8 bits with notes and label maps; half floats with alpha. Gives their paths."""
    import torch

    from mapreel.core.contract.progress import SilentContext
    from mapreel.core.nirvana.config import FitConfig
    from mapreel.core.nirvana.encode import EncodeSettings, encode
    from mapreel.core.nirvana.samples import PictureFormat, SampleFormat
    from mapreel.core.nirvana.shaper import Shaper

    quick = {
        "nirvana": lambda: FitConfig(first_iterations=6, next_iterations=4, first_search=10, next_search=5),
        "reel": quick_reel,
    }
    forms = {
        "8bit": PictureFormat(),
        "half": PictureFormat(
            samples=SampleFormat.HALF, alpha=True, colour_space="lin_rec709", shaper=Shaper(0.0, 3.0)
        ),
    }
    made = []
    for profile in profiles:
        for name, form in forms.items():
            path = folder / f"{profile}_{name}.nirv"
            settings = EncodeSettings(
                fit=quick[profile](),
                fps=Fraction(24),
                group_frames=1,
                intra_interval=2,
                pictures=form,
                notes=() if form.alpha else some_notes(),
            )
            maps = () if form.alpha else some_maps()
            encode(Shot(form), settings, path, SilentContext(), torch.device("cpu"), maps)
            made.append(path)
    return made


def quick_reel():
    """A fit of profile reel that takes no time."""
    from mapreel.core.nirvana.reel.fit import ReelFit

    return ReelFit(iterations=3)


def some_notes():
    """Every optional chunk."""
    from mapreel.core.nirvana.metadata import Notes, Timecode

    return Notes(
        timecode=Timecode(hours=1, minutes=0, seconds=59, frames=23, drop=True),
        provenance={"tool": "fuzz", "source": "ramp.####.png"},
        tags={"owner": "Ärger & Söhne"},
        recipe={"model": "street", "seeds": [1, 2.5, None]},
        classes={0: "sky", 1: "road"},
    ).chunks()


def some_maps():
    """Label maps of all four frames, an instance map of two."""
    import numpy as np

    from mapreel.core.nirvana import bitstream as bits
    from mapreel.core.nirvana.labels import pack_ids

    ids = np.arange(16 * 24).reshape(16, 24)
    labels = [(bits.LABELS, index, pack_ids((ids // 50 + index).astype(np.uint8))) for index in range(4)]
    return labels + [(bits.INSTANCES, index, pack_ids((ids * 100 + index).astype(np.uint16))) for index in (0, 2)]


# --- one case, in the child ------------------------------------------------------------------------------------------


class Bench:
    """Whole archive, what it shows, and a file to put broken ones into."""

    def __init__(self, path, folder, seed, every_byte):
        import nirvana_mutations as mutations

        self.mutations, self.seed, self.every_byte = mutations, seed, every_byte
        self.name = Path(path).stem
        self.whole = mutations.Whole(Path(path).read_bytes())
        self.file = Path(folder) / "broken.nirv"
        self.check = PROFILES[self.whole.header.profile]
        self.seen_crcs = {}
        self._watch_symbols()
        self.truth, self.truth_means, self.truth_maps = self.look(self.whole.data)[1:]

    def _watch_symbols(self):
        """Note every checksum of symbols that a decoder computes."""
        module = importlib.import_module(self.check.module)
        compute = getattr(module, self.check.function)

        def noted(*arguments):
            crc = compute(*arguments)
            self.last_crc = crc
            return crc

        setattr(module, self.check.function, noted)

    def case(self, number):
        """Bytes of a case, and whether all checksums were made right."""
        rng = random.Random(f"{self.seed} {self.name} {number}")
        if number % 2 and self.every_byte and number < 4 * len(self.whole.data):
            cut, at = number % 4 == 1, number // 4
            return self.mutations.cut(self.whole, at) if cut else self.mutations.flip(self.whole, at, rng), "blind"
        if number % 2:
            return self.mutations.blind(self.whole, rng), "blind"
        wholly = rng.random() < 0.3
        forged, another = self.mutations.forge(self.whole, rng, bond=wholly)
        kind = "another" if another else "symbols" if wholly else "forged"
        return self._with_symbols(forged) if wholly else forged, kind

    def _with_symbols(self, data):
        """The checksums of the groups' symbols made right, one group after the other, where they can be read."""
        from mapreel.core.contract.errors import MapreelError
        from mapreel.core.nirvana.archive import Archive

        for group in range(self.whole.header.groups):
            self.file.write_bytes(data)
            self.last_crc = None
            with contextlib.suppress(MapreelError), Archive(self.file) as archive:
                archive.symbols_crc(group)
            if self.last_crc is not None:
                crc = self.last_crc
                data = self.mutations.with_symbols_crc(self.whole, data, group, self.check.offset, crc) or data
        return data

    def look(self, data):
        """Outcome words; by index in the shot pictures (None: refused), their 8-bit block means, and maps."""
        from mapreel.core.contract.errors import MapreelError
        from mapreel.core.nirvana.archive import Archive
        from mapreel.core.nirvana.means import picture_means

        self.file.write_bytes(data)
        try:
            archive = Archive(self.file)
        except MapreelError as error:
            return [tidy(error)], [], [], []
        words, pictures, means, maps = [], [], [], []
        with archive:
            words += [tidy(fault) for fault in archive.info.faults]
            head = archive.header
            large = head.width * head.height * head.frames > MANY_PIXELS
            region = (0, 0, min(CORNER, head.width), min(CORNER, head.height)) if large else None
            numbers = archive.numbers if not large else {archive.numbers[0], archive.numbers[-1]}
            for number in numbers:
                try:
                    picture = archive.frame(number, region=region)
                except MapreelError as error:
                    words.append(tidy(error))
                    picture = None
                pictures.append(picture)
                small = picture is not None and not large
                means.append(picture_means(picture[None], head.pictures) if small else None)
                maps.append([self._map(read, number, words) for read in (archive.labels, archive.instances)])
            with contextlib.suppress(MapreelError):
                archive.frame(archive.numbers[-1], region=(0, 0, min(CORNER, head.width), 1), scale=2)
        return words, pictures, means, maps

    def _map(self, read, number, words):
        """A map of a frame, None where there is none, False where it is refused."""
        from mapreel.core.contract.errors import MapreelError

        try:
            return read(number)
        except MapreelError as error:
            words.append(tidy(error))
            return False

    def outcome(self, number):
        """One word for what came of a case."""
        from mapreel.core.nirvana.archive import Archive

        data, kind = self.case(number)
        if data == self.whole.data:
            return kind, "unchanged"
        words, pictures, means, maps = self.look(data)
        if "untidy" in words:
            return kind, "untidy"
        if not pictures:
            return kind, "refused"
        if kind == "another":
            return kind, "partly refused" if words else "shown"
        wrong = self._wrong(pictures, means, exactly=kind != "symbols")
        wrong = wrong or (kind == "blind" and self._wrong_maps(maps))
        if not wrong:
            return kind, "partly refused" if words else "right"
        with Archive(self.file) as archive:
            return kind, "silent" if archive.verify().whole else "told"

    def _wrong(self, pictures, means, *, exactly):
        """True when a picture is another than the true one (not exactly: a block mean more than a step away)."""
        import numpy as np

        if len(pictures) > len(self.truth):
            return True
        for index, picture in enumerate(pictures):
            true = self.truth[index]
            if picture is None:
                continue
            if picture.shape != true.shape or picture.dtype != true.dtype:
                return True
            if exactly and not np.array_equal(picture, true):
                return True
            if not exactly and np.abs(means[index] - self.truth_means[index]).max() > 1:
                return True
        return False

    def _wrong_maps(self, maps):
        """True when a map is there that is another than the true one; one that is not found is none."""
        import numpy as np

        pairs = [
            pair for seen, true in zip(maps, self.truth_maps, strict=False) for pair in zip(seen, true, strict=True)
        ]
        there = [(seen, true) for seen, true in pairs if seen is not None and seen is not False]
        return any(true is None or not np.array_equal(seen, true) for seen, true in there)


def tidy(error):
    """`named`, or `untidy` for an error that is not one sentence."""
    said = str(error)
    return "named" if said.endswith(".") and "\n" not in said and len(said) < 400 else "untidy"


def child(path, folder, seed, first, last, every_byte):
    """Do the cases first … last - 1; each one's number goes to the file `at`, what is worth a line to stdout."""
    import torch

    torch.set_num_threads(1)
    bench = Bench(path, folder, seed, every_byte)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_LIMIT, used + ADDRESS_LIMIT))
    counts = collections.Counter()
    with (Path(folder) / "at").open("wb", buffering=0) as at:
        for number in range(first, last):
            os.pwrite(at.fileno(), f"{number:12}".encode(), 0)
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)  # SIGPROF ends the process, whatever it is in
            Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is that of this case
            why = ""
            try:
                kind, outcome = bench.outcome(number)
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                kind, outcome = bench.case(number)[1], "exception"
                why = f"{type(error).__name__}: {error}"[:300]
            if peak_kb() > RESIDENT_LIMIT_KB:
                outcome = "memory"
            counts[f"{kind} {outcome}"] += 1
            if outcome in FAULTS:
                (Path(folder) / f"fault{number}.nirv").write_bytes(bench.case(number)[0])
                say({"case": number, "kind": kind, "outcome": outcome, "error": why})
            if (number - first) % 50 == 49:
                say({"counts": counts})
                counts = collections.Counter()
    signal.setitimer(signal.ITIMER_PROF, 0)
    say({"counts": counts})


def peak_kb():
    """Most memory that this process had since the peak was set back."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def say(what):
    """A line of JSON on stdout."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


# --- the parent ------------------------------------------------------------------------------------------------------


def run(path, seed, count, every_byte, keep, note):
    """All cases of one archive -> counts, faults. A child that dies is a fault; another goes on behind it."""
    counts, faults, first = collections.Counter(), [], 0
    while first < count:
        with tempfile.TemporaryDirectory(prefix="mapreel-fuzz-") as folder:
            words = [str(path), folder, str(seed), str(first), str(count), str(int(every_byte))]
            process = subprocess.Popen(
                [sys.executable, __file__, "--child", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            since = collections.Counter()
            for line in process.stdout:
                said = json.loads(line)
                since.update(said.get("counts", {}))
                if "case" in said:
                    faults.append({"archive": path.name, **said})
                    note(json.dumps(faults[-1]))
            errors = process.stderr.read()
            process.wait()
            at = Path(folder) / "at"
            if keep is not None:
                for file in Path(folder).glob("fault*.nirv"):
                    (keep / f"{path.stem}_{file.name}").write_bytes(file.read_bytes())
                if process.returncode and at.exists():
                    broken = (Path(folder) / "broken.nirv").read_bytes()
                    (keep / f"{path.stem}_died{int(at.read_text())}.nirv").write_bytes(broken)
            counts.update(since)
            if process.returncode == 0:
                break
            if not at.exists():
                raise SystemExit(f"{path.name} cannot be read: {errors[-2000:]}")
            number = int(at.read_text())
            outcome = "hang" if process.returncode == -signal.SIGPROF else "crash"
            counts[f"any {outcome}"] += 1
            counts["any counted before a crash"] += max(0, number - first - sum(since.values()))
            faults.append({"archive": path.name, "case": number, "outcome": outcome, "error": errors[-500:]})
            note(json.dumps(faults[-1]))
            first = number + 1
    return counts, faults


def main():
    """Command line."""
    if sys.argv[1:2] == ["--child"]:
        path, folder, seed, first, last, every_byte = sys.argv[2:]
        child(path, folder, seed, int(first), int(last), every_byte == "1")
        return 0
    parser = argparse.ArgumentParser(description="Opens broken archives and counts what came of them.")
    parser.add_argument("--count", type=int, default=2000, help="mutations, shared out over the archives")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--archive", type=Path, action="append", default=[], help="besides those that are made here")
    parser.add_argument("--profile", action="append", choices=PROFILES, help="whose archives are made; else all")
    parser.add_argument("--made-only", action="store_true", help="not the archives in the repository")
    parser.add_argument(
        "--every-byte", action="store_true", help="blind ones cut at, and flip a bit in, one byte after another"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files that show a fault")
    options = parser.parse_args()
    started = time.monotonic()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    counts, faults = collections.Counter(), []
    with tempfile.TemporaryDirectory(prefix="mapreel-fuzz-") as folder:
        archives = [*make_archives(Path(folder), options.profile or PROFILES), *options.archive]
        if not options.made_only:
            archives += sorted(GOLDEN.glob("*.nirv"))
        for place, path in enumerate(archives):
            share = options.count * (place + 1) // len(archives) - options.count * place // len(archives)
            new, found = run(
                path, options.seed, share, options.every_byte, options.keep, lambda line: sys.stderr.write(line + "\n")
            )
            counts.update(new)
            faults += found
            say({"archive": path.name, "mutations": sum(new.values()), "counts": dict(sorted(new.items()))})
    say(
        {
            "mutations": sum(counts.values()),
            "counts": dict(sorted(counts.items())),
            "faults": len(faults),
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
