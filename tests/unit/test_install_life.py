# SPDX-License-Identifier: GPL-3.0-or-later
"""install.py as a program, on a checkout of a few lines: real environments and pip, wheels made here, no network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from mapreel import install
from mapreel.plugin import packaging
from mapreel.requirements import bundling

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9/simple"  # the discard port: nothing listens there

# Just enough of torch for the proof of install.py.
TORCH = """
__version__ = "0.0"
class _T:
    def reshape(self, *_): return self
    def to(self, _): return self
    def flatten(self): return self
    def tolist(self): return [45.0, 54.0, 81.0, 90.0]
class device:
    def __init__(self, type): self.type = type
def arange(_): return _T()
def ones(*_, device=None): return _T()
class nn:
    class functional:
        @staticmethod
        def conv2d(image, kernel): return image
"""

# A build backend in the checkout that writes a wheel, and waits while the file `wait` is there.
BACKEND = """
import base64, hashlib, os, time, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    while os.path.exists("wait"):
        time.sleep(0.05)
    return write(folder, {"mapreel-link.pth": os.getcwd()})
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return write(folder, {"backend.py": open("backend.py").read()})
def write(folder, files):
    name = "mapreel-0.0-py3-none-any.whl"
    entries = {
        **files,
        "mapreel-0.0.dist-info/entry_points.txt": "[console_scripts]\\nmapreel = backend:main\\n",
        "mapreel-0.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: mapreel\\nVersion: 0.0\\n",
        "mapreel-0.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    entries["mapreel-0.0.dist-info/RECORD"] = "".join(f"{entry},,\\n" for entry in entries)
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for entry, text in entries.items():
            wheel.writestr(entry, text)
    return name
def main():
    print("mapreel of", os.path.dirname(os.__file__))
"""


def make_wheel(folder: Path, package: str, files: dict[str, str], version: str = "1.0") -> str:
    """Write a wheel of pure Python; gives its lock line."""
    entries = {
        **files,
        f"{package}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{package}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for entry, text in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{entry},sha256={digest},{len(text.encode())}\n"
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for entry, text in {**entries, f"{package}-{version}.dist-info/RECORD": record}.items():
            wheel.writestr(entry, text)
    return f"{package}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def make_checkout(place: Path) -> Path:
    """Write a checkout that install.py can set up in seconds."""
    (place / "wheels").mkdir(parents=True)
    (place / "requirements").mkdir()
    shutil.copy(ROOT / "install.py", place / "install.py")
    shutil.copy(ROOT / "requirements" / "bundling.py", place / "requirements" / "bundling.py")
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (place / "pyproject.toml").write_text(project, encoding="utf-8")
    (place / "backend.py").write_text(BACKEND, encoding="utf-8")
    modules = ("numpy", "cv2", "OpenImageIO", "av", "constriction", "safetensors")
    lines = {
        "runtime.lock": make_wheel(place / "wheels", "libraries", {f"{name}.py": "" for name in modules}),
        "torch-cpu.lock": "torch==1.0+cpu --hash=sha256:" + "0" * 64 + "\n",
        "torch.lock": make_wheel(
            place / "wheels", "torch", {"torch/__init__.py": TORCH, "torch/version.py": "cuda = None\n"}
        ),
        "cuda.lock": "",
        "dev.lock": "",
    }
    for name, text in lines.items():
        (place / "requirements" / name).write_text(text, encoding="utf-8")
    return place


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put this machine's pip settings out of sight."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a folder with a blank and an umlaut in its name."""
    return make_checkout(tmp_path / "Über uns")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> install.Environment:
    """An empty environment, made once for the tests that only need its pip."""
    place = make_checkout(tmp_path_factory.mktemp("shared") / "checkout")
    made = install.Environment(place / ".venv", sys.executable, None, None)
    made.make()
    return made


def command(checkout: Path, *arguments: str) -> list[str]:
    """The command line a person would type."""
    return [sys.executable, str(checkout / "install.py"), "--wheelhouse", str(checkout / "wheels"), *arguments]


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(checkout, *arguments), capture_output=True, text=True, check=False, cwd=checkout.parent
    )


def environment_python(checkout: Path) -> Path:
    """The interpreter that it makes."""
    return checkout / ".venv" / "bin" / "python"


def test_from_nothing_to_nothing(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # pip asks compilers for their versions, and some write into HOME then
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MAPREEL_STATE"):
        monkeypatch.delenv(name, raising=False)
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    first = run(checkout)
    assert first.returncode == 0, first.stderr + first.stdout
    assert "computed and checked" in first.stdout
    found = subprocess.run([environment_python(checkout), "-c", "import torch, cv2, backend"], check=False)
    assert found.returncode == 0
    assert (checkout / ".types" / "mapreel").resolve() == checkout

    took_s = []
    for _ in range(2):  # another program may be in the way of one
        started = time.monotonic()
        repeat = run(checkout)
        took_s.append(time.monotonic() - started)
    assert min(took_s) < 3
    assert repeat.stdout.startswith("Mapreel is installed already")

    stamp = json.loads((checkout / ".venv" / "mapreel-install.json").read_text(encoding="utf-8"))
    assert (stamp["format"], stamp["backend"], stamp["dev"]) == ("mapreel-install", "cpu", "no")

    with (checkout / "pyproject.toml").open("a", encoding="utf-8") as project:
        project.write("# changed\n")
    update = run(checkout)
    assert update.returncode == 0
    assert update.stdout.startswith("Upgrading ")

    (checkout / ".venv.previous").mkdir()  # left over by a kill
    gone = run(checkout, "uninstall")
    assert gone.returncode == 0, gone.stderr
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == before


def test_killed_in_the_middle_and_two_at_once(checkout: Path) -> None:
    (checkout / "wait").touch()
    with subprocess.Popen(command(checkout), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if "Mapreel itself" in line:
                break
        second = run(checkout)
        assert second.returncode == 1
        assert f"Another install.py (process {first.pid}) is working on" in second.stderr
        assert second.stderr.count("\n") == 1
        os.kill(first.pid, signal.SIGKILL)
    (checkout / "wait").unlink()
    assert not (checkout / ".venv" / "mapreel-install.json").exists()
    mended = run(checkout)
    assert mended.returncode == 0, mended.stderr
    assert mended.stdout.startswith("An earlier installation did not finish")


def refusal(environment: install.Environment, lock: Path) -> str:
    """What a failing lock file gets: one sentence."""
    environment.read_pip_settings()
    with pytest.raises(install.Stop) as refused:
        environment.install_lock(str(lock), "the libraries")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_the_index_does_wrong(
    environment: install.Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "x.lock"
    wheels = environment.prefix.parent / "wheels"
    monkeypatch.setenv("PIP_FIND_LINKS", wheels.as_uri())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    lock.write_text("libraries==1.0 --hash=sha256:" + "1" * 64 + "\n", encoding="utf-8")
    assert "sent for libraries==1.0 is not what was locked" in refusal(environment, lock)
    lock.write_text("libraries==2.0 --hash=sha256:" + "1" * 64 + "\n", encoding="utf-8")
    assert "has libraries==2.0 for this system" in refusal(environment, lock)
    monkeypatch.delenv("PIP_NO_INDEX")
    for name, value in {"PIP_INDEX_URL": NOBODY, "PIP_RETRIES": "1", "PIP_TIMEOUT": "2"}.items():
        monkeypatch.setenv(name, value)
    assert "The package index cannot be reached" in refusal(environment, lock)


def test_a_pip_file_that_points_elsewhere_is_not_followed(
    environment: install.Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    settings = tmp_path / "pip.conf"
    wheels = environment.prefix.parent / "wheels"
    settings.write_text(f"[global]\nfind-links = {wheels.as_uri()}\nno-index = true\ntarget = {elsewhere}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_TARGET", str(elsewhere))
    environment.read_pip_settings()
    environment.install_lock(str(wheels.parent / "requirements" / "torch.lock"), "torch")  # from where pip's file says
    assert not elsewhere.exists()
    assert list(environment.prefix.glob("lib/*/site-packages/torch"))


def _heed_ctrl_c() -> None:
    """A test run that was started in the background has inherited that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_is_one_sentence_and_130(checkout: Path) -> None:
    with subprocess.Popen(
        command(checkout),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509  # the test itself starts no thread
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "private environment" in line:
                break
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said == "\ninstall.py: stopped; run the same command again to go on.\n"


def program(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Start the installed program as a person does."""
    script = checkout / ".venv" / "bin" / "mapreel"
    return subprocess.run([script], capture_output=True, text=True, check=False)


def libraries_version(checkout: Path) -> str:
    """Which version of the made-up libraries is installed."""
    ask = "import importlib.metadata; print(importlib.metadata.version('libraries'))"
    done = subprocess.run([environment_python(checkout), "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def offer_new_libraries(checkout: Path, *, broken: bool) -> None:
    """Lock another version of the libraries."""
    text = "raise ImportError('no such thing')" if broken else ""
    files = {f"{name}.py": text for name in ("numpy", "cv2", "OpenImageIO", "av", "constriction", "safetensors")}
    line = make_wheel(checkout / "wheels", "libraries", files, version="2.0")
    (checkout / "requirements" / "runtime.lock").write_text(line, encoding="utf-8")


def folders(checkout: Path) -> list[str]:
    """The environments beside each other in a checkout."""
    return sorted(path.name for path in checkout.glob(".venv*"))


def test_an_upgrade_that_does_not_work_leaves_what_stood(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    offer_new_libraries(checkout, broken=True)
    failed = run(checkout)
    assert failed.returncode == 1
    assert "no such thing" in failed.stderr
    assert failed.stderr.endswith("The installation of before is untouched and goes on working.\n")
    assert failed.stderr.count("\n") == 1
    assert libraries_version(checkout) == "1.0"
    assert folders(checkout) == [".venv"]

    offer_new_libraries(checkout, broken=False)
    worked = run(checkout)
    assert worked.returncode == 0, worked.stderr
    assert worked.stdout.startswith("Upgrading ")
    assert libraries_version(checkout) == "2.0"
    assert folders(checkout) == [".venv"]
    assert program(checkout).stdout.startswith("mapreel of ")
    assert ".next" not in (checkout / ".venv" / "bin" / "mapreel").read_text(encoding="utf-8")
    assert run(checkout).stdout.startswith("Mapreel is installed already")


def test_an_upgrade_killed_at_any_point_leaves_something_that_works(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    offer_new_libraries(checkout, broken=False)
    (checkout / "wait").touch()
    with subprocess.Popen(command(checkout), stdout=subprocess.PIPE, text=True) as upgrade:
        assert upgrade.stdout is not None
        for line in upgrade.stdout:
            if "Mapreel itself" in line:
                break
        assert libraries_version(checkout) == "1.0"
        assert program(checkout).returncode == 0
        os.kill(upgrade.pid, signal.SIGKILL)
    (checkout / "wait").unlink()
    assert libraries_version(checkout) == "1.0"

    # Killed between the two renames: the old one has left its place, the new one has not come.
    (checkout / ".venv").rename(checkout / ".venv.previous")
    mended = run(checkout)
    assert mended.returncode == 0, mended.stderr
    assert mended.stdout.startswith("An upgrade did not finish: the installation of before is put back.")
    assert libraries_version(checkout) == "2.0"
    assert folders(checkout) == [".venv"]

    # Killed after them: the new one works, the old one goes.
    shutil.copytree(checkout / ".venv", checkout / ".venv.previous", symlinks=True)
    assert run(checkout).stdout.startswith("Mapreel is installed already")
    assert folders(checkout) == [".venv"]


def can(*words: str) -> bool:
    """Whether this machine lets us do something, such as make a name space."""
    return bool(shutil.which(words[0])) and subprocess.run(words, capture_output=True, check=False).returncode == 0


def make_bundle(checkout: Path, *arguments: str) -> Path:
    """A bundle of a checkout, and the checkout gone from sight."""
    made = run(checkout, "bundle", "--out", str(checkout.parent / "Bündel 1"), *arguments)
    assert made.returncode == 0, made.stderr
    return checkout.parent / "Bündel 1"


@pytest.mark.skipif(not can("unshare", "-rn", "true"), reason="no network name spaces for us here")
def test_a_bundle_installs_where_there_is_no_network(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(checkout)
    shutil.rmtree(checkout)
    listed = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=bundle, check=False)
    assert listed.returncode == 0
    bill = json.loads((bundle / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert {part["name"] for part in bill["components"]} == {"libraries", "torch"}

    monkeypatch.setenv("PIP_INDEX_URL", NOBODY)  # would hang or fail if it were asked
    install_there = ["unshare", "-rn", sys.executable, str(bundle / "install.py"), "--prefix"]
    done = subprocess.run([*install_there, str(bundle.parent / "env")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = subprocess.run([bundle.parent / "env" / "bin" / "mapreel"], capture_output=True, text=True, check=False)
    assert said.stdout.startswith("mapreel of ")

    wheel = next((bundle / "wheels").glob("libraries*"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    refused = subprocess.run([*install_there, str(bundle.parent / "b")], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "is not what was bundled" in refused.stderr
    (bundle / "wheels" / "extra.whl").touch()
    wheel.unlink()
    refused = subprocess.run([*install_there, str(bundle.parent / "b")], capture_output=True, text=True, check=False)
    assert "extra.whl" in refused.stderr


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen here")
def test_a_signed_bundle(tmp_path: Path) -> None:
    for name in ("ours", "foreign"):
        make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)]
        subprocess.run(make_key, check=True)
        public = (tmp_path / f"{name}.pub").read_text(encoding="utf-8")
        (tmp_path / f"{name}.signers").write_text(f"td@{name} {public}", encoding="utf-8")
    bundle = make_checkout(tmp_path / "bundle")
    (bundle / "pyproject.toml").unlink()
    make_wheel(bundle / "wheels", "mapreel", {"mapreel.py": ""})
    sums = "".join(f"{bundling.sha256(bundle / name)}  {name}\n" for name in bundling.names(bundle))
    (bundle / "SHA256SUMS").write_text(sums, encoding="utf-8")
    ours, foreign = tmp_path / "ours.signers", tmp_path / "foreign.signers"
    with pytest.raises(bundling.BundleError, match="is not signed"):
        bundling.check(bundle, ours)
    bundling.sign(bundle / "SHA256SUMS", tmp_path / "ours")
    assert "signed by td@ours SHA256:" in bundling.check(bundle, ours)
    assert "signed by SHA256:" in bundling.check(bundle, None)
    with pytest.raises(bundling.BundleError, match="signature"):
        bundling.check(bundle, foreign)
    install_from = [sys.executable, str(bundle / "install.py"), "--prefix", str(tmp_path / "env"), "--signers"]
    refused = subprocess.run([*install_from, str(foreign)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "signature" in refused.stderr
    with (bundle / "SHA256SUMS").open("a", encoding="utf-8") as changed:
        changed.write("\n")
    with pytest.raises(bundling.BundleError, match="does not hold"):
        bundling.check(bundle, None)


READ_ONLY = "mount --bind '{0}' '{0}' && mount -o remount,ro,bind '{0}' && exec \"$@\""


@pytest.mark.skipif(not can("unshare", "-rm", "true"), reason="no mount name spaces for us here")
def test_a_read_only_checkout(checkout: Path) -> None:
    seal = ["unshare", "-rm", "sh", "-c", READ_ONLY.format(checkout), "sh"]
    refused = subprocess.run([*seal, *command(checkout)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "choose a folder for the environment with --prefix DIR" in refused.stderr
    before = sorted(path.relative_to(checkout) for path in checkout.rglob("*"))
    prefix = checkout.parent / "env"
    done = subprocess.run(
        [*seal, *command(checkout, "--prefix", str(prefix))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.relative_to(checkout) for path in checkout.rglob("*")) == before
    said = subprocess.run([prefix / "bin" / "mapreel"], capture_output=True, text=True, check=False)
    assert said.stdout.startswith("mapreel of ")


@pytest.mark.skipif(not shutil.which("blender"), reason="no Blender with a program of its own here")
def test_into_blender_and_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BLENDER_USER_RESOURCES", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    archive = packaging.build_blender("1.2.3", tmp_path / "dist")
    blender = Path(str(shutil.which("blender")))
    assert install.ask_blender(blender, install.INTO_BLENDER, str(archive), sys.executable).startswith("in Blender ")
    assert list(tmp_path.rglob("mapreel_contract"))
    assert install.ask_blender(blender, install.OUT_OF_BLENDER).startswith("out of Blender ")
    assert not list(tmp_path.rglob("*mapreel*/*"))


def test_a_program_that_is_no_blender(tmp_path: Path) -> None:
    fake = tmp_path / "blender"
    fake.write_text("#!/bin/sh\necho Error: what is a bpy\nexit 3\n", encoding="utf-8")
    fake.chmod(0o755)
    with pytest.raises(install.Stop, match=r"refused \(Error: what is a bpy\): is it 3\.4 or newer"):
        install.ask_blender(fake, install.INTO_BLENDER, "x.zip", "python")
    with pytest.raises(install.Stop, match="does not answer"):
        install.ask_blender(tmp_path / "none", install.INTO_BLENDER)
    assert install.main(["host", "nuke"]) == 2
    assert install.main(["host", "blender", "--blender", str(tmp_path / "none")]) == 2
