# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line makes of words, numbers and errors, without any process."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from mapreel.core import benchmarks, cli
from mapreel.core.commands.console import Console, Lines, duration, progress_line, table
from mapreel.core.commands.jobs import CELL_CHARS, _how
from mapreel.core.commands.options import absolute, model_name, references
from mapreel.core.commands.submission import kept
from mapreel.core.contract.errors import DamagedArchiveError, GapError, OutputError, UsageError
from mapreel.core.contract.job_view import JobView
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.progress import Progress
from mapreel.core.media import modelfacts as models


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (65, "1:05 min"), (7384, "2:03:04 h"), (3599.6, "1:00:00 h")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_progress_line_counts_frames_or_steps():
    assert progress_line(Progress(24, 96, "render", 12.4)) == "render: 24 of 96 frames, about 12 s left"
    assert progress_line(Progress(0, 96, "render")) == "render: 0 of 96 frames"
    assert progress_line(Progress(96, 96, "render", 0.0)) == "render: 96 of 96 frames"
    assert progress_line(Progress(3, 9, "train", 61.0)) == "train: 3 of 9 steps, about 1:01 min left"


def test_lines_tell_the_stage_and_its_end_and_not_every_frame(capsys):
    lines = Lines(Console())
    for done in range(97):
        lines.show(Progress(done, 96, "render"))
    lines.show(Progress(1, 96, "movie"))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["render: 0 of 96 frames", "render: 96 of 96 frames", "movie: 1 of 96 frames"]


def test_table_keeps_columns_and_writes_out_escapes():
    assert table([["a", "bb"], ["ccc\x1b[31m", "d"]]) == ["a            bb", "ccc\\x1b[31m  d"]


def test_absolute_paths_keep_the_artists_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    here = Path.cwd()
    assert absolute("maps/name.####.exr 1001-1100") == f"{here}{os.sep}maps{os.sep}name.####.exr 1001-1100"
    assert absolute("~/maps") == str(here / "maps")
    assert absolute("a/../maps") == str(Path(os.path.realpath(tmp_path)) / "maps")


def test_model_is_a_name_unless_a_model_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_name("street") == "street"
    assert model_name("some/folder") == str(Path.cwd() / "some" / "folder")
    Path("street").mkdir()  # a shot may be called as the model is
    assert model_name("street") == "street"
    Path("street/model.safetensors").touch()
    assert model_name("street") == str(Path.cwd() / "street")


def test_a_shipped_name_means_the_same_in_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped, near = tmp_path / "shipped", tmp_path / "street"
    for folder in (shipped, near):
        folder.mkdir()
        (folder / "model.safetensors").touch()
    monkeypatch.setattr(models, "shipped_models", lambda: {"street": shipped})
    assert models.find_model("street") == shipped / "model.safetensors"
    assert models.find_model(str(near)) == near / "model.safetensors"


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is not measured there")
def test_peak_memory_is_that_of_the_child_alone():
    ours = bytearray(200 << 20)
    ours[::4096] = b"x" * len(ours[::4096])
    assert 1 < benchmarks._peak_mb([sys.executable, "-c", "pass"]) < 100
    with pytest.raises(OutputError, match="exit code 3"):
        benchmarks._peak_mb([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_name_that_the_terminal_lacks_ends_no_job(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(cli, "_run", lambda _words: Console().result({}, ["szene_für_älva"]) or 0)
    assert cli.main(["demo"]) == 0
    assert narrow.buffer.getvalue() == b"szene_f\\xfcr_\\xe4lva\n"  # type: ignore[attr-defined]


def test_references(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert references(["1001=a=b.png", "-3=c.png"]) == (
        (1001, str(Path.cwd() / "a=b.png")),
        (-3, str(Path.cwd() / "c.png")),
    )
    for word in ("look.png", "=look.png", "1001=", "x=look.png"):
        with pytest.raises(UsageError, match=r"1001=look\.png"):
            references([word])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["render", "x", "--modle"],
            "mapreel: no such option: --modle; did you mean --model; see mapreel render --help.",
        ),
        (["rendr"], "mapreel: no such command 'rendr'; did you mean 'render'; see mapreel --help."),
        (["archive", "encode", "x"], "mapreel: missing argument 'OUT.nirv'; see mapreel archive encode --help."),
    ],
)
def test_wrong_words_are_one_sentence(capsys, words, sentence):
    assert cli.main(words) == 2
    told = capsys.readouterr()
    assert told.err == sentence + "\n"
    assert told.out == ""


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err
    assert cli.main(["--help"]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_every_command_explains_itself(capsys):
    """In under eighty columns, and none is a secret."""
    listed = []
    for group in ([], ["archive"], ["jobs"], ["label"], ["service"], ["train"], ["bench"]):
        assert cli.main([*group, "--help"]) == 0
        lines = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
        listed += [[*group, line.split()[0]] for line in lines if line]
        assert all(len(line.split(maxsplit=1)) == 2 and "..." not in line for line in lines if line)
    assert len(listed) > 20
    for command in listed:
        assert cli.main([*command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: mapreel {' '.join(command)}")


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mapreel ")


def test_error_names_its_file_and_speaks_json(capsys):
    error = DamagedArchiveError("the end of the archive is damaged", "copy the file again", file="/shots/x.nirv")
    Console().error(error, 2)
    assert capsys.readouterr().err == "mapreel: x.nirv: the end of the archive is damaged; copy the file again.\n"
    for sentence, file in [
        ("2 frames (200-201) are missing from /shots/label/####.png", "/shots/label/0200.png"),
        ("there is no training in nowhere", "nowhere/log.jsonl"),
    ]:
        Console().error(GapError(sentence, "mend that", file=file), 2)
        assert capsys.readouterr().err == f"mapreel: {sentence}; mend that.\n"
    gap = GapError("frame 3 is missing from name.####.png", "render it", file="name.0003.png", frame=3)
    Console(json=True).error(gap, 2)
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "format": "mapreel-error",
        "version": 1,
        "error": gap.to_dict(),
        "exit_code": 2,
    }


def test_our_own_fault_gets_a_sentence_and_exit_code_1(capsys, monkeypatch):
    def break_down(_words):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(cli, "_run", break_down)
    assert cli.main(["palettes"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "mapreel: this is a fault of ours (ZeroDivisionError: by zero); send us the lines above."


def a_job(take=None, error=None):
    state = JobState.FAILED if error else JobState.CANCELLED
    return JobView("1", "render", state, take, None, None, error, {})


def test_a_movie_that_was_cancelled_is_not_there_yet():
    assert kept(a_job()) == ""
    assert kept(a_job("/takes/a")) == "; what is finished is kept in /takes/a"
    assert kept(a_job("/takes/a.mp4")) == "; what is finished is kept for /takes/a.mp4"


def test_a_long_error_is_cut_in_the_table_of_jobs():
    assert _how(a_job(error=GapError("frame 3 is missing", "render it"))) == "frame 3 is missing"
    cut = _how(a_job(error=GapError("frames " + "1234, " * 40, "render them")))
    assert len(cut) <= CELL_CHARS
    assert cut.startswith("frames 1234, ")
    assert cut.endswith("…")


def test_train_status_reads_the_log(capsys, tmp_path):
    assert cli.main(["train", "status", str(tmp_path)]) == 2
    assert "there is no training in" in capsys.readouterr().err
    entries = [{"step": step, "seconds": 0.5, "l1": 1.0 / step} for step in range(1, 5)]
    text = "".join(json.dumps(entry) + "\n" for entry in entries) + '{"step": 5, "sec'
    (tmp_path / "log.jsonl").write_text(text)
    assert cli.main(["train", "status", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["step"], told["seconds_a_step"], told["seconds"]) == (4, 0.5, 2.0)
    assert told["losses"] == {"l1": 0.25}


def test_palettes(capsys):
    assert cli.main(["palettes", "--json"]) == 0
    assert {"name": "street", "classes": 12} in json.loads(capsys.readouterr().out)["palettes"]
    assert cli.main(["palettes", "street"]) == 0
    assert "#1c3cc8  car" in capsys.readouterr().out
    assert cli.main(["palettes", "nowhere"]) == 2
