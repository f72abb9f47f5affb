# SPDX-License-Identifier: GPL-3.0-or-later
"""What install.py says and refuses: each trouble one sentence that tells a person what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mapreel import install

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path("env")

# The ends of what pip really printed, and what a person has to read then.
HASH = """ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package\
 versions, please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with\
 them.
    rich==15.0.0 from file:///w/rich-15.0.0-py3-none-any.whl (from -r runtime.lock (line 9)):
        Expected sha256 aaaa
             Got        bbbb"""
NAME = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection object>:
Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')'
ERROR: No matching distribution found for av==18.1.0"""
PIP_ENDINGS = {
    "disk": ("ERROR: Could not install because of OSError: [Errno 28] No space left on device", "is full: free some"),
    "quota": ("OSError: [Errno 122] Disk quota exceeded: 'env/lib/x.so'", "is full: free some"),
    "hash": (HASH, "sent for rich==15.0.0 is not what was locked"),
    "name": (NAME, "cannot be reached: check the network"),
    "certificate": (
        "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'))",
        "PIP_CERT",
    ),
    "absent": ("ERROR: No matching distribution found for av==18.1.0", "has av==18.1.0 for this system"),
    "permission": ("OSError: [Errno 13] Permission denied: 'env/bin/x'", "may not be written to"),
    "unknown": ("ERROR: something new\nmore", "something new"),
}


@pytest.mark.parametrize("trouble", PIP_ENDINGS)
def test_pips_words_become_one_sentence(trouble: str) -> None:
    words, expected = PIP_ENDINGS[trouble]
    sentence = install.explain(words.splitlines(), 1, "the libraries", PREFIX)
    assert expected in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_killed_pip_is_told_apart() -> None:
    assert "out of memory" in install.explain(["Installing collected packages: torch"], -9, "torch", PREFIX)


def test_it_parses_and_refuses_a_wrong_python(tmp_path: Path) -> None:
    fake = tmp_path / "python3.9"
    fake.write_text("#!/bin/sh\necho 3.9.2\n", encoding="utf-8")
    fake.chmod(0o755)
    command = [sys.executable, str(ROOT / "install.py"), "--python", str(fake), "--prefix", str(tmp_path / "env")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("install.py: Mapreel needs Python 3.11, and ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "env").exists()


def test_a_python_that_does_not_run_is_named(tmp_path: Path) -> None:
    assert install.main(["--python", str(tmp_path / "none"), "--prefix", str(tmp_path / "env")]) == 2


def test_a_missing_wheelhouse_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(["--wheelhouse", str(tmp_path / "none"), "--prefix", str(tmp_path / "env")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_wrong_use_is_refused() -> None:
    with pytest.raises(SystemExit) as refused:
        install.main(["install", "--bogus"])
    assert refused.value.code == 2


def test_pytest_arguments_pass_through() -> None:
    options = install.parse(["test", "-k", "media", "-x"])
    assert options.pytest_arguments == ["-k", "media", "-x"]


def test_a_foreign_environment_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_USER", "PIP_CONSTRAINT", "PIP_NO_DEPS", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "1")
    kept = {
        "PIP_INDEX_URL": "mirror",
        "PIP_FIND_LINKS": "wheels",
        "PIP_CERT": "studio.pem",
        "PIP_CONFIG_FILE": "pip.conf",
    }
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    cleaned = install.clean_environment()
    assert {name: cleaned.get(name) for name in kept} == kept
    assert [name for name in cleaned if name.startswith("PYTHON")] == ["PYTHONNOUSERSITE"]
    assert not {"PIP_TARGET", "PIP_USER", "PIP_CONSTRAINT", "PIP_NO_DEPS", "VIRTUAL_ENV"} & set(cleaned)


def test_pips_files_give_the_mirror_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CERT", "mine.pem")
    listed = (
        ":env:.cert='mine.pem'\nglobal.cert='studio.pem'\nglobal.index-url='mirror'\n"
        "global.extra-index-url='one\\ntwo'\ninstall.target='elsewhere'\nglobal.user='true'\nbroken\n"
    )
    assert install.pip_settings(listed) == {"PIP_INDEX_URL": "mirror", "PIP_EXTRA_INDEX_URL": "one two"}


def test_a_full_disk_is_refused_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    code = install.main(["--prefix", str(tmp_path / "deep" / "env")])
    assert code == 1
    assert not (tmp_path / "deep" / "env").exists()


def test_the_disk_is_named_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    with pytest.raises(install.Stop, match=r"has 1\.0 GiB free and this needs 9"):
        install.check_space(tmp_path / "env", "cuda")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "may not be written to"), (errno.EIO, os.strerror(errno.EIO))],
)
def test_a_file_system_error_is_a_sentence(number: int, expected: str) -> None:
    assert expected in install.explain_os_error(OSError(number, os.strerror(number), "env/x"))


def test_missing_system_libraries_are_found_in_the_loaders_words() -> None:
    words = ["libgomp.so.1: cannot open shared object file: No such file or directory", "No module named 'x'"]
    assert install.missing_libraries(words) == ["libgomp.so.1"]


def test_not_root_gets_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "is_debian", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(install.Stop, match="run `sudo apt-get install -y libgomp1`, then this again"):
        install.install_system_packages(["libgomp1"], "The system lacks libgomp.so.1")


def test_another_system_gets_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "is_debian", lambda: False)
    with pytest.raises(install.Stop, match="that Debian calls libgomp1"):
        install.install_system_packages(["libgomp1"], "The system lacks libgomp.so.1")


@pytest.mark.parametrize(("works_at", "calls"), [(1, 1), (3, 3), (9, 3)])
def test_root_on_debian_installs_and_refreshes_old_lists(
    works_at: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        made.append(command)
        return subprocess.CompletedProcess(command, 0 if len(made) >= works_at else 100)

    monkeypatch.setattr(install, "is_debian", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", run)
    if works_at > calls:
        with pytest.raises(install.Stop, match="to see why"):
            install.install_system_packages(["libgomp1"], "The system lacks libgomp.so.1")
    else:
        install.install_system_packages(["libgomp1"], "The system lacks libgomp.so.1")
    assert len(made) == calls
    assert all(command[0] == "apt-get" for command in made)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x", encoding="utf-8")
    assert install.main(["uninstall", "--prefix", str(tmp_path)]) == 2
    assert (tmp_path / "precious.txt").exists()


def test_a_removal_that_is_killed_leaves_something_that_is_known_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = install.Environment(tmp_path / "env", sys.executable, None, None)
    for name in ("aaa", "zzz"):
        (environment.prefix / name).mkdir(parents=True)
    (environment.prefix / install.MARKER).touch()
    environment.write_stamp({"format": "mapreel-install"})

    def killed(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(install.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            environment.remove()
    assert not (environment.prefix / install.STAMP).exists()
    environment.remove()
    assert not environment.prefix.exists()


def test_uninstalling_takes_only_what_the_service_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    (state / "logs").mkdir(parents=True)
    for name in ("service.token", "service.json", "service.lock", "compute.lock", "queue.sqlite3-wal", "my shot.exr"):
        (state / name).touch()
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "state_folder", lambda _: state)
    monkeypatch.setattr(install.Environment, "stamp", lambda _: {"format": "mapreel-install"})
    monkeypatch.setattr(install, "quietly", lambda *_: 1)
    (state / "service.json").unlink()
    assert install.main(["uninstall", "--prefix", str(tmp_path / "env")]) == 0
    assert [path.name for path in state.iterdir()] == ["my shot.exr"]


@pytest.mark.parametrize(("endpoint", "what"), [('{"pid": 4711}', "process 4711"), ("[]", "end it")])
def test_uninstalling_removes_nothing_under_a_service_that_cannot_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], endpoint: str, what: str
) -> None:
    environment = install.Environment(tmp_path / "env", sys.executable, None, None)
    environment.prefix.mkdir()
    environment.write_stamp({"format": "mapreel-install"})
    (tmp_path / "service.json").write_text(endpoint, encoding="utf-8")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "state_folder", lambda _: tmp_path)
    monkeypatch.setattr(install.Environment, "stamp", lambda _: {"format": "mapreel-install"})
    monkeypatch.setattr(install, "quietly", lambda *_: 1)
    assert install.main(["uninstall", "--prefix", str(environment.prefix)]) == 1
    assert what in capsys.readouterr().err
    assert (environment.prefix / install.STAMP).exists()


@pytest.mark.parametrize(("machine", "locks"), [("x86_64", ["torch-cpu.lock"]), ("aarch64", ["torch.lock"])])
def test_the_lock_of_one_kind_of_machine_is_used_on_that_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, locks: list[str]
) -> None:
    used: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(install.Environment, "install_lock", lambda _self, name, *_: used.append(name))
    install.install_torch(install.Environment(tmp_path, sys.executable, None, None), "cpu")
    assert used == locks


def test_uninstalling_waits_for_unfinished_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, stdout=f"{tmp_path}\n")

    environment = install.Environment(tmp_path / "env", sys.executable, None, None)
    monkeypatch.setattr(install.Environment, "answer", answer)
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.sqlite3")) as queue:
        queue.execute("CREATE TABLE jobs (state TEXT)")
        queue.executemany("INSERT INTO jobs VALUES (?)", [("finished",), ("paused",), ("queued",)])
        queue.commit()
        with pytest.raises(install.Stop, match="2 jobs are not finished"):
            install.state_folder(environment)
        queue.execute("UPDATE jobs SET state = 'cancelled'")
        queue.commit()
    assert install.state_folder(environment) == tmp_path


def test_a_lock_file_that_was_removed_is_taken_anew(tmp_path: Path) -> None:
    stale = install.PrefixLock(tmp_path / "env")
    stale.handle = os.open(stale.path, os.O_RDWR | os.O_CREAT)
    stale.path.unlink()  # what the holder does at its end, while the other waits on the file it opened
    with stale:
        assert os.path.samestat(os.fstat(stale.handle), stale.path.stat())
    assert not stale.path.exists()


def test_which_torch_came_is_read_without_importing_it(tmp_path: Path) -> None:
    version = tmp_path / "lib" / "python3.11" / "site-packages" / "torch" / "version.py"
    version.parent.mkdir(parents=True)
    environment = install.Environment(tmp_path, sys.executable, None, None)
    version.write_text("from typing import Optional\ncuda: Optional[str] = None\n", encoding="utf-8")
    assert not environment.torch_is_cuda()
    version.write_text("from typing import Optional\ncuda: Optional[str] = '13.0'\n", encoding="utf-8")
    assert environment.torch_is_cuda()


def test_scripts_of_windows_name_the_new_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a script is a small program with the interpreter's path in the middle and a zip at its end."""
    monkeypatch.setattr(install.sys, "platform", "win32")
    environment = install.Environment(tmp_path / "Mapreel Ümwelt.next", sys.executable, None, None)
    scripts = environment.prefix / "Scripts"
    scripts.mkdir(parents=True)
    assert environment.python == scripts / "python.exe"
    here = os.fsencode(str(scripts))
    (scripts / "python.exe").write_bytes(b"MZ" + here)
    (scripts / "mapreel.exe").write_bytes(b"MZ\0launcher#!" + here + b"\\python.exe\r\nPK\3\4")
    environment.point_to(tmp_path / "Mapreel Ümwelt")
    there = os.fsencode(str(tmp_path / "Mapreel Ümwelt" / "Scripts"))
    assert (scripts / "mapreel.exe").read_bytes() == b"MZ\0launcher#!" + there + b"\\python.exe\r\nPK\3\4"
    assert (scripts / "python.exe").read_bytes() == b"MZ" + here


def test_files_are_copied_where_they_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links on this disk")

    (tmp_path / "a").write_text("x", encoding="utf-8")
    monkeypatch.setattr(os, "link", refuse)
    install.link_or_copy(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_text(encoding="utf-8") == "x"


def test_wishes_that_need_a_bundle_or_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["bundle"]) == 2
    assert install.main(["doctor", "--prefix", str(tmp_path / "none")]) == 1
    monkeypatch.setattr(install, "IN_BUNDLE", True)
    assert install.main(["test"]) == 2
    assert install.main(["bundle", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert ["Where to?" in said[0], "Nothing complete" in said[1], "no tests" in said[2], "is a bundle" in said[3]] == [
        True,
        True,
        True,
        True,
    ]
