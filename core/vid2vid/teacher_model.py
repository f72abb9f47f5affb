# SPDX-License-Identifier: GPL-3.0-or-later
"""Teachers on disk: the same kind of file as every model, with the paper's composite generator inside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mapreel.core.contract.errors import UsageError
from mapreel.core.vid2vid.checkpoint import open_model, write_model
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import Looks
from mapreel.core.vid2vid.models import COMPOSITE
from mapreel.core.vid2vid.paper_config import PaperConfig, paper_config_from_dict
from mapreel.core.vid2vid.paper_network import CompositeGenerator


@dataclass(frozen=True)
class TeacherModel:
    """A composite generator ready to render and all that must be known about it."""

    name: str
    generator: CompositeGenerator
    table: ClassTable
    looks: Looks
    """Colours of its training; the network does not read them."""
    licence: str
    sha256: str
    """Of the file the weights were read from."""

    @property
    def config(self) -> PaperConfig:
        return self.generator.config


def load_teacher(name: str) -> TeacherModel:
    """Read a teacher; every tensor must be there, by name and shape, with finite values.

    Raises:
        PickleRefusedError, MissingModelError: see `find_model`.
        DamagedModelError: not a Mapreel model, or its tensors do not fit its config.
        UsageError: the model holds no teacher.
    """
    file = open_model(name)
    if not file.is_teacher:
        raise UsageError(
            f"the model {file.name} has no teacher network", "choose the quality full, fast or draft, or a teacher"
        )
    config = paper_config_from_dict(file.config(), file=str(file.path))
    with torch.device("meta"):  # no memory is taken before the shapes are compared: the config may lie about its size
        generator = CompositeGenerator(config)
    file.load_into(generator)
    looks, table = file.looks(config.classes), file.classes(config.classes)
    return TeacherModel(file.name, generator.eval(), table, looks, file.header.get("licence", ""), file.sha256)


def save_teacher(
    path: Path,
    *,
    name: str,
    generator: CompositeGenerator,
    table: ClassTable,
    looks: Looks,
    licence: str,
    story: dict[str, str],
) -> None:
    """Write a teacher, weights in half precision. `story` goes into the header as it is. Raises OutputError."""
    story = {**story, "name": name, "licence": licence}
    write_model(path, COMPOSITE, generator, asdict(generator.config), table, looks, story)
