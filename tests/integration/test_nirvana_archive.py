# SPDX-License-Identifier: GPL-3.0-or-later
"""A real archive on disk: read back, cut at every byte, flipped in every byte, forged with right checksums."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from mapreel.core.contract.errors import (
    ArchiveError,
    CancelledError,
    DamagedArchiveError,
    InputError,
    MapreelError,
    MissingInputError,
    UnsupportedArchiveError,
)
from mapreel.core.contract.progress import SilentContext
from mapreel.core.nirvana import archive as archive_module
from mapreel.core.nirvana import bitstream as bits
from mapreel.core.nirvana import decode as decode_module
from mapreel.core.nirvana import groupencoder as groupencoder_module
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.config import FitConfig
from mapreel.core.nirvana.encode import EncodeSettings, encode
from mapreel.core.nirvana.means import picture_means
from mapreel.core.quality import psnr

GOLDEN_FOLDER = Path(__file__).with_name("nirvana_golden")
# Exact on every machine: CRC-32 of each group's (and its alpha's) steps and symbols. Files of a version never change.
GOLDEN = {
    "ramp_v1": (0xCDB041DC, 0xA4B854F1),
    "ramp_v2": (0x65DD3403, 0x0F1B0DC0),
    "lit_v2": (0xFF8720B7, 0xFD8D90B1, 0x0A8C8F67, 0x4CD5EC53),
}
QUICK = FitConfig(first_iterations=10, next_iterations=6, first_search=20, next_search=10)
CPU = torch.device("cpu")


class Shot:
    """A moving colour ramp."""

    def __init__(self, frames: int, height: int, width: int, first: int = 1001) -> None:
        self.numbers = tuple(range(first, first + frames))
        self.size = (height, width)

    def read(self, number: int) -> np.ndarray:
        rows, cols = np.mgrid[: self.size[0], : self.size[1]]
        t = number - self.numbers[0]
        return np.stack([(cols * 4 + 6 * t) % 256, rows * 5 % 256, (rows + cols + t) % 256], axis=-1).astype(np.uint8)


def make(path: Path, shot: Shot, **settings) -> Path:
    wanted = {"fit": QUICK, "fps": Fraction(24), "group_frames": 1, "intra_interval": 2, **settings}
    encode(shot, EncodeSettings(**wanted), path, SilentContext(), CPU)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Five groups of one frame; groups 1 and 3 lean on the one before."""
    return make(tmp_path_factory.mktemp("archive") / "shot.nirv", Shot(5, 24, 40))


@pytest.fixture(scope="module")
def chunks(archive) -> list[bits.Chunk]:
    size = archive.stat().st_size
    found, at = [], bits.PREFIX_BYTES
    with archive.open("rb") as file:
        while at < size:
            found.append(bits.read_chunk_head(file, at, size))
            at = found[-1].end
    return found


def group_chunk(chunks, number, kind=bits.GROUP) -> bits.Chunk:
    return next(chunk for chunk in chunks if chunk.kind == kind and chunk.number == number)


def forged(data: bytes, chunk: bits.Chunk, payload: bytes) -> bytes:
    """`data` with another payload of the same length and right checksums."""
    assert len(payload) == chunk.size
    new = bits.pack_chunk(chunk.kind, chunk.number, payload)
    return data[: chunk.offset] + new + data[chunk.end :]


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "changed.nirv"
    path.write_bytes(data)
    return path


def test_what_it_says_of_itself(archive):
    with Archive(archive) as opened:
        info = opened.info
    assert info.numbers == (1001, 1002, 1003, 1004, 1005)
    assert (info.height, info.width, info.fps, info.profile) == (24, 40, 24.0, "nirvana")
    assert info.file_bytes == archive.stat().st_size
    assert info.bits_per_pixel == 8 * info.file_bytes / (5 * 24 * 40)


def test_frames_in_any_order_are_the_same(archive):
    with Archive(archive) as opened:
        forward = dict(opened.frames())
    with Archive(archive) as opened:
        backward = dict(opened.frames(reversed(opened.numbers)))
    assert forward.keys() == backward.keys()
    for number, picture in forward.items():
        assert picture.shape == (24, 40, 3)
        assert np.array_equal(picture, backward[number])
        assert psnr(picture, Shot(5, 24, 40).read(number)) > 12


def test_thread_count_changes_no_symbol_and_no_pixel_by_more_than_a_step(archive):
    threads, seen = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with Archive(archive) as opened:
                crcs = [opened.symbols_crc(group) for group in range(5)]
                seen.append((crcs, np.stack([picture for _, picture in opened.frames()]).astype(int)))
    finally:
        torch.set_num_threads(threads)
    assert seen[0][0] == seen[1][0]
    assert np.abs(seen[0][1] - seen[1][1]).max() <= 1


def test_whole_archive_verifies(archive):
    with Archive(archive) as opened:
        verdict = opened.verify()
    assert verdict.whole
    assert verdict.groups == verdict.groups_compared == 5


def test_missing_file_and_unknown_frame(archive, tmp_path):
    with pytest.raises(MissingInputError):
        Archive(tmp_path / "none.nirv")
    with pytest.raises(MissingInputError):
        Archive(tmp_path)
    with Archive(archive) as opened, pytest.raises(InputError, match="1006"):
        opened.frame(1006)


def test_a_frame_needs_no_later_group(archive, chunks, tmp_path):
    data = bytearray(archive.read_bytes())
    for number in (2, 3, 4):
        chunk = group_chunk(chunks, number)
        data[chunk.offset : chunk.end] = bytes(chunk.end - chunk.offset)
    with Archive(archive) as whole, Archive(written(tmp_path, bytes(data))) as opened:
        for number in (1001, 1002):
            assert np.array_equal(opened.frame(number), whole.frame(number))
        with pytest.raises(DamagedArchiveError, match="group 2"):
            opened.frame(1003)


def test_damaged_group_costs_itself_and_those_that_lean_on_it(archive, chunks, tmp_path):
    data = bytearray(archive.read_bytes())
    data[group_chunk(chunks, 2).offset + 40] ^= 1
    with Archive(archive) as whole, Archive(written(tmp_path, bytes(data))) as opened:
        for number in (1003, 1004):
            with pytest.raises(DamagedArchiveError, match="group 2"):
                opened.frame(number)
        for number in (1001, 1002, 1005):
            assert np.array_equal(opened.frame(number), whole.frame(number))
        verdict = opened.verify()
    assert verdict.lost_frames == (1003, 1004)
    assert len(verdict.faults) == 2


def test_cut_at_every_byte_is_refused(archive, tmp_path):
    data = archive.read_bytes()
    path = written(tmp_path, data)
    with path.open("r+b") as file:
        for length in range(len(data) - 1, -1, -1):
            file.truncate(length)
            with pytest.raises(ArchiveError) as caught:
                Archive(path)
            assert "\n" not in str(caught.value)
            assert caught.value.exit_code == 2


def test_longer_than_written_is_refused(archive, tmp_path):
    with pytest.raises(DamagedArchiveError, match="longer"):
        Archive(written(tmp_path, archive.read_bytes() + b"\0"))


def test_a_flip_in_every_byte_is_noticed_and_named(archive, chunks, tmp_path):
    """Each byte in turn with one bit flipped: refused at opening, or by the group it is in, or found by the index."""
    data = archive.read_bytes()
    path = written(tmp_path, data)
    rng = np.random.default_rng(0)
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(data):
            file.seek(at)
            file.write(bytes([byte ^ 1 << int(rng.integers(8))]))
            chunk = next((c for c in chunks if c.offset <= at < c.end), None)
            where = "start" if chunk is None else chunk.name
            if chunk is not None and chunk.kind == bits.SUMS and at < chunk.offset + 16:
                where = f"the part at byte {chunk.offset}"  # optional, so no index says what stands there
            assert where.lower() in found_fault(path, chunk).lower(), at
            file.seek(at)
            file.write(bytes([byte]))


def found_fault(path: Path, chunk: bits.Chunk | None) -> str:
    """The sentence that a reader gets, at opening or when it comes to `chunk`."""
    try:
        with Archive(path) as opened:
            if opened.container.faults:
                assert len(opened.container.groups) == 5  # found again without the index
                return opened.container.faults[0]
            assert chunk is not None
            opened.container.compare_head(chunk)  # as verify does before it decodes, which is too slow for every byte
            opened.container.payload(chunk)
    except ArchiveError as error:
        return str(error).replace("this is not a Mapreel archive", "start")
    return "nothing"


def test_without_its_index_every_frame_is_still_there(archive, chunks, tmp_path):
    data = bytearray(archive.read_bytes())
    index = next(chunk for chunk in chunks if chunk.kind == bits.INDEX)
    data[index.offset + 30] ^= 4
    with Archive(archive) as whole, Archive(written(tmp_path, bytes(data))) as opened:
        for number, picture in opened.frames():
            assert np.array_equal(picture, whole.frame(number))
        verdict = opened.verify()
    assert not verdict.whole
    assert verdict.lost_frames == ()


def test_without_its_index_and_a_head_the_other_groups_are_found(archive, chunks, tmp_path):
    """The head of group 2 is gone as well, and with it how long it is: 3 leans on it, 0, 1 and 4 are found."""
    data = bytearray(archive.read_bytes())
    index = next(chunk for chunk in chunks if chunk.kind == bits.INDEX)
    data[index.offset + 30] ^= 4
    data[group_chunk(chunks, 2).offset + 9] ^= 1
    with Archive(archive) as whole, Archive(written(tmp_path, bytes(data))) as opened:
        for number in (1001, 1002, 1005):
            assert np.array_equal(opened.frame(number), whole.frame(number))
        for number in (1003, 1004):
            with pytest.raises(DamagedArchiveError, match="group 2"):
                opened.frame(number)
        assert opened.verify().lost_frames == (1003, 1004)


def test_a_search_for_groups_comes_to_an_end(archive, chunks, tmp_path):
    """Behind a damaged index nothing but beginnings of heads."""
    data = bytearray(archive.read_bytes())
    index = next(chunk for chunk in chunks if chunk.kind == bits.INDEX)
    data[index.offset + 30] ^= 4
    data[index.end :] = (bits.GROUP * len(data))[: len(data) - index.end]
    for times in (1, 300):
        more = data + bits.GROUP * (times * 1000)
        struct.pack_into("<Q", more, 32, len(more))
        head = bytes(more[32 : 32 + struct.unpack_from("<I", data, 24)[0]])
        more[16 : 16 + len(head) + 20] = bits.pack_chunk(bits.HEAD, 0, head)
        with pytest.raises(DamagedArchiveError, match="no group is found"):
            Archive(written(tmp_path, bytes(more)))


def test_forged_payloads_with_right_checksums(archive, chunks, tmp_path):
    """Behind the checksums: a named error or a picture, never another exception."""
    data = archive.read_bytes()
    rng = np.random.default_rng(1)
    refused: list[str] = []
    for _ in range(250):
        chunk = chunks[int(rng.integers(len(chunks)))]
        payload = bytearray(data[chunk.offset + 16 : chunk.offset + 16 + chunk.size])
        for _ in range(int(rng.integers(1, 4))):
            payload[int(rng.integers(min(len(payload), 400)))] = int(rng.integers(256))
        if chunk.kind == bits.HEAD:  # what may lie but costs time, not safety, is tested with the header
            payload[8:16] = data[chunk.offset + 24 : chunk.offset + 32]
        try:
            with Archive(written(tmp_path, forged(data, chunk, bytes(payload)))) as opened:
                opened.frame(opened.numbers[min(chunk.number, len(opened.numbers) - 1)])
        except ArchiveError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert not any("\n" in sentence for sentence in refused)


@pytest.mark.parametrize("step", [float("nan"), float("inf"), -1.0, 0.0, 1e30])
def test_steps_that_are_no_numbers(archive, chunks, tmp_path, step):
    data = archive.read_bytes()
    chunk = group_chunk(chunks, 0)
    payload = bytearray(data[chunk.offset + 16 : chunk.offset + 16 + chunk.size])
    struct.pack_into("<f", payload, 6, step)  # kind, checksum of the symbols, mode, then the step
    with Archive(written(tmp_path, forged(data, chunk, bytes(payload)))) as opened:
        with pytest.raises(DamagedArchiveError, match="group 0"):
            opened.frame(1001)
        assert opened.frame(1003).shape == (24, 40, 3)


def test_group_that_leans_where_it_must_not(archive, chunks, tmp_path):
    data = archive.read_bytes()
    for number, kind in ((0, 1), (1, 0)):
        chunk = group_chunk(chunks, number)
        payload = bytes([kind]) + data[chunk.offset + 17 : chunk.offset + 16 + chunk.size]
        with (
            Archive(written(tmp_path, forged(data, chunk, payload))) as opened,
            pytest.raises(DamagedArchiveError, match=f"group {number}"),
        ):
            opened.frame(1001 + number)


def test_a_forged_step_is_told(archive, chunks, tmp_path):
    data = archive.read_bytes()
    chunk = group_chunk(chunks, 4)
    payload = bytearray(data[chunk.offset + 16 : chunk.offset + 16 + chunk.size])
    payload[6] ^= 1  # the last bit of the first step: no eye would see it
    with (
        Archive(written(tmp_path, forged(data, chunk, bytes(payload)))) as opened,
        pytest.raises(DamagedArchiveError, match="group 4"),
    ):
        opened.frame(1005)


def test_pictures_a_step_off_pass_and_two_steps_off_do_not(archive, monkeypatch):
    for change, whole in ((1, True), (2, False), (-1, True), (-3, False)):
        monkeypatch.setattr(archive_module, "picture_means", lambda *of, by=change: picture_means(*of) + by)
        with Archive(archive) as opened:
            verdict = opened.verify()
        assert verdict.whole is whole
        assert whole or "other pictures" in verdict.faults[0]


def test_newer_version_and_unknown_parts(archive, tmp_path):
    data = archive.read_bytes()
    newer = struct.pack("<8sHH", bits.MAGIC, 3, 0)
    with pytest.raises(UnsupportedArchiveError, match="version 3"):
        Archive(written(tmp_path, newer + struct.pack("<I", zlib.crc32(newer)) + data[16:]))
    with Archive(written(tmp_path, longer(data, bits.pack_chunk(b"tail", 0, b"later")))) as opened:
        assert opened.frame(1001).shape == (24, 40, 3)
        assert opened.verify().whole
    with pytest.raises(UnsupportedArchiveError, match="TAIL"):
        Archive(written(tmp_path, longer(data, bits.pack_chunk(b"TAIL", 0, b"later"))))


def longer(data: bytes, extra: bytes) -> bytes:
    """`data` with further chunks at its end, which its header knows of."""
    size = struct.unpack_from("<I", data, 16 + 8)[0]
    head = bytearray(data[32 : 32 + size])
    struct.pack_into("<Q", head, 0, len(data) + len(extra))
    return data[:16] + bits.pack_chunk(bits.HEAD, 0, bytes(head)) + data[16 + size + 20 :] + extra


@pytest.mark.parametrize(("from_end", "part"), [(1, "tail"), (5, "tail"), (26, "note")])
def test_verify_reads_the_parts_of_later_versions_too(archive, tmp_path, from_end, part):
    """A bit in the checksum of the last one, in its payload, or in the checksum of the one before."""
    parts = bits.pack_chunk(b"note", 0, b"long ago") + bits.pack_chunk(b"tail", 0, b"later")
    data = bytearray(longer(archive.read_bytes(), parts))
    data[-from_end] ^= 1
    with Archive(written(tmp_path, bytes(data))) as opened:
        verdict = opened.verify()
    assert len(verdict.faults) == 1
    assert part in verdict.faults[0]
    assert verdict.lost_frames == ()


def test_frames_that_cannot_fit(archive, tmp_path):
    data = archive.read_bytes()
    size = struct.unpack_from("<I", data, 16 + 8)[0]
    head = bytearray(data[32 : 32 + size])
    struct.pack_into("<I", head, 16, 1_000_000)
    with pytest.raises(DamagedArchiveError, match="do not fit"):
        Archive(written(tmp_path, data[:16] + bits.pack_chunk(bits.HEAD, 0, bytes(head)) + data[16 + size + 20 :]))


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 1, 1), (4, 33, 17)])
def test_odd_sizes_and_short_last_groups(tmp_path, frames, height, width):
    shot = Shot(frames, height, width, first=7)
    with Archive(make(tmp_path / "odd.nirv", shot, group_frames=3)) as opened:
        assert [number for number, _ in opened.frames()] == list(shot.numbers)
        assert opened.frame(7).shape == (height, width, 3)
        assert opened.verify().whole


def test_pictures_do_not_depend_on_how_many_patches_are_decoded_at_once(tmp_path, monkeypatch):
    path = make(tmp_path / "wide.nirv", Shot(1, 70, 100))
    with Archive(path) as opened:
        whole = opened.frame(1001).astype(int)
        one_patch = opened._chains[0].decoder.config.floats_a_patch
    for patches in (1, 2, 5):
        monkeypatch.setattr(decode_module, "_FLOATS_AT_ONCE", patches * one_patch)
        with Archive(path) as opened:
            assert np.abs(opened.frame(1001) - whole).max() <= 1


def test_memory_that_torch_cannot_get_is_one_sentence(archive, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        torch.empty(1 << 50)

    monkeypatch.setattr(decode_module, "basis_images", full)
    monkeypatch.setattr(groupencoder_module, "fit_group", full)
    with Archive(archive) as opened, pytest.raises(MapreelError, match="memory to decode frames of 40 x 24 px") as seen:
        opened.frame(1001)
    assert "\n" not in str(seen.value)
    with pytest.raises(MapreelError, match="memory to encode frames of 40 x 24 px"):
        make(tmp_path / "full.nirv", Shot(1, 24, 40))


def test_other_faults_of_torch_stay_faults(archive, monkeypatch):
    monkeypatch.setattr(decode_module, "basis_images", lambda *_: torch.ones(2) @ torch.ones(3))
    with Archive(archive) as opened, pytest.raises(RuntimeError, match="size"):
        opened.frame(1001)


def test_same_settings_same_bytes_also_after_a_stop(tmp_path):
    shot = Shot(4, 24, 24)
    whole = make(tmp_path / "whole.nirv", shot).read_bytes()

    stopped = tmp_path / "stopped.nirv"
    work = tmp_path / ".stopped.nirv.work"

    class StopsLater(SilentContext):
        def check(self) -> None:
            if any(work.glob("*_000000.grp")):
                raise CancelledError("stopped")

    settings = EncodeSettings(fit=QUICK, fps=Fraction(24), group_frames=1, intra_interval=2)
    with pytest.raises(CancelledError):
        encode(shot, settings, stopped, StopsLater(), CPU)
    assert not stopped.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in work.glob("*.grp")}
    assert kept
    assert len(kept) < 4
    first = min(kept)
    damaged = work / max(kept) if len(kept) > 1 else None
    if damaged is not None:
        damaged.write_bytes(damaged.read_bytes()[:-3])  # half a group is made again
    encode(shot, settings, stopped, SilentContext(), CPU)
    assert stopped.read_bytes() == whole
    assert not work.exists()
    assert first == "group_000000.grp"


def test_work_of_other_settings_or_pictures_is_not_mixed_in(tmp_path):
    shot, path = Shot(2, 24, 24), tmp_path / "a.nirv"
    wanted = make(tmp_path / "b.nirv", shot).read_bytes()
    work = tmp_path / ".a.nirv.work"
    work.mkdir()
    (work / "settings.json").write_text("{}")
    (work / "group_000000.grp").write_bytes(b"nonsense")
    assert make(path, shot).read_bytes() == wanted


def test_target_ends_groups_early(tmp_path):
    class Counts(SilentContext):
        checks = 0

        def check(self) -> None:
            self.checks += 1

    counts = []
    for target in (None, 5.0):
        ctx = Counts()
        settings = EncodeSettings(fit=QUICK, fps=Fraction(24), group_frames=1, psnr_db=target)
        encode(Shot(2, 24, 24), settings, tmp_path / f"{target}.nirv", ctx, CPU)
        counts.append(ctx.checks)
    assert counts[1] < counts[0]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_files(name):
    """Written once by their version; must open for ever, symbols exact, pictures within one step of 8 bits."""
    path = GOLDEN_FOLDER / f"{name}.nirv"
    with Archive(path) as opened:
        form = opened.header.pictures
        crcs = tuple(opened.symbols_crc(group, plane) for group in range(2) for plane in range(form.planes))
        assert opened.verify().whole
        assert opened.info.format_version == int(name[-1])
        pictures = np.stack([picture for _, picture in opened.frames()])
    assert crcs == GOLDEN[name]
    expected = np.load(path.with_suffix(".npy"))
    assert pictures.dtype == expected.dtype
    assert expected.shape == pictures.shape == (2, 16, 24, form.channels)
    for plane in range(form.planes):
        assert np.abs(form.codes(pictures, plane) - form.codes(expected, plane)).max() <= 1.001 / 255


def test_golden_file_with_everything_in_it():
    with Archive(GOLDEN_FOLDER / "lit_v2.nirv") as opened:
        info, labels, instances = opened.info, opened.labels(1003), opened.instances(1001)
        assert opened.labels(1001)[15, 23] == 4
        assert opened.instances(1003) is None
    assert (info.numbers, info.fps, info.depth, info.colour_space) == ((1001, 1003), 24000 / 1001, "half", "ACEScg")
    assert (info.pixel_aspect, info.alpha, info.shaper) == (2.0, True, (-0.04998779296875, 16.0))
    assert (labels[0, 0], labels.dtype, instances[15, 23], instances.dtype) == (1, np.uint8, 4000, np.uint16)
    notes = info.notes
    assert str(notes.timecode) == "01:00:00;02"
    assert notes.provenance == {"tool": "mapreel", "version": "0.1.0", "source": "ramp"}
    assert (notes.tags, notes.recipe) == ({"shot": "ramp"}, {"model": "street", "seed": 4})
    assert notes.classes == {0: "sky", 1: "road", 4: "wall"}
