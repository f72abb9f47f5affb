# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader processes: what happens to them fails one file, with a sentence, and nothing else."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mapreel.core.contract.errors import DamagedFileError, FileTooLargeError, MissingInputError, UnknownLabelError
from mapreel.core.media import readerchild, readerlimits
from mapreel.core.media.classes import ClassRules
from mapreel.core.media.images import read_color, write_exr, write_png
from mapreel.core.media.labels import MapReading, read_label_map
from mapreel.core.media.movies import read_movie_frames
from mapreel.core.media.moviewriter import MovieWriter
from mapreel.core.media.palettes import load_palette
from mapreel.core.media.plates import plate_header, read_plate
from mapreel.core.media.readerlimits import Limits
from mapreel.core.media.readers import Readers, read_apart
from mapreel.core.media.readerwire import lift, pack, unpack

posix = pytest.mark.skipif(os.name == "nt", reason="signals")
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
LABEL = "mapreel.core.media.labels:read_label_map"


@pytest.fixture
def label(tmp_path):
    write_png(tmp_path / "0001.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    return tmp_path / "0001.png"


@pytest.fixture
def pool():
    found = Readers(Limits(memory_bytes=3 << 30, seconds=30.0))
    yield found
    found.close()


def ids(pool, path, frame=1):
    return pool.read(LABEL, {"path": path, "frame": frame})


def only_pid(pool):
    (pid,) = pool.pids()
    return pid


def gone(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_map_is_read_by_another_process_that_stays_warm(pool, label):
    assert (ids(pool, label) == np.arange(12).reshape(3, 4)).all()
    first = only_pid(pool)
    assert first != os.getpid()
    ids(pool, label)
    assert only_pid(pool) == first


@posix
def test_a_reader_that_is_killed_fails_its_file_and_no_other(pool, label):
    ids(pool, label)
    pid = only_pid(pool)
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(DamagedFileError, match=r"frame 7 \(.*0001\.png\) made its reader crash; render or") as caught:
        ids(pool, label, 7)
    assert "SIGKILL" in caught.value.detail
    assert caught.value.frame == 7
    assert (ids(pool, label) == np.arange(12).reshape(3, 4)).all()
    assert only_pid(pool) != pid


@posix
def test_a_reader_that_hangs_is_ended_at_its_limit(label):
    pool = Readers(Limits(memory_bytes=3 << 30, seconds=20.0))
    try:
        ids(pool, label)
        pool.limits = Limits(memory_bytes=3 << 30, seconds=0.5)
        pid = only_pid(pool)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(DamagedFileError, match=r"frame 7 .* took longer than 0 seconds|longer than 1 seconds"):
            ids(pool, label, 7)
        assert time.monotonic() - started < 5
        assert gone(pid)
        pool.limits = Limits(memory_bytes=3 << 30, seconds=20.0)
        assert ids(pool, label).shape == (3, 4)
    finally:
        pool.close()


@posix
def test_without_poll_a_timer_ends_the_reader(label, monkeypatch):
    """As on Windows, where only reading tells whether something is there."""
    monkeypatch.delattr(select, "poll")
    monkeypatch.setattr(readerchild, "_shared_memory", lambda: None)  # pixels go through the channel there
    pool = Readers(Limits(memory_bytes=3 << 30, seconds=30.0))
    try:
        assert (ids(pool, label) == np.arange(12).reshape(3, 4)).all()
        pool.limits = Limits(memory_bytes=3 << 30, seconds=0.5)
        os.kill(only_pid(pool), signal.SIGSTOP)
        with pytest.raises(DamagedFileError, match="took longer"):
            ids(pool, label)
    finally:
        pool.close()


@linux
def test_a_picture_beyond_the_memory_of_a_reader_is_told(tmp_path):
    write_png(tmp_path / "large.png", np.zeros((6000, 12000), np.uint8))
    pool = Readers(Limits(memory_bytes=580 << 20, seconds=60.0))
    call = "mapreel.core.media.images:read_picture"
    try:
        with pytest.raises(FileTooLargeError, match=r"large\.png needs more memory than one picture gets; make it"):
            pool.read(call, {"path": tmp_path / "large.png", "frame": None})
    finally:
        pool.close()


@linux
def test_a_reader_is_confined(pool, label):
    ids(pool, label)
    told = Path(f"/proc/{only_pid(pool)}/limits").read_text(encoding="ascii")
    limits = {line[:26].strip(): line[26:].split()[0] for line in told.splitlines()[1:]}
    assert limits["Max address space"] == str(3 << 30)
    assert limits["Max core file size"] == limits["Max file size"] == "0"
    assert limits["Max open files"] == str(readerlimits.OPEN_FILES)


@linux
def test_a_reader_is_ready_soon_and_loads_what_a_file_needs(pool, tmp_path, label):
    """Measured as processor time, since other work on the machine delays it."""
    write_exr(tmp_path / "0001.exr", np.zeros((4, 4, 3)))
    reader = readerchild.ReaderProcess(pool.limits)
    spent = sum(
        int(path.read_text().split()[0]) for path in Path(f"/proc/{reader.process.pid}/task").glob("*/schedstat")
    )
    libraries = Path(f"/proc/{reader.process.pid}/maps").read_text(encoding="utf-8")
    reader.close()
    assert spent < 150e6, f"{spent / 1e6:.0f} ms"
    assert not any(name in libraries for name in ("numpy", "torch", "OpenImageIO", "cv2"))
    ids(pool, label)
    maps = Path(f"/proc/{only_pid(pool)}/maps")
    assert "libOpenImageIO" not in maps.read_text(encoding="utf-8")
    pool.read("mapreel.core.media.images:read_color_float", {"path": tmp_path / "0001.exr"})
    assert "OpenImageIO" in maps.read_text(encoding="utf-8")
    assert "torch" not in maps.read_text(encoding="utf-8")


@linux
def test_readers_end_with_a_parent_that_is_killed(label):
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from mapreel.core.media.labels import read_label_map\nfrom mapreel.core.media.readers import warm_pids\n"
        "read_label_map(Path(sys.argv[1]))\nprint(*warm_pids(), flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(label)], stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    assert gone(pid)


@posix
def test_ctrl_c_is_for_the_parent(pool, label):
    ids(pool, label)
    pid = only_pid(pool)
    os.kill(pid, signal.SIGINT)
    assert ids(pool, label).shape == (3, 4)
    assert only_pid(pool) == pid


def test_a_reader_that_ended_by_itself_is_replaced(pool, label):
    ids(pool, label)
    pool._idle[0].process.kill()
    pool._idle[0].process.wait()
    assert ids(pool, label).shape == (3, 4)


def test_many_threads_share_the_readers(tmp_path):
    pool = Readers(Limits(memory_bytes=3 << 30), most=2)
    for value in range(12):
        write_png(tmp_path / f"{value}.png", np.full((30, 40), value, np.uint8))
    try:
        with ThreadPoolExecutor(6) as threads:
            found = list(threads.map(lambda value: ids(pool, tmp_path / f"{value}.png").max(), range(12)))
        assert found == list(range(12))
        assert len(pool.pids()) <= 2
    finally:
        pool.close()


def test_errors_come_back_as_they_were_raised(tmp_path, monkeypatch):
    with pytest.raises(MissingInputError, match=r"frame 3 \(.*none\.png\) is not there") as caught:
        read_label_map(tmp_path / "none.png", frame=3)
    assert (caught.value.file, caught.value.frame) == (str(tmp_path / "none.png"), 3)
    write_png(tmp_path / "color.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UnknownLabelError):
        read_label_map(tmp_path / "color.png")
    monkeypatch.chdir(tmp_path)
    write_png(Path("here.png"), np.ones((2, 2), np.uint8))
    assert read_label_map(Path("here.png")).all()
    with pytest.raises(MissingInputError, match=r"^there\.png is not there"):
        read_label_map(Path("there.png"))


def test_a_file_called_as_nobody_calls_one(tmp_path):
    write_png(tmp_path / "plain.png", np.full((2, 3), 5, np.uint8))
    for name in ("mit Leer zeichen ü 漢.png", 'quo"te\n.png', "\udcff.png"):  # the last one is no text
        shutil.copyfile(tmp_path / "plain.png", tmp_path / name)
        assert (read_label_map(tmp_path / name) == 5).all()


def test_palettes_rules_and_headers_travel(tmp_path):
    palette = load_palette("street")
    reading = MapReading(palette=palette, rules=ClassRules((("*", "3"),), None))
    write_png(tmp_path / "a.png", np.full((2, 3), palette.classes[0].id, np.uint8))
    for _ in range(2):
        assert (read_label_map(tmp_path / "a.png", reading=reading) == 3).all()
    write_exr(tmp_path / "p.exr", np.ones((4, 4, 3)), attributes={"FramesPerSecond": (24, 1), "Copyright": "ü"})
    values = plate_header(tmp_path / "p.exr").values
    assert values["Copyright"][1] == "ü"
    assert values["FramesPerSecond"][1] == (24, 1)


def test_a_movie_keeps_its_reader_until_it_ends(tmp_path):
    pictures = [np.full((32, 48, 3), 20 * n, np.uint8) for n in range(6)]
    with MovieWriter(tmp_path / "m.mp4", (32, 48), 24.0) as writer:
        for picture in pictures:
            writer.write(picture)
    frames = list(read_movie_frames(tmp_path / "m.mp4"))
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.time_s for frame in frames] == [Fraction(n, 24) for n in range(6)]
    assert all(abs(int(frame.pixels.mean()) - 20 * n) < 4 for n, frame in enumerate(frames))
    early = read_movie_frames(tmp_path / "m.mp4")
    next(early)
    early.close()  # the reader is free again, not lost
    assert read_movie_frames(tmp_path / "m.mp4").__next__().index == 0
    data = (tmp_path / "m.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFileError, match=r"cut\.mp4"):
        list(read_movie_frames(tmp_path / "cut.mp4"))


def test_a_reader_does_nothing_but_read(pool, tmp_path, label):
    for call in ("os:system", "mapreel.core.media.writers:write_png", "mapreel.core.media.readers:readers"):
        with pytest.raises(DamagedFileError, match="no reader of ours"):
            pool.read(call, {"path": label})


def test_what_a_reader_says_is_not_run():
    for told in (
        {"!": "data os:system", "v": {}},
        {"!": "data mapreel.core.media.readers:Readers", "v": {}},
        {"!": "enum builtins:int", "v": 3},
        {"!": "data mapreel.core.media.palettes:Palette", "v": {"no": 1}},
        {"!": "array", "v": 3},
        {"x": 1},
        [1],
    ):
        with pytest.raises(ValueError, match="no "):
            unpack(told)
    for places in (
        [["O", [1], 0]],
        [["<u1", [1 << 40], 0]],
        [["<u1", [-1], 0]],
        [["<u1", [4], -4]],
        5,
        [["V4", [1], 0]],
    ):
        with pytest.raises(ValueError, match=r"array|buffer|large|cannot"):
            lift(bytearray(16), places)
    with pytest.raises(TypeError, match="cannot go"):
        pack(object())


def test_values_come_back_as_they_went():
    value = {"a": (1, 2.5, None), 3: [True, Path("x"), Fraction(1, 3)], "b": b"\0\xff", "n": float("inf")}
    assert unpack(json.loads(pack(value))) == value


def test_a_large_file_gets_more_time(tmp_path):
    limits = Limits(memory_bytes=1, seconds=60)
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 400_000_000)
    assert limits.seconds_for(tmp_path / "large") == pytest.approx(160)
    assert limits.seconds_for(tmp_path / "none") == 60
    assert limits.seconds_for(Path("\0")) == 60


def test_limits_can_be_set(monkeypatch):
    assert readerlimits.LEAST_MEMORY_BYTES <= readerlimits.usual_limits().memory_bytes <= readerlimits.MEMORY_BYTES
    monkeypatch.setenv("MAPREEL_READER_MEMORY_MB", "1000")
    monkeypatch.setenv("MAPREEL_READER_TIMEOUT_S", "7")
    assert readerlimits.usual_limits() == Limits(memory_bytes=1000 << 20, seconds=7.0)
    monkeypatch.setenv("MAPREEL_READER_MEMORY_MB", "much")
    assert readerlimits.usual_limits().memory_bytes >= readerlimits.LEAST_MEMORY_BYTES


class Kernel32:
    """What Windows would be asked."""

    def __init__(self, agrees=True):
        self.agrees, self.said = agrees, []

        class Create:
            restype = None

            def __call__(_, *_args):  # noqa: N805
                return 77

        self.CreateJobObjectW = Create()

    def SetInformationJobObject(self, _job, sort, block, size):  # noqa: N802
        self.said.append((sort, size, block._obj.flags, block._obj.process_memory))
        return 1

    def AssignProcessToJobObject(self, _job, process):  # noqa: N802
        self.said.append(process.value)
        return int(self.agrees)

    def CloseHandle(self, handle):  # noqa: N802
        self.said.append(("closed", handle.value))


def test_on_windows_a_job_object_holds_the_reader():
    """By a stand-in for the kernel; not seen on a real Windows."""
    assert ctypes.sizeof(readerlimits.limit_block(1)) == 144  # JOBOBJECT_EXTENDED_LIMIT_INFORMATION with 64 bits
    kernel = Kernel32()
    job = readerlimits._job_object(kernel, 123, 1 << 30)
    assert kernel.said == [(9, 144, 0x2500, 1 << 30), 123]
    job.close()
    assert kernel.said[-1] == ("closed", 77)
    kernel = Kernel32(agrees=False)
    assert readerlimits._job_object(kernel, 123, 1 << 30) is None
    assert kernel.said[-1] == ("closed", 77)


def test_only_marked_functions_are_called_apart(tmp_path):
    assert all(getattr(f, "read_apart", False) for f in (read_label_map, read_color, read_plate, read_movie_frames))
    assert not hasattr(write_png, "read_apart")

    @read_apart
    def reads(path, *, frame=None):
        return path, frame

    with pytest.raises(DamagedFileError):  # a function inside another is found by nobody
        reads(tmp_path / "x")
