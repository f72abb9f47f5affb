# SPDX-License-Identifier: GPL-3.0-or-later
"""A take never overwrites, and a file is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import threading

import pytest

from mapreel.core.contract.errors import DiskFullError, OutputError
from mapreel.core.contract.takes import (
    atomic_path,
    claim_take,
    release_take,
    remove_partial_files,
    resume_take,
    write_atomically,
)


def test_folder_takes(tmp_path):
    out = tmp_path / "deep" / "shot.v1"
    assert [claim_take(out).name for _ in range(3)] == ["shot.v1", "shot.v1_v002", "shot.v1_v003"]


def test_file_takes(tmp_path):
    out = tmp_path / "x.mp4"
    first = claim_take(out)
    assert (first.name, claim_take(out).name) == ("x.mp4", "x_v002.mp4")
    assert not first.exists()
    write_atomically(first, b"movie")
    release_take(first)
    assert claim_take(out).name == "x_v003.mp4"
    assert first.read_bytes() == b"movie"
    assert not list(tmp_path.glob(".x.mp4.claim"))


@pytest.mark.parametrize("make", ["mkdir", "touch", "link"])
def test_whatever_stands_there_is_kept(tmp_path, make):
    for name in ("shot", "x.nirv"):
        target = tmp_path / name
        target.symlink_to(tmp_path / "nowhere") if make == "link" else getattr(target, make)()
    assert claim_take(tmp_path / "shot").name == "shot_v002"
    assert claim_take(tmp_path / "x.nirv").name == "x_v002.nirv"


def test_names_that_differ_by_case_only_are_one_take(tmp_path):
    (tmp_path / "SHOT").mkdir()
    assert claim_take(tmp_path / "shot").name == "shot_v002"


@pytest.mark.parametrize("name", ["shot", "x.mp4"])
def test_two_at_once_get_two_takes(tmp_path, name):
    takes, start = [], threading.Barrier(8)

    def claim():
        start.wait()
        takes.append(claim_take(tmp_path / name))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(takes)) == 8


def test_resume_names_the_take(tmp_path):
    take = claim_take(tmp_path / "shot")
    assert resume_take(take) == take
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        resume_take(tmp_path / "file")


def test_a_name_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "shot", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError):
            claim_take(out)


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def half(file):
        file.write(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "a.png", half)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_has_its_sentence(tmp_path):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskFullError, match=r"the disk is full: .*a\.png was not written"):
        write_atomically(tmp_path / "a.png", full)
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_name_is_hidden_and_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.0001.exr") as temporary:
        temporary.write_bytes(b"picture")
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".exr"
        assert not (tmp_path / "a.0001.exr").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.0001.exr"]


def leave_half(path):
    """What a writer that was killed leaves: its temporary file."""
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(path))
        temporary.write_bytes(b"half")
        keep = temporary.with_name(temporary.name)
        data = temporary.read_bytes()
        temporary.write_bytes(b"")
    path.unlink()
    keep.write_bytes(data)
    return keep


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    leave_half(tmp_path / "a.png")
    (tmp_path / ".keep").touch()
    (tmp_path / "b.png").touch()
    assert remove_partial_files(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keep", "b.png"]
    assert remove_partial_files(tmp_path / "nowhere") == 0


def test_beside_a_file_take_only_its_own_leftovers_are_cleared(tmp_path):
    ours, others = leave_half(tmp_path / "x[1].mp4"), leave_half(tmp_path / "y.mp4")
    assert remove_partial_files(tmp_path / "x[1].mp4") == 1
    assert (ours.exists(), others.exists()) == (False, True)
