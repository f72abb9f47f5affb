# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk: one safetensors file with its config, classes, looks and licence in the header, loaded strictly."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mapreel.core.contract.errors import DamagedModelError, MissingModelError, ModelMismatchError
from mapreel.core.contract.takes import write_atomically
from mapreel.core.vid2vid.config import FORMAT_NAME, FORMAT_VERSION, GeneratorConfig, config_from_dict
from mapreel.core.vid2vid.filler import Filler, filler_config
from mapreel.core.vid2vid.inputs import ClassTable
from mapreel.core.vid2vid.looks import SAMPLES, Looks
from mapreel.core.vid2vid.models import COMPOSITE, UNET, find_model
from mapreel.core.vid2vid.network import Generator
from mapreel.core.vid2vid.quantised import BlockRange, as_header, ranges_from

T = TypeVar("T")
LARGEST_MODEL_BYTES = 4 << 30
FILLER = "fill."
"""What the names of a filler's tensors begin with."""
RANGES = "ranges"
"""Where a header keeps the ranges of the generator's blocks."""
_LOOKS = ("looks.mean", "looks.samples", "looks.counts")


@dataclass(frozen=True)
class Model:
    """A generator ready to render and all that must be known about it."""

    name: str
    generator: Generator
    table: ClassTable
    looks: Looks
    licence: str
    sha256: str
    """Of the file the weights were read from."""
    filler: Filler | None = None
    ranges: dict[str, BlockRange] | None = None
    """What its blocks read on training frames, None where nobody measured it."""

    @property
    def config(self) -> GeneratorConfig:
        return self.generator.config


@dataclass(frozen=True)
class ModelFile:
    """A model's file, opened once: what is hashed is what is used."""

    path: Path
    header: dict[str, str]
    tensors: dict[str, Tensor]
    sha256: str

    @property
    def name(self) -> str:
        """The name in its header, that of its folder for a file without one."""
        return self.header.get("name", self.path.parent.name)

    @property
    def is_teacher(self) -> bool:
        """True for the paper's composite generator; models from before there were teachers do not say."""
        return self.header.get("architecture") == COMPOSITE

    def config(self) -> dict[str, object]:
        """The settings in its header. Raises DamagedModelError."""
        return _json(self.header, "config", dict, self.path)

    def classes(self, count: int) -> ClassTable:
        """Its class table, which must have `count` classes. Raises DamagedModelError."""
        classes = _json(self.header, "classes", list, self.path)
        try:
            table = ClassTable(tuple(c["id"] for c in classes), tuple(str(c["name"]) for c in classes))
        except (KeyError, TypeError, ValueError) as exc:
            raise _damaged(self.path, "its list of classes cannot be read", str(exc)) from exc
        if len(table.ids) != count:
            raise _damaged(self.path, "its list of classes does not fit its config")
        return table

    def looks(self, classes: int) -> Looks:
        """What it knows about the colours of its classes. Raises DamagedModelError."""
        return _looks(self.tensors, classes, self.path)

    def load_into(self, network: torch.nn.Module) -> None:
        """Give a network its weights, strictly; looks and a filler are the only further tensors there may be.

        Raises DamagedModelError.
        """
        load_strictly(network, {k[4:]: v.float() for k, v in self.tensors.items() if k.startswith("net.")}, self.path)
        unknown = sorted(k for k in self.tensors if not k.startswith(("net.", FILLER)) and k not in _LOOKS)
        if unknown:
            raise _damaged(self.path, f"it holds tensors nobody asked for ({', '.join(unknown[:3])})")

    def ranges(self, generator: Generator) -> dict[str, BlockRange] | None:
        """What the blocks of its generator read, None for a model that does not say. Raises DamagedModelError."""
        if RANGES not in self.header:
            return None
        return ranges_from(_json(self.header, RANGES, dict, self.path), generator, file=str(self.path))

    def filler(self, classes: int) -> Filler | None:
        """Its filler, None for a model without one. Raises DamagedModelError."""
        tensors = {k.removeprefix(FILLER): v.float() for k, v in self.tensors.items() if k.startswith(FILLER)}
        if not tensors and "filler" not in self.header:
            return None
        config = filler_config(_json(self.header, "filler", dict, self.path), file=str(self.path))
        if config.classes != classes:
            raise _damaged(self.path, "its filler does not fit its classes")
        with torch.device("meta"):
            filler = Filler(config)
        load_strictly(filler, tensors, self.path)
        return filler.eval()


def open_model(name: str) -> ModelFile:
    """Read the file that `--model NAME|DIR|FILE` means, of whatever network it holds.

    Raises:
        PickleRefusedError, MissingModelError: see `find_model`.
        DamagedModelError: not a Mapreel model.
    """
    path = find_model(name)
    data = _read(path)
    header = _header(data, path)
    if header.get("architecture", UNET) not in (UNET, COMPOSITE):
        raise DamagedModelError(
            f"the model {path} holds a network this version does not know ({header['architecture']})",
            "update Mapreel",
            file=str(path),
        )
    return ModelFile(path, header, _tensors(data, path), hashlib.sha256(data).hexdigest())


def load_model(name: str) -> Model:
    """Read a model; every tensor must be there, by name and shape, with finite values.

    The file is opened once: the bytes that are hashed are the bytes that are used.

    Raises:
        PickleRefusedError, MissingModelError: see `find_model`.
        DamagedModelError: not a Mapreel model, or its tensors do not fit its config.
        ModelMismatchError: it holds a teacher.
    """
    file = open_model(name)
    if file.is_teacher:
        raise ModelMismatchError(
            f"the model {file.path} holds a teacher network",
            "render it with --quality teacher, or choose another model",
            file=str(file.path),
        )
    config = config_from_dict(file.config(), file=str(file.path))
    with torch.device("meta"):  # no memory is taken before the shapes are compared: the config may lie about its size
        generator = Generator(config)
    file.load_into(generator)
    looks, table, filler = file.looks(config.classes), file.classes(config.classes), file.filler(config.classes)
    licence, ranges = file.header.get("licence", ""), file.ranges(generator)
    return Model(file.name, generator.eval(), table, looks, licence, file.sha256, filler, ranges)


def save_model(
    path: Path,
    *,
    name: str,
    generator: Generator,
    table: ClassTable,
    looks: Looks,
    licence: str,
    story: dict[str, str],
    ranges: dict[str, BlockRange] | None = None,
) -> None:
    """Write a model, weights in half precision. `story` (data, command, steps …) goes into the header as it is."""
    story = {**story, "name": name, "licence": licence}
    if ranges is not None:
        story[RANGES] = json.dumps(as_header(ranges))
    write_model(path, UNET, generator, asdict(generator.config), table, looks, story)


def write_model(
    path: Path,
    architecture: str,
    network: torch.nn.Module,
    config: dict[str, object],
    table: ClassTable,
    looks: Looks,
    story: dict[str, str],
) -> None:
    """Write a model file, weights in half precision; `story` goes into the header as it is. Raises OutputError."""
    tensors = {f"net.{k}": v.detach().half() for k, v in network.state_dict().items()}
    tensors["looks.mean"] = torch.from_numpy(looks.mean)
    tensors["looks.samples"] = torch.from_numpy(looks.samples)
    tensors["looks.counts"] = torch.from_numpy(looks.counts)
    header = {
        **story,
        "format": FORMAT_NAME,
        "version": str(FORMAT_VERSION),
        "architecture": architecture,
        "config": json.dumps(config),
        "classes": json.dumps(table.listed()),
    }
    own = {k: v.cpu().contiguous() for k, v in tensors.items()}
    write_atomically(path, safetensors.torch.save(own, metadata=header))


def load_strictly(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights only if names and shapes match exactly; says which do not.

    Raises:
        DamagedModelError: missing, unexpected, wrong-shaped or non-finite tensors.
    """
    wanted = module.state_dict()
    wrong = [f"missing {k}" for k in sorted(wanted.keys() - tensors.keys())]
    wrong += [f"unexpected {k}" for k in sorted(tensors.keys() - wanted.keys())]
    wrong += [
        f"{k} is {list(tensors[k].shape)} instead of {list(wanted[k].shape)}"
        for k in sorted(wanted.keys() & tensors.keys())
        if tensors[k].shape != wanted[k].shape
    ]
    wrong += [f"{k} holds NaN or infinity" for k, v in tensors.items() if not torch.isfinite(v.float()).all()]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise _damaged(path, f"its weights do not fit its config ({wrong[0]}{more})", "\n".join(wrong))
    module.load_state_dict(tensors, assign=any(v.is_meta for v in wanted.values()))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_MODEL_BYTES:
                raise _damaged(path, "it is larger than 4 GiB")
            return file.read()
    except OSError as exc:
        raise MissingModelError(f"the model {path} cannot be read ({exc.strerror})", "check its permissions") from exc


def _header(data: bytes, path: Path) -> dict[str, str]:
    """The text part of a safetensors file: eight bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, 100 << 20):
        raise _damaged(path, "it is not a safetensors file or it is cut short")
    try:
        meta = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (ValueError, RecursionError, AttributeError) as exc:
        raise _damaged(path, "its header cannot be read", str(exc)) from exc
    if not isinstance(meta, dict) or meta.get("format") != FORMAT_NAME:
        raise _damaged(path, "it is a safetensors file but not a Mapreel model")
    if meta.get("version") != str(FORMAT_VERSION):
        raise DamagedModelError(
            f"the model {path} has format version {meta.get('version')}, this Mapreel reads {FORMAT_VERSION}",
            "update Mapreel",
            file=str(path),
        )
    return {str(k): str(v) for k, v in meta.items()}


def _tensors(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as exc:
        raise _damaged(path, "its tensors cannot be read", str(exc)) from exc


def _json(header: dict[str, str], key: str, kind: type[T], path: Path) -> T:
    try:
        value = json.loads(header[key])
    except (KeyError, ValueError, RecursionError) as exc:
        raise _damaged(path, f"its header has no usable `{key}`", str(exc)) from exc
    if not isinstance(value, kind):
        raise _damaged(path, f"its header has no usable `{key}`")
    return value


def _looks(tensors: dict[str, Tensor], classes: int, path: Path) -> Looks:
    wanted = {"mean": (classes, 3), "samples": (classes, SAMPLES, 3), "counts": (classes,)}
    arrays = {}
    for key, shape in wanted.items():
        tensor = tensors.get(f"looks.{key}")
        if tensor is None or tuple(tensor.shape) != shape or not torch.isfinite(tensor.float()).all():
            raise _damaged(path, f"its instance colours are not usable ({key})")
        arrays[key] = tensor.float().numpy()
    counts = arrays["counts"]
    if counts.min() < 0 or counts.max() > SAMPLES:
        raise _damaged(path, "its instance colours are not usable (counts)")
    return Looks(arrays["mean"], arrays["samples"], counts.astype(np.int32))


def _damaged(path: Path, how: str, detail: str = "") -> DamagedModelError:
    return DamagedModelError(
        f"the model {path} cannot be used: {how}", "fetch or train it again", detail=detail, file=str(path)
    )
