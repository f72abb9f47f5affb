# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist chose for a training, as a request; pure functions, and the sentences where something cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.paths import checked_path
from mapreel.core.contract.requests import TrainRequest
from mapreel.ui.state.messages import spoken
from mapreel.ui.text import tr, trn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.train_look import DataFacts

MOST_STEPS = 10_000_000
FEW_FRAMES = 24
"""Below so many frames a model learns these frames by heart and little else."""
FEW_STEPS = 500
GUESSED_STEP_S = 2.0
"""Of a step, while nobody has trained on this machine."""
_FORBIDDEN = frozenset('/\\:*?"<>|')


@dataclass(frozen=True, kw_only=True)
class TrainChoice:
    """Everything that a training is asked with. Empty text: nothing chosen.

    data: folders with label/ and color/, or prepared data sets. minutes: a budget of time, 0: steps count. pace_s: of
    a step on this machine.
    """

    data: tuple[str, ...] = ()
    steps: int = 2000
    minutes: int = 0
    pace_s: float = GUESSED_STEP_S
    name: str = ""
    licence: str = ""
    palette: str = ""
    folder: str = ""
    resume: bool = False

    @property
    def planned_steps(self) -> int:
        """Steps in all, those that fit into the time where that counts."""
        if not self.minutes:
            return self.steps
        return min(MOST_STEPS, max(1, round(self.minutes * 60 / max(self.pace_s, 1e-3))))

    @property
    def seconds(self) -> float:
        """How long it takes at this pace."""
        return self.planned_steps * self.pace_s


def train_request(choice: TrainChoice) -> TrainRequest:
    """The request. Raises UsageError with the sentence of what cannot be."""
    check_data(choice)
    check_name(choice.name)
    check_folder(choice)
    return TrainRequest(
        data=choice.data,
        out=choice.folder,
        steps=choice.planned_steps,
        resume=choice.resume,
        name=choice.name.strip(),
        licence=choice.licence.strip(),
        palette=choice.palette or None,
    )


def check_data(choice: TrainChoice) -> None:
    """Raises UsageError when there is nothing to learn from."""
    if not choice.data:
        raise UsageError("no shot is chosen", "add a folder that holds label/ and color/")
    if len(set(choice.data)) < len(choice.data):
        raise UsageError("a folder is there twice", "take one of both away")


def check_name(name: str) -> None:
    """Raises UsageError for a name that no folder can have."""
    plain = name.strip()
    if not plain or plain in (".", "..") or set(plain) & _FORBIDDEN or len(plain) > 100:
        raise UsageError(f"“{name[:60]}” is no name for a model", "use letters, digits, - and _")


def check_folder(choice: TrainChoice) -> None:
    """Raises UsageError for a folder that cannot be."""
    if not choice.folder.strip():
        raise UsageError("no folder is chosen", "choose where the training shall lie")
    checked_path(choice.folder, "folder")
    for data in choice.data:
        if Path(choice.folder) == Path(data):
            raise UsageError("the training would lie among its own frames", "choose another folder")


def train_problems(choice: TrainChoice) -> dict[str, str]:
    """What cannot be, by field: data, name, folder, rest."""
    checks: dict[str, Callable[[], object]] = {
        "data": lambda: check_data(choice),
        "name": lambda: check_name(choice.name),
        "folder": lambda: check_folder(choice),
        "rest": lambda: train_request(choice),
    }
    found: dict[str, str] = {}
    for field, check in checks.items():
        if field == "rest" and found:
            break
        try:
            check()
        except UsageError as error:
            found[field] = spoken(error)
    return found


def warnings(choice: TrainChoice, facts: tuple[DataFacts, ...]) -> tuple[str, ...]:
    """What is allowed and probably not wanted, a sentence each."""
    told = [f"{fact.name}: {fact.trouble}" for fact in facts if fact.trouble]
    sound = [fact for fact in facts if not fact.trouble]
    frames = sum(fact.frames for fact in sound)
    if sound and frames < FEW_FRAMES:
        told.append(
            trn(
                "{count} frame is little to learn from: {wanted} or more give a model that holds up.",
                "{count} frames are little to learn from: {wanted} or more give a model that holds up.",
                frames,
                wanted=FEW_FRAMES,
            )
        )
    for fact in sound:
        if fact.alone:
            words = trn(
                "{name}: {count} frame is on one side only ({which}); a training refuses that.",
                "{name}: {count} frames are on one side only ({which}); a training refuses that.",
                len(fact.alone),
                name=fact.name,
                which=fact.alone_text,
            )
            told.append(words)
    sizes = {fact.size for fact in sound if fact.size != (0, 0)}
    if len(sizes) > 1:
        listed = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
        told.append(tr("The shots differ in size ({sizes}); a training wants one size.", sizes=listed))
    if choice.planned_steps < FEW_STEPS and not choice.resume:
        told.append(
            tr("{count} steps show whether it runs; a usable look takes some thousands.", count=choice.planned_steps)
        )
    return tuple(told)
