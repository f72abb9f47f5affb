#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set Mapreel up, show its demo, run its tests, remove it again. Needs Python 3.11 and nothing else.

    python3 install.py             a private environment in .venv beside this file: locked versions, checked downloads
    python3 install.py demo        the same, then render the bundled shot into ./demo-out
    python3 install.py test        the same with the developers' tools, then lint, types, import rules and tests
    python3 install.py doctor      what is set up here, what is wrong, what to do
    python3 install.py bundle      everything in one folder, to install where there is no network
    python3 install.py host blender   put Mapreel into every Blender that is found here (--blender EXE: into that one)
    python3 install.py uninstall   take away everything that this script made, out of hosts, too

It parses on Python 3.8 so that a wrong Python gets a sentence, not a syntax error. What it has to survive: kill -9
at any point (the stamp is written last; without it the environment is built anew), a second install at the same time
(the running child holds the lock, too), a full disk, no network, a foreign pip configuration (only mirrors are kept),
an upgrade that does not work (it is made and proved beside what stands, which stays in place until then).

In a bundle this script stands beside `wheels/`, Mapreel's own among them, and installs from there.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Match, NoReturn, Optional, Sequence

ROOT = Path(__file__).resolve().parent
LOCKS = ROOT / "requirements"
WHEELS = ROOT / "wheels"
IN_BUNDLE = WHEELS.is_dir() and not (ROOT / "pyproject.toml").exists()  # else in a checkout
PYTHON = (3, 11)
NEXT, PREVIOUS = ".next", ".previous"  # beside the prefix while it is upgraded: what is being made, what stood there
STAMP = "mapreel-install.json"  # written last: says what stands complete in the prefix
MARKER = "mapreel-environment"  # written first: says that the folder is ours and may be removed
LOG = "install.log"
STATE_FILES = ("service.*", "compute.lock", "queue.sqlite3*", "logs")  # what the service keeps in its state folder
NEEDED_GIB = {"cpu": 2.0, "cuda": 9.0}
KEEP_FREE_BYTES = 64 << 20

# What of the user's pip settings holds for us: how to reach an index, never where to put things or what to leave out.
PIP_SETTINGS = {
    "cache-dir", "cert", "client-cert", "default-timeout", "extra-index-url", "find-links", "index-url",
    "keyring-provider", "no-cache-dir", "no-index", "proxy", "retries", "timeout", "trusted-host", "use-feature",
}  # fmt: skip

# Shared libraries that the wheels expect from the system -> their Debian packages.
DEBIAN_PACKAGES = {
    "libgomp.so.1": "libgomp1",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libatomic.so.1": "libatomic1",
    "libz.so.1": "zlib1g",
    "libX11.so.6": "libx11-6",
    "libxcb.so.1": "libxcb1",
}

PROBE = """
import importlib, json, sys
failed = {}
for name in ("numpy", "cv2", "OpenImageIO", "av", "constriction", "safetensors", "torch"):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""

# A sum of 3x3 windows: four numbers that a person can check, through the same operation that the networks live on.
PROOF = """
import sys, torch
device = torch.device(sys.argv[1])
image = torch.arange(16.0).reshape(1, 1, 4, 4).to(device)
answer = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=device)).flatten().tolist()
if answer != [45.0, 54.0, 81.0, 90.0]:
    sys.exit(f"conv2d on {device} gave {answer}")
print(torch.__version__, torch.cuda.get_device_name() if device.type == "cuda" else "CPU")
"""


STATE_FOLDER = "from mapreel.core.contract.state_folder import state_folder; print(state_folder().root)"


COMMANDS = ["install", "demo", "test", "doctor", "host", "bundle", "sbom", "uninstall"]

# Said inside a Blender (3.4 to 5.0) after `--`: the zip and the Python of Mapreel's environment.
INTO_BLENDER = """
import sys, bpy
zip_file, python = sys.argv[sys.argv.index("--") + 1:]
if bpy.app.version >= (4, 2, 0):
    bpy.ops.extensions.package_install_files(filepath=zip_file, repo="user_default", enable_on_install=True)
    name = "bl_ext.user_default.mapreel_blender"
else:
    bpy.ops.preferences.addon_install(filepath=zip_file, overwrite=True)
    name = "mapreel_blender"
    bpy.ops.preferences.addon_enable(module=name)
bpy.context.preferences.addons[name].preferences.python = python
bpy.ops.wm.save_userpref()
print("mapreel: in Blender", bpy.app.version_string)
"""
OUT_OF_BLENDER = """
import addon_utils, os, shutil, bpy
if bpy.app.version >= (4, 2, 0):
    repos = [repo.module for repo in bpy.context.preferences.extensions.repos]
    bpy.ops.extensions.package_uninstall(repo_index=repos.index("user_default"), pkg_id="mapreel_blender")
else:
    folders = [os.path.dirname(m.__file__) for m in addon_utils.modules() if m.__name__ == "mapreel_blender"]
    bpy.ops.preferences.addon_disable(module="mapreel_blender")
    for folder in folders:  # the operator for it needs a window
        shutil.rmtree(folder)
bpy.ops.wm.save_userpref()
print("mapreel: out of Blender", bpy.app.version_string)
"""
BLENDERS = (  # where Blender is put by its own packages, below / or the home folder
    "opt/blender*/blender",
    "usr/local/blender*/blender",
    "snap/bin/blender",
    "Applications/Blender*.app/Contents/MacOS/Blender",
    "Program Files/Blender Foundation/Blender */blender.exe",
)
HOSTS = "hosts.json"  # in the prefix: into which programs we were put


class Stop(Exception):  # noqa: N818 - it is a way to end, not always an error
    """Ends the run with one sentence for a person and an exit code (1 failed, 2 wrong use)."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


class StepFailed(Stop):
    """A child failed. `not_there`: only because the index does not have what was asked for."""

    def __init__(self, sentence: str, *, not_there: bool) -> None:
        super().__init__(sentence)
        self.not_there = not_there


def say(text: str) -> None:
    """Print one line at once, even into a pipe."""
    print(text, flush=True)


# -------------------------------------------------------------------------------------------------------- this machine


def python_version(python: str) -> str:
    """Version of an interpreter, such as "3.11.7"."""
    command = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Stop(f"{python} is not a Python that runs: name another one with --python.", 2) from error


def check_python(python: str, version: str) -> None:
    """Refuse a Python for which nothing is locked."""
    if tuple(int(part) for part in version.split(".")[:2]) == PYTHON:
        return
    wanted = ".".join(map(str, PYTHON))
    found = shutil.which(f"python{wanted}")
    command = f"`python{wanted} {sys.argv[0]}`"
    remedy = f"run {command}" if found else f"install it and run {command}"
    raise Stop(f"Mapreel needs Python {wanted}, and {python} is {version}: {remedy}.", 2)


def is_debian() -> bool:
    """Whether apt-get is the way to system packages here."""
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(re.search(r"^ID(_LIKE)?=.*\b(debian|ubuntu)\b", release, re.MULTILINE)) and bool(
        shutil.which("apt-get")
    )


def quietly(command: Sequence[str], environment: Dict[str, str]) -> int:
    """Run a child that nobody hears; gives its exit code."""
    null = subprocess.DEVNULL
    return subprocess.run(command, env=environment, stdin=null, stdout=null, stderr=null, check=False).returncode


def install_system_packages(packages: Sequence[str], reason: str) -> None:
    """Install Debian packages, or say how to. Raises Stop where that is not ours to do."""
    names = " ".join(packages)
    if not is_debian():
        raise Stop(f"{reason}: install the packages of your system that Debian calls {names}, then run this again.")
    if os.geteuid() != 0:
        raise Stop(f"{reason}: run `sudo apt-get install -y {names}`, then this again.")
    say(f"      {reason}: installing {names} with apt-get")
    environment = dict(clean_environment(), DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (install, ["apt-get", "update", "-qq"], install):
        if quietly(command, environment) == 0 and command is install:
            return
    raise Stop(
        f"{reason}, and apt-get could not install {names}: run `apt-get update && apt-get install {names}` to see why."
    )


def check_space(prefix: Path, backend: str) -> None:
    """Refuse before the first byte when the disk cannot hold the result."""
    existing = prefix
    while not existing.exists():
        existing = existing.parent
    free_gib = shutil.disk_usage(str(existing)).free / 2**30
    if free_gib < NEEDED_GIB[backend]:
        raise Stop(
            f"The disk of {existing} has {free_gib:.1f} GiB free and this needs {NEEDED_GIB[backend]:.0f}: "
            "free some space, or choose another disk with --prefix DIR."
        )


def clean_environment() -> Dict[str, str]:
    """The user's environment without what would bend Python or pip: PYTHON*, other environments, pip's targets."""
    kept = {}
    for name, value in os.environ.items():
        upper = name.upper()
        if upper.startswith("PYTHON") or upper in {"VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__"}:
            continue
        setting = upper[4:].lower().replace("_", "-")
        if upper.startswith("PIP_") and setting not in PIP_SETTINGS | {"config-file"}:
            continue
        kept[name] = value
    return dict(kept, PYTHONNOUSERSITE="1")


# ------------------------------------------------------------------------------------------------------- one at a time


class PrefixLock:
    """Only one installer works on a prefix; children share the lock, so a killed installer's pip still counts.

    The lock file lies beside the prefix and names the installer and its present child. It is the operating system's
    lock that decides, so a file left behind by a killed run locks nobody out.
    """

    def __init__(self, prefix: Path) -> None:
        self.path = prefix.with_name(prefix.name + ".lock")
        self.prefix = prefix
        self.handle = -1

    def __enter__(self) -> PrefixLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not self._is_ours():  # whoever held the file that we waited for may have removed it
            self.handle = os.open(str(self.path), os.O_RDWR | os.O_CREAT, 0o644)
            if self._try() or self._end_orphan():
                continue
            owner = self._read().get("installer", "?")
            os.close(self.handle)
            raise Stop(
                f"Another install.py (process {owner}) is working on {self.prefix}: let it finish, then run this again."
            )
        self.note(None)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.unlink(str(self.path))  # while it is ours; Windows refuses, and a left file does no harm
        os.close(self.handle)

    def _is_ours(self) -> bool:
        """Whether the file that we hold is the one that others find."""
        if self.handle < 0:
            return False
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self.handle), os.stat(str(self.path))):
                return True
        os.close(self.handle)
        return False

    def note(self, child: Optional[int]) -> None:
        """Write down who works here now."""
        os.lseek(self.handle, 0, os.SEEK_SET)
        os.ftruncate(self.handle, 0)
        os.write(self.handle, b" " + json.dumps({"installer": os.getpid(), "child": child}).encode())

    def _read(self) -> Dict[str, int]:
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def _try(self) -> bool:
        if sys.platform == "win32":
            import msvcrt

            try:
                msvcrt.locking(self.handle, msvcrt.LK_NBLCK, 1)
            except OSError:
                return False
            return True
        import fcntl

        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _end_orphan(self) -> bool:
        """End the child of an installer that is gone; the lock still held proves that the number is that child's."""
        if sys.platform == "win32":  # children do not hold the lock there
            return False
        notes = self._read()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(notes.get("installer") or os.getpid()), 0)
            return False
        child = notes.get("child")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if child:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
            if self._try():
                return True
            time.sleep(0.1)
        return False


# ----------------------------------------------------------------------------------------------------------- the steps


class Environment:
    """The private environment in a prefix: made, filled, proved, stamped."""

    def __init__(self, prefix: Path, python: str, wheelhouse: Optional[Path], torch_index: Optional[str]) -> None:
        self.prefix = prefix
        self.base_python = python
        self.wheelhouse = wheelhouse
        self.torch_index = torch_index
        self.lock: Optional[PrefixLock] = None
        self.pip_environment: Dict[str, str] = {}

    def beside(self, ending: str) -> Environment:
        """One like this in a folder beside it."""
        place = self.prefix.with_name(self.prefix.name + ending)
        other = Environment(place, self.base_python, self.wheelhouse, self.torch_index)
        other.lock = self.lock
        return other

    @property
    def python(self) -> Path:
        """The environment's own interpreter."""
        return self.prefix / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    def stamp(self) -> Dict[str, str]:
        """What the last complete installation was, or nothing."""
        try:
            stamp = json.loads((self.prefix / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) and self.python.exists() else {}

    def write_stamp(self, stamp: Dict[str, str]) -> None:
        """Say that everything stands: the very last act of an installation."""
        temporary = self.prefix / (STAMP + ".new")
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(stamp, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(str(temporary), str(self.prefix / STAMP))

    def remove(self) -> None:
        """Remove the prefix, if it is ours."""
        if not self.prefix.exists():
            return
        ours = (self.prefix / MARKER).exists() or (self.prefix / STAMP).exists()
        if not ours and (not self.prefix.is_dir() or any(self.prefix.iterdir())):
            raise Stop(f"{self.prefix} was not made by this script: choose another folder with --prefix DIR.", 2)
        # Killed on the way, the rest must be known as ours still, and not be taken for an installation.
        (self.prefix / MARKER).touch()
        for name in (STAMP, *(entry.name for entry in self.prefix.iterdir() if entry.name not in (STAMP, MARKER))):
            remove_entry(self.prefix / name)
        remove_entry(self.prefix / MARKER)
        self.prefix.rmdir()

    def claim(self) -> None:
        """Make the folder, and say in it whose it is."""
        self.remove()
        self.prefix.mkdir(parents=True)
        (self.prefix / MARKER).write_text(
            "Made by Mapreel's install.py, which removes it with `uninstall`.\n", encoding="utf-8"
        )

    def copy(self, other: Environment) -> None:
        """Become what another environment is. Files are linked where that can be: pip replaces them whole."""
        self.claim()
        for entry in other.prefix.iterdir():
            target = self.prefix / entry.name
            if entry.name in (STAMP, MARKER, LOG, "tmp"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.copytree(str(entry), str(target), symlinks=True, copy_function=link_or_copy)
            else:
                shutil.copy2(str(entry), str(target), follow_symlinks=False)

    def point_to(self, prefix: Path) -> None:
        """Have every script name the interpreter in `prefix`: pip wrote down the place where it installed them."""
        here, there = os.fsencode(str(self.prefix)), os.fsencode(str(prefix))
        scripts = [entry for entry in self.python.parent.iterdir() if not entry.name.startswith("python")]
        for script in [*scripts, self.prefix / "pyvenv.cfg"]:
            if script.is_symlink() or not script.is_file() or here not in script.read_bytes():
                continue
            written = script.with_name(script.name + ".new")
            written.write_bytes(script.read_bytes().replace(here, there))
            shutil.copymode(str(script), str(written))
            os.replace(str(written), str(script))

    def check_place(self) -> None:
        """Make sure that it runs where it stands now. Raises Stop when it does not."""
        answer = self.answer(
            "import os, sys; sys.exit(not os.path.samefile(sys.prefix, sys.argv[1]))", str(self.prefix)
        )
        program = self.python.with_name("mapreel.exe" if sys.platform == "win32" else "mapreel")
        code = quietly([str(program), "--version"], clean_environment()) if program.exists() else 0
        if answer.returncode or code:
            raise Stop(f"What was made does not run in {self.prefix} ({last_line(answer)}).")

    def make(self) -> None:
        """Make an empty environment with pip."""
        self.claim()
        can_make = [self.base_python, "-I", "-c", "import ensurepip, venv"]
        if subprocess.run(can_make, stderr=subprocess.DEVNULL, check=False).returncode:
            package = f"python{PYTHON[0]}.{PYTHON[1]}-venv"
            install_system_packages([package], f"{self.base_python} cannot make environments")
        self.call([self.base_python, "-m", "venv", str(self.prefix)], clean_environment(), "the private environment")

    def read_pip_settings(self) -> None:
        """Take over the user's index settings from pip's own files; from then on pip reads no file at all."""
        environment = clean_environment()
        command = [str(self.python), "-m", "pip", "config", "list"]
        listed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, universal_newlines=True, check=False)
        environment.update(pip_settings(listed.stdout))
        temporary = self.prefix / "tmp"  # on the disk that was checked, and gone with the prefix
        temporary.mkdir(exist_ok=True)
        settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        for name in ("TMPDIR", "TEMP", "TMP"):
            settings[name] = str(temporary)
        self.pip_environment = dict(environment, **settings)

    def pip(self, what: str, *arguments: str, index: Optional[str] = None, verb: str = "install") -> None:
        """Run pip install, download or wheel; its words go to the log, ours to the person."""
        command = [str(self.python), "-m", "pip", verb, "--progress-bar", "off"]
        if self.wheelhouse:
            command += ["--no-index", "--find-links", str(self.wheelhouse)]
        elif index:
            command += ["--index-url", index]
        self.call([*command, *arguments], self.pip_environment, what)

    def install_lock(self, name: str, what: str, index: Optional[str] = None) -> None:
        """Install one lock file. It is complete, so pip has nothing to resolve and nothing to build."""
        checked = ["--require-hashes", "--only-binary", ":all:", "--no-deps"]
        self.pip(what, *checked, "-r", str(LOCKS / name), index=index)

    def inherited(self) -> Sequence[int]:
        """What a child keeps open: the lock, so that it ends with the last process that works here."""
        return (self.lock.handle,) if self.lock and sys.platform != "win32" else ()

    def call(self, command: Sequence[str], environment: Dict[str, str], what: str) -> None:
        """Run one step, log what it says, and turn a failure into a sentence."""
        shown = sys.stdout.isatty()
        tail: List[str] = []
        with open(self.prefix / LOG, "a", buffering=1, encoding="utf-8") as log:
            log.write("$ " + " ".join(command) + "\n")
            with subprocess.Popen(
                list(command),
                env=environment,
                cwd=str(self.prefix),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                pass_fds=self.inherited(),
            ) as child:
                try:
                    if self.lock:
                        self.lock.note(child.pid)
                    for line in child.stdout or ():
                        log.write(line)
                        tail = [*tail[-60:], line.rstrip()]
                        if shown and line.strip().startswith(("Downloading", "Installing collected")):
                            print("\r\033[K      " + line.strip()[:90], end="", flush=True)
                    code = child.wait()
                finally:
                    child.kill()  # does nothing to one that ended
                    if shown:
                        print("\r\033[K", end="", flush=True)
                    if self.lock:
                        self.lock.note(None)
        if code:
            found = first_meaning(tail)
            raise StepFailed(
                explain(tail, code, what, self.prefix), not_there=found is not None and found.re.pattern == NOT_THERE
            )

    def answer(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a few lines in the environment and give back what they said."""
        command = [str(self.python), "-I", "-c", script, *arguments]
        environment = clean_environment()
        return subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            check=False,
        )

    def torch_is_cuda(self) -> bool:
        """Whether the torch that came is a CUDA build, read without importing it (it may miss its libraries yet)."""
        found = list(self.prefix.glob("**/site-packages/torch/version.py"))
        return (
            bool(found)
            and re.search(r"^cuda\b[^=]*= *['\"]", found[0].read_text(encoding="utf-8"), re.MULTILINE) is not None
        )

    def check_libraries(self) -> None:
        """Import every compiled library; fetch the system libraries that are missing."""
        failed: Dict[str, str] = {}
        for _ in range(4):  # one missing library may hide the next
            answer = self.answer(PROBE)
            if answer.returncode:
                remedy = "run `python3 install.py uninstall` and start again"
                raise Stop(f"The installed libraries crash when loaded ({last_line(answer)}): {remedy}.")
            failed = json.loads(answer.stdout)
            if not failed:
                return
            missing = sorted(missing_libraries(failed.values()))
            if not missing:
                name, reason = sorted(failed.items())[0]
                raise Stop(
                    f"The library {name} does not load ({reason}): run `python3 install.py uninstall` and try again."
                )
            packages = sorted({DEBIAN_PACKAGES.get(library, library) for library in missing})
            install_system_packages(packages, f"The system lacks {', '.join(missing)}")
        raise Stop(f"The libraries still do not load after apt-get: {failed}.")

    def prove_torch(self, backend: str) -> str:
        """One real operation on the device, its result checked. Returns torch's version and the device's name."""
        answer = self.answer(PROOF, backend)
        if answer.returncode == 0:
            return answer.stdout.strip()
        reason = last_line(answer)
        if backend == "cuda":
            raise Stop(f"torch cannot compute on a CUDA device ({reason}): check the driver, or use --backend cpu.")
        raise Stop(f"torch does not compute on this processor ({reason}).")


def link_or_copy(source: str, target: str) -> None:
    """A second name for a file, or a copy where the disk has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def last_line(answer: subprocess.CompletedProcess[str]) -> str:
    """The line that Python ends its complaints with."""
    return (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]


def pip_settings(listed: str) -> Dict[str, str]:
    """Read `pip config list` (`global.index-url='…'`): what we keep of it, as environment variables."""
    kept: Dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section not in {"global", "install"} or key not in PIP_SETTINGS:
            continue  # `:env:` entries are in the environment already
        with contextlib.suppress(ValueError, SyntaxError):
            kept["PIP_" + key.upper().replace("-", "_")] = " ".join(str(ast.literal_eval(value)).split())
    return {name: value for name, value in kept.items() if name not in os.environ}


def missing_libraries(reasons: Iterable[str]) -> List[str]:
    """Names of shared libraries in ImportError texts."""
    return [
        name for reason in reasons for name in re.findall(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object", reason)
    ]


NOT_THERE = r"No matching distribution found for (\S+)"

# What pip's words mean -> what to do about it; {prefix} and the first group {0} are filled in.
MEANINGS = [
    (
        r"No space left on device|Errno 28|Disk quota exceeded|not enough space on the disk",
        "The disk of {prefix} is full: free some space, or choose another disk with --prefix DIR, and run this again.",
    ),
    (
        r"DO NOT MATCH THE HASHES[^\n]*\s+(\S+)",
        "What the index sent for {0} is not what was locked, so it was not installed: try again, or use another index.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError",
        "The certificate of the package index is not trusted here: name your studio's certificate file in PIP_CERT.",
    ),
    (
        (
            r"NewConnectionError|Temporary failure in name resolution|Name or service not known|getaddrinfo failed"
            r"|ProxyError|Connection refused|Connection reset|ConnectTimeout|Read ?timed ?out|Max retries exceeded"
            r"|Network is unreachable"
        ),
        (
            "The package index cannot be reached: check the network or proxy and run this again, "
            "or give a folder of wheels with --wheelhouse DIR."
        ),
    ),
    (
        NOT_THERE,
        (
            "Neither the package index nor a --wheelhouse has {0} for this system: "
            "name another index in PIP_INDEX_URL (for torch: --torch-index URL)."
        ),
    ),
    (r"Permission denied|Errno 13", "{prefix} may not be written to: choose another folder with --prefix DIR."),
]


def first_meaning(tail: Sequence[str]) -> Optional[Match[str]]:
    """The first of MEANINGS that is in the words."""
    matches = (re.search(pattern, "\n".join(tail), re.IGNORECASE) for pattern, _ in MEANINGS)
    return next((found for found in matches if found), None)


def explain(tail: Sequence[str], code: int, what: str, prefix: Path) -> str:
    """Turn the end of pip's words into one sentence that says what to do."""
    found = first_meaning(tail)
    if found:
        return dict(MEANINGS)[found.re.pattern].format(*found.groups(), prefix=prefix)
    if code in (-9, 137):
        return f"The system ended {what} (out of memory?): close other programs and run this again."
    last = tail[-1].strip() if tail else f"exit code {code}"
    last = next((line.strip() for line in reversed(tail) if "error" in line.lower()), last)
    return f"Setting up {what} failed ({last[:200]}): see {prefix / LOG}, and run this again."


# -------------------------------------------------------------------------------------------------------- the commands


def digest(paths: Sequence[Path]) -> str:
    """One hash over the contents of files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


@contextlib.contextmanager
def step(label: str, expected: str = "") -> Iterator[None]:
    """Say what is being done and how long it may take, then how long it took."""
    say(f"  … {label}" + (f" (about {expected})" if expected else ""))
    started = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - started:.0f} s")


def install(options: argparse.Namespace, *, dev: bool) -> Environment:
    """Bring the prefix to what the locks say. Nothing to do takes well under a second."""
    python = options.python or sys.executable
    version = python_version(python) if options.python else ".".join(map(str, sys.version_info[:3]))
    check_python(python, version)
    environment = Environment(prefix_of(options), python, wheelhouse_of(options), options.torch_index)
    prefix = environment.prefix
    with PrefixLock(prefix) as lock:
        environment.lock = lock
        settle(environment)
        stamp = environment.stamp()
        wanted = {
            "format": "mapreel-install",
            "version": "1",
            "root": str(ROOT),
            "prefix": str(prefix),
            "python": version,
            "backend": options.backend or stamp.get("backend", "cpu"),
            "locks": digest([*sorted(LOCKS.glob("[!b]*.lock")), *ROOT.glob("pyproject.toml")]),
            "source": source(),
            "dev": "yes" if dev or stamp.get("dev") == "yes" else "no",
        }
        if stamp != wanted:
            check_wheelhouse(options)
            only_tools = {name for name in wanted if stamp.get(name) != wanted[name]} == {"dev"}
            if stamp and not only_tools:
                upgrade(environment, stamp, wanted)
            else:
                fill(environment, stamp, wanted)
            say(f"Mapreel is installed: {environment.python.with_name('mapreel')}")
        elif not dev and options.command == "install":
            say(f"Mapreel is installed already: {environment.python.with_name('mapreel')}")
    if source() == "editable":
        link_types()
    environment.lock = None
    return environment


def prefix_of(options: argparse.Namespace) -> Path:
    """Where the environment stands. Raises Stop where that cannot be beside this file and nothing else was named."""
    if options.prefix:
        return Path(options.prefix).expanduser().resolve()
    if not os.access(str(ROOT), os.W_OK) and options.command != "uninstall" and not (ROOT / ".venv").exists():
        raise Stop(f"{ROOT} may not be written to: choose a folder for the environment with --prefix DIR.", 2)
    return ROOT / ".venv"


def wheelhouse_of(options: argparse.Namespace) -> Optional[Path]:
    """The folder of wheels to install from: the one named, the `wheels` of a bundle, this bundle's own, or none."""
    if not options.wheelhouse:
        return WHEELS if IN_BUNDLE else None
    folder = Path(options.wheelhouse).expanduser().resolve()
    if not folder.is_dir():
        raise Stop(f"There is no folder {folder}: --wheelhouse takes a bundle or a folder of wheels.", 2)
    return folder / "wheels" if (folder / "wheels").is_dir() else folder


def check_wheelhouse(options: argparse.Namespace) -> None:
    """Compare a bundle with its list of hashes, and the list with its signature. Raises Stop where they differ."""
    wheelhouse = wheelhouse_of(options)
    bundle = wheelhouse.parent if wheelhouse and wheelhouse.name == "wheels" else None
    if not bundle or not (bundle / "SHA256SUMS").exists():
        if options.signers:
            raise Stop(f"{bundle or wheelhouse or ROOT} has no signed list of hashes: --signers needs a bundle.", 2)
        return
    from requirements import bundling

    with step("the bundle against its list of hashes", "5 s"):
        try:
            say(f"      {bundling.check(bundle, Path(options.signers) if options.signers else None)}")
        except bundling.BundleError as error:
            raise Stop(str(error)) from error


def source() -> str:
    """What Mapreel itself is installed from: this checkout as it is, a copy of one that is read-only, or a wheel."""
    if IN_BUNDLE:
        return "wheel " + digest(own_wheel())
    if os.access(str(ROOT), os.W_OK):
        return "editable"
    folders = [ROOT / name for name in ("core", "plugin", "ui", "resources")]
    files = sorted(path for folder in folders for path in folder.glob("**/*") if path.suffix != ".pyc")
    total = hashlib.sha256()
    for path, status in ((path, path.stat()) for path in [*files, ROOT / "pyproject.toml"]):
        total.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return "copy " + total.hexdigest()


def own_wheel() -> List[Path]:
    """The one wheel of Mapreel in a bundle."""
    wheels = list(WHEELS.glob("mapreel-*.whl"))
    if len(wheels) != 1:
        raise Stop(f"{WHEELS} holds {len(wheels)} wheels of Mapreel instead of one: copy the bundle again.")
    return wheels


def install_itself(environment: Environment, origin: str) -> None:
    """Install Mapreel from what `source` found."""
    checked = ["--no-build-isolation", "--no-deps"]
    if origin == "editable":
        environment.pip("Mapreel", *checked, "--editable", str(ROOT))
    elif origin.startswith("wheel"):
        environment.pip("Mapreel", *checked, "--force-reinstall", str(own_wheel()[0]))
    else:
        environment.pip("Mapreel", *checked, "--force-reinstall", str(copy_source(environment)))


def copy_source(environment: Environment) -> Path:
    """A copy of the sources to build from: building writes beside them. It goes when the installation stands."""
    copy = environment.prefix / "tmp" / "source"
    remove_entry(copy)
    copy.mkdir(parents=True)
    for name in ("core", "plugin", "ui", "resources", "LICENSES"):
        if (ROOT / name).is_dir():
            shutil.copytree(str(ROOT / name), str(copy / name), ignore=shutil.ignore_patterns("__pycache__"))
    for path in (path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".")):
        shutil.copy2(str(path), str(copy / path.name))
    return copy


def settle(environment: Environment) -> None:
    """After a kill in the middle of an upgrade: what was proven last stands in the prefix again."""
    old = environment.beside(PREVIOUS)
    environment.beside(NEXT).remove()
    if old.stamp() and not (environment.stamp() and runs_in_place(environment)):
        say("An upgrade did not finish: the installation of before is put back.")
        environment.remove()
        os.replace(str(old.prefix), str(environment.prefix))
    old.remove()


def runs_in_place(environment: Environment) -> bool:
    """Whether an environment works where it stands."""
    try:
        environment.check_place()
    except Stop:
        return False
    return True


def upgrade(environment: Environment, stamp: Dict[str, str], wanted: Dict[str, str]) -> None:
    """Make the new environment beside the old one and change places only when it works; else the old one stays."""
    new = environment.beside(NEXT)
    say(f"Upgrading {environment.prefix}: what stands there stays until the new one has proven itself")
    try:
        if {name for name in wanted if stamp.get(name) != wanted[name]} <= {"locks", "source", "dev"}:
            check_space(new.prefix, wanted["backend"])
            with step("a copy of what stands", "5 s"):
                new.copy(environment)
            fill(new, stamp, wanted)
        else:
            fill(new, {}, wanted)
        if known_hosts(environment):
            shutil.copy2(str(environment.prefix / HOSTS), str(new.prefix / HOSTS))
            say("    run `install.py host blender` afterwards: Blender has the version of before until then")
        new.point_to(environment.prefix)
        change_places(environment, new)
    except BaseException as error:
        if (new.prefix / LOG).exists() and environment.prefix.exists():
            shutil.copy2(str(new.prefix / LOG), str(environment.prefix / LOG))
        new.remove()
        if isinstance(error, Stop):
            told = str(error).replace(str(new.prefix), str(environment.prefix))
            raise Stop(f"{told} The installation of before is untouched and goes on working.", error.code) from error
        raise


def change_places(environment: Environment, new: Environment) -> None:
    """Put the new environment where the old one stands; take it back when it does not run there."""
    old = environment.beside(PREVIOUS)
    stop_service(environment, Path(environment.answer(STATE_FOLDER).stdout.strip() or os.devnull))
    os.replace(str(environment.prefix), str(old.prefix))
    try:
        os.replace(str(new.prefix), str(environment.prefix))
        environment.check_place()
    except BaseException:
        if environment.prefix.exists():
            os.replace(str(environment.prefix), str(new.prefix))
        os.replace(str(old.prefix), str(environment.prefix))
        raise
    with contextlib.suppress(OSError):  # Windows keeps what is in use; the next run removes it
        old.remove()


def fill(environment: Environment, stamp: Dict[str, str], wanted: Dict[str, str]) -> None:
    """Do what is between `stamp` (what stands) and `wanted`."""
    prefix, backend = environment.prefix, wanted["backend"]
    if stamp:
        say(f"Updating {prefix}")
        remove_entry(prefix / STAMP)
    else:
        if prefix.exists() and (prefix / MARKER).exists():
            say("An earlier installation did not finish: it is made anew.")
        check_space(prefix, backend)
        say(f"Setting Mapreel up in {prefix} (Python {wanted['python']}, {backend})")
        with step("private environment", "5 s"):
            environment.make()
    environment.read_pip_settings()
    with step("libraries", "1 minute, 170 MB to download"):
        environment.install_lock("runtime.lock", "the libraries")
    with step("torch", "1 minute, 200 MB to download" if backend == "cpu" else "5 minutes, 3 GB to download"):
        install_torch(environment, backend)
    if wanted["dev"] == "yes":
        with step("developers' tools", "20 s"):
            environment.install_lock("dev.lock", "the developers' tools")
    with step("Mapreel itself, then one real operation as a proof", "20 s"):
        install_itself(environment, wanted["source"])
        environment.check_libraries()
        proof = environment.prove_torch(backend)
    say(f"    torch {proof}: computed and checked")
    shutil.rmtree(str(prefix / "tmp"), ignore_errors=True)
    environment.write_stamp(wanted)


def install_torch(environment: Environment, backend: str) -> None:
    """Take the build without CUDA where one is wanted and to be had, else the stock build with all it needs."""
    locked = sys.platform == "linux" and platform.machine() == "x86_64"  # what torch-cpu.lock holds
    if backend == "cpu" and locked:  # on macOS and Windows the stock build is one without CUDA
        try:
            environment.install_lock("torch-cpu.lock", "torch", environment.torch_index)
            return
        except StepFailed as failed:
            if not failed.not_there:
                raise
        say("      this index has no torch without CUDA: taking the stock build (3 GB; --torch-index names another)")
        check_space(environment.prefix, "cuda")
    environment.install_lock("torch.lock", "torch", environment.torch_index)
    if environment.torch_is_cuda():
        environment.install_lock("cuda.lock", "torch's CUDA libraries")


def link_types() -> None:
    """Make .types/mapreel -> .. (a junction on Windows), by which mypy finds the checkout under its import name."""
    link = ROOT / ".types" / "mapreel"
    if os.path.lexists(str(link)):
        return
    link.parent.mkdir(exist_ok=True)
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(ROOT), str(link))
    else:
        os.symlink("..", str(link), target_is_directory=True)


def run_demo(options: argparse.Namespace) -> int:
    """Render and archive the bundled shot with the installed program."""
    environment = install(options, dev=False)
    out = Path(options.out or "demo-out").expanduser().resolve()
    command = [str(environment.python), "-P", "-m", "mapreel.core.cli", "demo", "--out", str(out)]
    return subprocess.run(command, env=clean_environment(), check=False).returncode


def make_blenders(options: argparse.Namespace) -> None:
    """Environments with Blender as a module, one for each version, which the tests inside hosts run in."""
    for lock in sorted(LOCKS.glob("blender-*.lock")):
        prefix = ROOT / f".venv-{lock.stem}"
        environment = Environment(prefix, options.python or sys.executable, wheelhouse_of(options), None)
        wanted = {"format": "mapreel-install", "version": "1", "locks": digest([lock])}
        with PrefixLock(prefix) as environment.lock:
            if environment.stamp() == wanted:
                continue
            with step(f"{lock.stem.replace('-', ' ')} for the tests inside it", "40 s, 350 MB to download"):
                environment.make()
                environment.read_pip_settings()
                try:
                    environment.install_lock(lock.name, lock.stem)
                except StepFailed as failed:
                    if not failed.not_there:
                        raise
                    say(f"      there is none for this system: the tests inside {lock.stem} are left out")
                shutil.rmtree(str(prefix / "tmp"), ignore_errors=True)
                environment.write_stamp(wanted)


def run_tests(options: argparse.Namespace, pytest_arguments: Sequence[str]) -> int:
    """Lint, format, types, import rules, tests: all of them, and failed if any failed. pytest's line comes last."""
    if IN_BUNDLE:
        raise Stop("A bundle holds no tests: run them in a checkout.", 2)
    environment = install(options, dev=True)
    make_blenders(options)
    python = str(environment.python)
    mypy = [python, "-m", "mypy", "--no-error-summary"]
    checks = {
        "lint": [python, "-m", "ruff", "check", "--quiet", "."],
        "format": [python, "-m", "ruff", "format", "--check", "--quiet", "."],
        "types": [*mypy, "-p", "mapreel.core", "-p", "mapreel.plugin", "-p", "mapreel.ui"],
        "types of scripts": [*mypy, "install.py", "requirements"],
        "import rules": [str(environment.python.with_name("lint-imports")), "--no-cache"],
        "known holes in what we use": [python, str(LOCKS / "audit.py")],
        "tests": [python, "-m", "pytest", *beside_each_other(pytest_arguments), *pytest_arguments],
    }
    variables = dict(clean_environment(), MYPYPATH=".types")
    failed = []
    for name, command in checks.items():
        say(f"── {name}")
        if subprocess.run(command, cwd=str(ROOT), env=variables, check=False).returncode:
            failed.append(name)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def run_doctor(options: argparse.Namespace) -> int:
    """Say what is wrong with the environment, or have the installed program look at everything else."""
    environment = Environment(prefix_of(options), sys.executable, None, None)
    if not environment.stamp():
        raise Stop(f"Nothing complete is installed in {environment.prefix}: run `python3 install.py`.")
    command = [str(environment.python), "-P", "-m", "mapreel.core.cli", "doctor", *(["--json"] if options.json else [])]
    return subprocess.run(command, env=clean_environment(), check=False).returncode


def run_host(options: argparse.Namespace) -> int:
    """Put Mapreel into the hosts that are named: every Blender on this machine, or the one of --blender."""
    if options.hosts != ["blender"]:
        raise Stop("Which host? `host blender` is the one there is.", 2)
    blenders = [Path(options.blender).expanduser().resolve()] if options.blender else find_blenders()
    if not blenders or not blenders[0].exists():
        raise Stop("No Blender was found here: name its program with --blender EXE.", 2)
    environment = install(options, dev=False)
    archive = blender_zip(environment)
    for blender in blenders:
        say(f"  … {blender}")
        say(f"    {ask_blender(blender, INTO_BLENDER, str(archive), str(environment.python))}")
        known = known_hosts(environment)
        listed = json.dumps(sorted({*known, str(blender)}), indent=1)
        (environment.prefix / HOSTS).write_text(listed, encoding="utf-8")
    say("Open Blender: Mapreel stands in the render properties, and in the sidebars of the 3D view and the compositor.")
    return 0


def find_blenders() -> List[Path]:
    """Every Blender in the usual places, each once."""
    named = shutil.which("blender")
    found = [Path(named).resolve()] if named else []
    for root in (Path(Path.home().anchor), Path.home()):
        for pattern in BLENDERS:
            found += [path.resolve() for path in root.glob(pattern)]
    return sorted(set(found))


def known_hosts(environment: Environment) -> List[str]:
    """The programs that we were put into."""
    try:
        return [str(name) for name in json.loads((environment.prefix / HOSTS).read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []


def blender_zip(environment: Environment) -> Path:
    """The extension: the bundle's, or made from this checkout."""
    if IN_BUNDLE:
        zips = sorted((ROOT / "hosts").glob("mapreel-blender-*.zip"))
        if not zips:
            raise Stop(f"{ROOT} holds no zip for Blender: make the bundle again.")
        return zips[-1]
    from plugin import packaging

    folder = ROOT / "dist" if os.access(str(ROOT), os.W_OK) else environment.prefix / "dist"
    return packaging.build_blender(project_version(), folder)


def project_version() -> str:
    """The version of this checkout."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    return found.group(1) if found else "0.0.0"


def ask_blender(blender: Path, script: str, *arguments: str) -> str:
    """Run a few lines in a Blender without a window; gives the line that it ends with. Raises Stop."""
    command = [str(blender), "--background", "--python-exit-code", "3", "--python-expr", script, "--", *arguments]
    try:
        done = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Stop(f"{blender} does not answer ({error}): start it once by hand, then run this again.") from error
    lines = done.stdout.strip().splitlines()
    said = [line for line in lines if line.startswith("mapreel: ")]
    if done.returncode or not said:
        reason = next((line for line in reversed(lines) if "rror" in line), f"exit code {done.returncode}")
        raise Stop(f"{blender} refused ({reason.strip()[:200]}): is it 3.4 or newer?")
    return said[-1].replace("mapreel: ", "")


def leave_hosts(environment: Environment) -> None:
    """Take Mapreel out of the programs that it was put into; one that is gone or refuses does not hold us up."""
    for name in known_hosts(environment):
        with contextlib.suppress(Stop):
            say(f"{name}: {ask_blender(Path(name), OUT_OF_BLENDER)}")


def write_bundle(options: argparse.Namespace) -> int:
    """Write all that an installation needs into one folder, or only its bill of materials."""
    if IN_BUNDLE:
        raise Stop("This is a bundle: copy its folder, or make another one from a checkout.", 2)
    if not options.out:
        raise Stop(f"Where to? `{options.command} --out PLACE`.", 2)
    out = Path(options.out).expanduser().resolve()
    environment = install(options, dev=False)
    from requirements import bundling

    try:
        if options.command == "sbom":
            bundling.write_bill(out, environment, LOCKS)
        else:
            if (ROOT / "plugin").is_dir():
                blender_zip(environment)
            with step("everything into one folder", "2 minutes"):
                key = Path(options.sign).expanduser() if options.sign else None
                bundling.make(out, environment, copy_source(environment), key)
    except bundling.BundleError as error:
        raise Stop(str(error)) from error
    say(f"Written: {out}")
    return 0


def beside_each_other(pytest_arguments: Sequence[str]) -> List[str]:
    """Arguments that run test files on several cores; none where somebody looks at one failure after another.

    Files keep their order, in which the many quick ones come last: by their number of tests, as xdist would sort them,
    the longest ones come last, and a core has nothing to do for minutes.
    """
    alone = any(word in ("-x", "-s", "--pdb", "-n", "--sw") or word.startswith("-n") for word in pytest_arguments)
    cores = min(4, os.cpu_count() or 1)
    return [] if alone or cores == 1 else ["-n", str(cores), "--dist", "loadfile", "--no-loadscope-reorder"]


def uninstall(options: argparse.Namespace) -> int:
    """Remove the prefix, the service's state, and what this script or the checks made in the checkout."""
    prefix = prefix_of(options)
    environment = Environment(prefix, sys.executable, None, None)
    state = None
    with PrefixLock(prefix):
        if environment.stamp():
            state = state_folder(environment)
            if state:
                stop_service(environment, state)
        leave_hosts(environment)
        for ending in (NEXT, PREVIOUS):
            environment.beside(ending).remove()
        environment.remove()
    for blender in ROOT.glob(".venv-blender-*"):
        Environment(blender, sys.executable, None, None).remove()
    if state and (state / "service.token").exists():
        for entry in [entry for pattern in STATE_FILES for entry in state.glob(pattern)]:
            remove_entry(entry)
        with contextlib.suppress(OSError):  # MAPREEL_STATE may name a folder that holds something else, too
            state.rmdir()
        say(f"Removed the list of jobs from {state}; their pictures stay where they are.")
    caches = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache")
    for name in ("mapreel.egg-info", "build", "dist", ".types", *caches):
        remove_tree(ROOT / name)
    for folder in ("core", "plugin", "ui", "tests", "requirements"):
        for cache in list((ROOT / folder).glob("**/__pycache__")):
            remove_tree(cache)
    remove_tree(ROOT / "__pycache__")
    say(f"Removed {prefix} and the caches in {ROOT}.")
    return 0


def stop_service(environment: Environment, state: Path) -> None:
    """End the service that keeps its state in `state`; its unfinished jobs go on with the next one."""
    if not (state / "service.json").exists():
        return
    stop = [str(environment.python), "-P", "-m", "mapreel.core.cli", "service", "stop"]
    if quietly(stop, clean_environment()):
        raise Stop(f"The service could not be stopped: {how_to_end(state / 'service.json')}, then repeat.")
    wait_until(lambda: not (state / "service.json").exists())


def how_to_end(endpoint: Path) -> str:
    """What to do about a service that does not listen to this version's `service stop`."""
    try:
        pid = json.loads(endpoint.read_text(encoding="utf-8"))["pid"]
    except (OSError, ValueError, LookupError, TypeError):
        return f"end it if it still runs, remove {endpoint}"
    return f"end its process {pid} if that still runs, remove {endpoint}"


def state_folder(environment: Environment) -> Optional[Path]:
    """Where the service of this user keeps its queue. Raises Stop while jobs there are unfinished."""
    import sqlite3

    answer = environment.answer(STATE_FOLDER)
    folder = Path(answer.stdout.strip())
    if answer.returncode or not (folder / "queue.sqlite3").exists():
        return None if answer.returncode else folder
    unfinished = 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(
        sqlite3.connect(str(folder / "queue.sqlite3"))
    ) as queue:
        states = "state IN ('queued', 'running', 'paused')"
        unfinished = queue.execute(f"SELECT count(*) FROM jobs WHERE {states}").fetchone()[0]  # noqa: S608
    if unfinished:
        raise Stop(
            f"{unfinished} jobs are not finished: let them end, or cancel them (`mapreel jobs list`), then repeat."
        )
    return folder


def wait_until(done: Callable[[], bool], patience_s: float = 10.0) -> None:
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + patience_s
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)


def remove_entry(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif os.path.lexists(str(path)):
        path.unlink()


def remove_tree(path: Path) -> None:
    """Remove a folder of ours; a link inside is removed, never followed."""
    if path.is_dir() and not path.is_symlink():
        link = path / "mapreel"
        if sys.platform == "win32" and path.name == ".types" and link.exists():
            os.rmdir(str(link))  # a junction: its target is the checkout
        shutil.rmtree(str(path))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what `test` does not know goes to pytest."""
    parser = argparse.ArgumentParser(
        prog="install.py", description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", default="install", choices=COMMANDS)
    parser.add_argument("--prefix", metavar="DIR", help="folder of the environment (default: .venv beside this script)")
    parser.add_argument(
        "--backend", choices=["cpu", "cuda"], help="which torch (default: the one installed before, else cpu)"
    )
    parser.add_argument("--torch-index", metavar="URL", help="package index to take torch from, such as a studio's own")
    parser.add_argument(
        "--wheelhouse", metavar="DIR", help="install from a bundle or folder of wheels, without a network"
    )
    parser.add_argument(
        "--signers", metavar="FILE", help="insist that one of these signed the bundle (ssh allowed_signers)"
    )
    parser.add_argument("--sign", metavar="KEY", help="bundle: sign the list of hashes with this ssh key")
    parser.add_argument("--json", action="store_true", help="doctor: answer for machines")
    parser.add_argument("--python", metavar="EXE", help="the Python 3.11 to use (default: the one that runs this)")
    parser.add_argument("--out", metavar="DIR", help="demo, bundle, sbom: where to write")
    parser.add_argument("--blender", metavar="EXE", help="host: this Blender and no other")
    options, rest = parser.parse_known_args(list(arguments))
    options.hosts = rest if options.command == "host" else []
    if rest and options.command not in ("test", "host"):
        parser.error(f"unknown: {' '.join(rest)}")
    options.pytest_arguments = [argument for argument in rest if argument != "--"]
    return options


def terminated(signal_number: int, _: object) -> NoReturn:
    """End on SIGTERM as on Ctrl-C: through the `finally` that ends the child."""
    raise SystemExit(128 + signal_number)


def main(arguments: Sequence[str]) -> int:
    """Do one command. Returns 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, terminated)
    try:
        if options.command == "uninstall":
            return uninstall(options)
        if options.command == "demo":
            return run_demo(options)
        if options.command == "test":
            return run_tests(options, options.pytest_arguments)
        if options.command == "doctor":
            return run_doctor(options)
        if options.command == "host":
            return run_host(options)
        if options.command in ("bundle", "sbom"):
            return write_bundle(options)
        install(options, dev=False)
    except Stop as stop:
        print(f"install.py: {stop}", file=sys.stderr, flush=True)
        return stop.code
    except OSError as error:
        print(f"install.py: {explain_os_error(error)}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\ninstall.py: stopped; run the same command again to go on.", file=sys.stderr, flush=True)
        return 130
    return 0


def explain_os_error(error: OSError) -> str:
    """One sentence for what the file system refused."""
    where = error.filename or "the disk"
    if error.errno == errno.ENOSPC:
        return (
            f"{where} cannot be written, the disk is full: free some space, or choose another disk with --prefix DIR."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} may not be written to: choose another folder with --prefix DIR."
    return f"{where}: {error.strerror or error}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
