# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: all that an installation needs in one folder, with a bill of materials and a signed list of hashes.

`install.py bundle` writes one; `install.py` inside it, or `--wheelhouse` anywhere else, installs from it. It holds

    install.py, requirements/   the installer and its locks
    wheels/                     every library for this kind of machine, and Mapreel's own wheel with its models
    hosts/                      the zips for hosts, where they have been built
    sbom.cdx.json               the bill of materials (CycloneDX 1.6)
    SHA256SUMS                  the hash of every file above; `sha256sum -c` reads it
    SHA256SUMS.sig              its signature by `ssh-keygen -Y sign` (namespace `mapreel-bundle`), if a key was given

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from install import Environment

SUMS = "SHA256SUMS"
NAMESPACE = "mapreel-bundle"

# What the environment knows of its packages, asked inside it.
PACKAGES = """
import importlib.metadata, json
found = []
for package in importlib.metadata.distributions():
    about = package.metadata
    licence = about.get("License-Expression") or ""
    text = about.get("License") or ""
    kinds = [line.split(" :: ")[-1] for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    short = licence or (text if 0 < len(text) < 80 and "\\n" not in text else ", ".join(kinds))
    found.append({"name": about["Name"], "version": package.version, "licence": short})
print(json.dumps(found))
"""


class BundleError(Exception):
    """What is wrong with a bundle, in one sentence that says what to do."""


def sha256(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def locked_hashes(locks: Path) -> dict[str, list[str]]:
    """The hashes that the locks of a folder allow, by the package's name in small letters."""
    found: dict[str, list[str]] = {}
    for name in ("runtime.lock", "torch.lock", "torch-cpu.lock", "cuda.lock"):
        package = ""
        for line in (locks / name).read_text(encoding="utf-8").splitlines():
            start = re.match(r"([A-Za-z0-9][\w.-]*)===?", line)
            package = normalised(start.group(1)) if start else package
            found.setdefault(package, []).extend(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    found.pop("", None)
    return found


def normalised(name: str) -> str:
    """A package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_bill(out: Path, environment: Environment, locks: Path) -> None:
    """Write the bill of materials of an environment (CycloneDX 1.6, JSON): each locked package with its licence.

    Hashes are those that the lock allows: a package has one for each kind of machine, so they stand as properties.
    """
    hashes = locked_hashes(locks)
    answer = environment.answer(PACKAGES)
    if answer.returncode:
        raise BundleError(f"{environment.prefix} cannot be read: run `python3 install.py` again.")
    parts = []
    own = {"name": "mapreel", "version": "0"}
    for package in sorted(json.loads(answer.stdout), key=lambda package: str(package["name"]).lower()):
        name = normalised(package["name"])
        if name == "mapreel":
            own = package
        elif name in hashes:
            parts.append(component(name, package, hashes[name]))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(parts, sort_keys=True)).urn,
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "mapreel", "version": own["version"]}},
        "components": parts,
    }
    write(out, json.dumps(bill, indent=1, sort_keys=True) + "\n")


def component(name: str, package: dict[str, str], hashes: list[str]) -> dict[str, object]:
    """One entry of the bill."""
    reference = f"pkg:pypi/{name}@{package['version']}"
    entry: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": package["version"],
        "purl": reference,
        "bom-ref": reference,
        "properties": [{"name": "mapreel:locked-sha256", "value": one} for one in hashes],
    }
    if package["licence"]:
        entry["licenses"] = [{"license": {"name": package["licence"]}}]
    return entry


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def make(out: Path, environment: Environment, source: Path, key: Path | None) -> None:
    """Write a bundle of an installed environment, built from a copy of the sources. Raises BundleError."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out} exists and is not empty: name a folder that is not there.")
    if key and not key.is_file():
        raise BundleError(f"There is no key {key}: --sign takes the file of a private ssh key.")
    part = out.with_name(out.name + ".part")
    if part.exists():
        if not (part / "requirements").is_dir() and any(part.iterdir()):
            raise BundleError(f"{part} is in the way: move it, or name another folder.")
        shutil.rmtree(part)
    (part / "requirements").mkdir(parents=True)
    root = Path(__file__).resolve().parents[1]
    for path in [root / "install.py", root / "COPYING", *(root / "requirements").glob("*.lock"), Path(__file__)]:
        if path.exists():
            shutil.copy2(path, part / path.relative_to(root))
    for path in sorted((root / "dist").glob("mapreel-blender-*.zip")):
        (part / "hosts").mkdir(exist_ok=True)
        shutil.copy2(path, part / "hosts" / path.name)
    collect_wheels(part / "wheels", environment, source)
    write_bill(part / "sbom.cdx.json", environment, root / "requirements")
    write(part / SUMS, "".join(f"{sha256(part / name)}  {name}\n" for name in names(part)))
    if key:
        sign(part / SUMS, key)
    if out.exists():
        out.rmdir()
    part.replace(out)


def names(bundle: Path) -> list[str]:
    """What a list of hashes has to hold: every file but the list, its signature and what an installation makes."""
    left_out = {SUMS, SUMS + ".sig"}
    return sorted(name for name in walk(bundle) if name not in left_out)


def walk(bundle: Path) -> Iterator[str]:
    """The files of a bundle, relative and with forward strokes, without an environment made inside it."""
    for folder, folders, files in os.walk(bundle):
        folders[:] = [name for name in folders if not name.startswith(".venv") and name != "__pycache__"]
        for name in files:
            relative = (Path(folder) / name).relative_to(bundle).as_posix()
            if not relative.startswith(".venv"):
                yield relative


def collect_wheels(folder: Path, environment: Environment, source: Path) -> None:
    """Download what the locks name for this kind of machine, each checked against its hash, and build our own."""
    folder.mkdir()
    environment.read_pip_settings()
    checked = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--dest", str(folder)]
    locks = Path(__file__).resolve().parent
    wanted = ["runtime.lock", torch_lock(environment)]
    if environment.torch_is_cuda():
        wanted.append("cuda.lock")
    for name in wanted:
        index = environment.torch_index if name.startswith("torch") else None
        environment.pip(f"the wheels of {name}", *checked, "-r", str(locks / name), index=index, verb="download")
    built = ["--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(source)]
    environment.pip("Mapreel's own wheel", *built, verb="wheel")
    shutil.rmtree(environment.prefix / "tmp", ignore_errors=True)


def torch_lock(environment: Environment) -> str:
    """The lock that the installed torch came from."""
    answer = environment.answer("import importlib.metadata; print(importlib.metadata.version('torch'))")
    return "torch-cpu.lock" if answer.stdout.strip().endswith("+cpu") else "torch.lock"


def sign(sums: Path, key: Path) -> None:
    """Write the signature of a list of hashes beside it."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise BundleError("There is no ssh-keygen here to sign with: install OpenSSH, or leave --sign out.") from error
    if done.returncode:
        raise BundleError(f"{key} could not sign ({last_line(done)}): unlock it with ssh-add, or name another key.")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a program complained of last."""
    return ((done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def check(bundle: Path, signers: Path | None) -> str:
    """Compare a bundle with its list of hashes, and the list with its signature.

    Args:
        bundle: folder that holds SHA256SUMS.
        signers: file of allowed signers as ssh-keygen reads it, one of whom must have signed; None: any signature.

    Returns:
        One line about what was found.

    Raises:
        BundleError: a file differs, is missing or is not listed, or the signature is not what was asked for.
    """
    signature = check_signature(bundle / SUMS, signers)
    listed: dict[str, str] = {}
    for line in (bundle / SUMS).read_text(encoding="utf-8").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or not re.fullmatch(r"[0-9a-f]{64}", digest) or ".." in Path(name).parts:
            raise BundleError(f"{bundle / SUMS} is no list of hashes: copy the bundle again.")
        listed[name] = digest
    there = set(names(bundle))
    for name in sorted(there ^ set(listed)):
        word = "is not in its list of hashes" if name in there else "is missing"
        raise BundleError(f"{name} in {bundle} {word}: copy the bundle again from where it was made.")
    for name, digest in listed.items():
        if sha256(bundle / name) != digest:
            raise BundleError(f"{name} in {bundle} is not what was bundled: copy it again from where it was made.")
    return f"{len(listed)} files as they were bundled, {signature}"


def check_signature(sums: Path, signers: Path | None) -> str:
    """Who signed a list of hashes. Raises BundleError where the signature is wrong, or not one of `signers`."""
    signature = sums.with_name(sums.name + ".sig")
    if not signature.exists():
        if signers:
            raise BundleError(f"{sums} is not signed: ask for a signed bundle, or leave --signers out.")
        return "not signed"
    seal = ["-n", NAMESPACE, "-s", str(signature)]
    who = ""
    try:
        if signers:
            if not signers.is_file():
                raise BundleError(f"There is no file {signers}: --signers takes a list of allowed signers.")
            done = speak(["find-principals", "-s", str(signature), "-f", str(signers)], sums)
            who = done.stdout.split("\n")[0].strip()
            if not done.returncode:
                done = speak(["verify", "-f", str(signers), "-I", who, *seal], sums)
        else:
            done = speak(["check-novalidate", *seal], sums)
    except OSError as error:
        if signers:
            raise BundleError("There is no ssh-keygen here to check the signature: install OpenSSH.") from error
        return "signature not checked (there is no ssh-keygen here)"
    if done.returncode:
        raise BundleError(f"The signature of {sums} does not hold ({last_line(done)}): ask where the bundle was made.")
    key = re.search(r"SHA256:\S+", done.stdout)
    return " ".join(["signed by", *([who] if who else []), key.group() if key else "an unnamed key"])


def speak(arguments: list[str], sums: Path) -> subprocess.CompletedProcess[str]:
    """Ask ssh-keygen about a list of hashes."""
    with sums.open("rb") as words:
        command = ["ssh-keygen", "-Y", *arguments]
        return subprocess.run(command, stdin=words, capture_output=True, text=True, check=False)
