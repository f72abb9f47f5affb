# SPDX-License-Identifier: GPL-3.0-or-later
"""What `mapreel doctor` finds: each trouble made for real where that can be done, and named with a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mapreel.core import cli, doctor, machine
from mapreel.core.contract import versions
from mapreel.core.service import local_disk
from mapreel.core.vid2vid import models
from mapreel.requirements import audit, bundling

VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               1000.
Pages active:                           200000.
Pages inactive:                           2000.
Pages speculative:                          24.
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of the test's own, and no settings of this machine."""
    monkeypatch.setenv("MAPREEL_STATE", str(tmp_path / "state"))
    for name in ("OCIO", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"):
        monkeypatch.delenv(name, raising=False)


def find(name: str) -> doctor.Finding:
    """One finding, by the way that the command takes."""
    known = doctor.CHECKS
    try:
        doctor.CHECKS = {name: known[name]}
        (finding,) = doctor.examine()
    finally:
        doctor.CHECKS = known
    assert finding.state == doctor.GOOD or finding.remedy
    assert "\n" not in finding.said
    return finding


def test_a_machine_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in answer["findings"]] == list(doctor.CHECKS)
    wrong = [finding for finding in answer["findings"] if finding["state"] == doctor.BAD]
    assert not [
        finding for finding in wrong if finding["name"] != "disk"
    ]  # a nearly full disk is this machine's matter
    assert (code, answer["wrong"]) == (min(1, len(wrong)), len(wrong))


def test_a_colour_configuration_that_is_not_there_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIO", str(tmp_path / "config.ocio"))
    assert "which is not there" in find("colour").said
    (tmp_path / "config.ocio").write_text("not: a configuration\n", encoding="utf-8")
    broken = find("colour")
    assert broken.state == doctor.BAD
    assert "cannot be used" in broken.said
    monkeypatch.setenv("OCIO", "ocio://cg-config-v4.0.0_aces-v2.0_ocio-v2.5")
    assert find("colour").state == doctor.GOOD


def test_a_model_that_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cut in (("whole", 0), ("short", 1)):
        data = (models.shipped_models()["street"] / models.MODEL_FILE).read_bytes()
        (tmp_path / name).mkdir()
        (tmp_path / name / models.MODEL_FILE).write_bytes(data[: len(data) - cut])
    monkeypatch.setattr(models, "shipped_models", lambda: {name: tmp_path / name for name in ("whole", "short")})
    assert find("models").said == "the model short is cut off"
    monkeypatch.setattr(models, "shipped_models", lambda: {"whole": tmp_path / "whole"})
    assert find("models") == doctor.Finding("models", doctor.GOOD, "whole")
    monkeypatch.setattr(models, "shipped_models", dict)
    assert find("models").state == doctor.BAD


def test_libraries_that_raise_crash_or_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", doctor.LIBRARIES.replace('"cv2"', '"a_library_nobody_has"'))
    assert "a_library_nobody_has does not load" in find("libraries").said
    monkeypatch.setattr(doctor, "LIBRARIES", "import os; os.abort()  # %r")
    assert "crash when loaded: its process ended with -6" in find("libraries").said
    monkeypatch.setattr(doctor, "TORCH", "raise ImportError('libcudart.so is missing')")
    assert "libcudart.so is missing" in find("torch").said
    assert doctor.ask("import time; time.sleep(9)", seconds=0.2) == "no answer within 0 s"


def test_a_wrong_setting_and_a_bent_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAPREEL_NICE", "many")
    assert "MAPREEL_NICE" in find("settings").said
    monkeypatch.setenv("PYTHONHOME", "elsewhere")
    bent = find("surroundings")
    assert (bent.state, bent.remedy) == (doctor.NOTE, "unset PYTHONHOME for Mapreel")


def test_a_state_folder_on_a_network_disk_and_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_disk, "file_system", lambda _: "nfs4")
    assert "network disk (nfs4)" in find("state").said
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 62)
    assert find("disk").state == doctor.BAD
    monkeypatch.setattr(doctor, "LEAST_MEMORY", 1 << 62)
    assert find("machine").state == doctor.NOTE


def test_another_mapreel_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mapreel").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "mapreel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"starts another one, {tmp_path / 'mapreel'}" in find("program").said


def test_a_fault_of_the_doctor_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "installed_version", lambda _: "1")
    monkeypatch.setattr(doctor, "memory_bytes", lambda: 1 / 0)
    assert "could not be looked at (ZeroDivisionError" in find("machine").said


def test_memory_of_this_machine_and_of_a_mac() -> None:
    total, free = machine.memory_bytes()
    assert 0 < free <= total
    assert machine.mac_free(VM_STAT) == 3024 * 16384


def test_holes_in_what_we_use(capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"name": "a", "version": "1", "vulns": []}
    hole = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
    unknown = {"name": "c", "skip_reason": "not on the index"}
    assert audit.judge({"dependencies": [whole]}) == 0
    assert capsys.readouterr().out == ""
    assert audit.judge({"dependencies": [whole, hole]}) == 1
    assert "b 2 has the known hole CVE-1: lock a version with it mended (3)" in capsys.readouterr().out
    assert audit.judge({"dependencies": [whole, unknown]}) == 0
    assert "asked about 1 of 2" in capsys.readouterr().out
    assert audit.judge(None) == 0
    assert "nothing was asked" in capsys.readouterr().out


def test_the_bill_of_materials_is_read_by_another_library(tmp_path: Path) -> None:
    """cyclonedx-python-lib, which pip-audit brings; the bill is that of the environment that runs this test."""
    from cyclonedx.model.bom import Bom

    from mapreel import install

    class Here(install.Environment):
        @property
        def python(self) -> Path:
            return Path(install.sys.executable)

    here = Here(tmp_path, install.sys.executable, None, None)
    bundling.write_bill(tmp_path / "bill.json", here, install.LOCKS)
    bill = Bom.from_json(json.loads((tmp_path / "bill.json").read_text(encoding="utf-8")))
    names = {part.name for part in bill.components}
    assert names >= {"torch", "numpy", "openimageio", "opencv-python-headless", "av", "constriction", "safetensors"}
    assert "pytest" not in names
    licences = {part.name: part.licenses for part in bill.components}
    assert not [name for name, licence in licences.items() if not licence]
