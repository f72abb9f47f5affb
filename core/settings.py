# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be set about the service, each value with its reason; from MAPREEL_* variables, else the default."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mapreel.core.contract.errors import UsageError


def _cores_left_free() -> int:
    """One core for the artist's other programs; on two cores none, for the compute process is niced anyway."""
    return 1 if (os.cpu_count() or 1) > 2 else 0


class Settings(BaseSettings):
    """Settings of one service. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="MAPREEL_", frozen=True)

    state: Path | None = None  # None: the platform's folder for state
    roots: tuple[str, ...] = ()  # when given, requests may only name paths below one of these (needed for shares)
    idle_s: float = Field(default=900.0, gt=0)  # the service ends when nobody asked and nothing ran for so long
    compute_idle_s: float = Field(default=300.0, gt=0)  # the compute process gives its memory back after so long
    draft_idle_s: float = Field(default=300.0, gt=0)  # the interactive process gives its memory back after so long
    draft_timeout_s: float = Field(default=120.0, gt=0)  # one draft, the loading of the model at first included
    cores_left_free: int = Field(default_factory=_cores_left_free, ge=0)  # so that the host stays usable
    nice: int = Field(default=19, ge=0, le=19)  # batch work slows neither drafts nor the artist's own programs
    grace_s: float = Field(default=5.0, gt=0)  # between the word to stop and the kill
    train_grace_s: float = Field(default=120.0, gt=0)  # the same for a training: one step and its checkpoint
    beat_timeout_s: float = Field(default=60.0, gt=0)  # without any heartbeat the compute process hangs
    stall_timeout_s: float = Field(default=1800.0, gt=0)  # it beats, yet no frame and no check for so long
    max_crashes: int = Field(default=3, ge=1)  # in a row without a new frame, then the job is quarantined
    max_body_bytes: int = Field(default=1 << 20, ge=1024)  # a request is some hundred bytes
    header_timeout_s: float = Field(default=5.0, gt=0)  # slow-loris: headers come at once or not at all
    body_timeout_s: float = Field(default=10.0, gt=0)
    max_connections: int = Field(default=64, ge=4)  # of one user's panel, nodes and command lines


def load_settings() -> Settings:
    """The settings of this process. Raises UsageError that names the variable."""
    try:
        return Settings()
    except ValidationError as exc:
        fault = exc.errors()[0]
        name = "MAPREEL_" + "_".join(str(part) for part in fault["loc"]).upper()
        raise UsageError(f"the setting {name} is wrong ({fault['msg']})", "correct or unset it") from exc
