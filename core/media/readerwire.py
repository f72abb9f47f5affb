# SPDX-License-Identifier: GPL-3.0-or-later
"""Values and pixels as they go between us and a reader process: JSON, and arrays beside it as they lie in memory.

Neither side runs what the other says: plain values, arrays of numbers, and data classes of our own media modules.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGN = 64
_KINDS = "biuf"


def pack(value: Any, arrays: list[NDArray[Any]] | None = None) -> str:
    """A value as one line of text; arrays of numbers are put into `arrays`. Raises TypeError for what cannot travel."""
    return json.dumps(_plain(value, arrays), ensure_ascii=True, separators=(",", ":"))


def _plain(value: Any, arrays: list[NDArray[Any]] | None) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray):
        if arrays is None or value.dtype.kind not in _KINDS:
            raise TypeError("arrays of numbers come back from a reader, and nothing else")
        arrays.append(np.ascontiguousarray(value))
        return {"!": "array", "v": len(arrays) - 1}
    found = _tagged(value, arrays)
    if found is None:
        raise TypeError(f"{type(value).__name__} cannot go to a reader or back")
    return {"!": found[0], "v": found[1]}


def _tagged(value: Any, arrays: list[NDArray[Any]] | None) -> tuple[str, Any] | None:
    if isinstance(value, enum.Enum):
        return f"enum {_place(type(value))}", value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init and f.compare}
        return f"data {_place(type(value))}", {name: _plain(part, arrays) for name, part in told.items()}
    if isinstance(value, Mapping):
        return "map", [[_plain(key, arrays), _plain(part, arrays)] for key, part in value.items()]
    if isinstance(value, Path):
        return "path", str(value)
    if isinstance(value, Fraction):
        return "ratio", [value.numerator, value.denominator]
    if isinstance(value, bytes):
        return "bytes", value.hex()
    if isinstance(value, Sequence):
        return ("list" if isinstance(value, list) else "tuple"), [_plain(part, arrays) for part in value]
    if isinstance(value, np.generic):
        return "plain", value.item()
    if type(value).__name__ == "TypeDesc":
        return "typedesc", str(value)
    return None


def _place(kind: type) -> str:
    if not kind.__module__.startswith(("mapreel.core.media.", "mapreel.core.contract.")):
        raise TypeError(f"{kind.__name__} cannot go to a reader or back")
    return f"{kind.__module__}:{kind.__qualname__}"


def unpack(told: Any, arrays: Sequence[NDArray[Any]] = (), *, trusted: bool = False) -> Any:
    """The value again. trusted: modules may be loaded for it, in a reader that is told what to read.

    Raises ValueError for what is no message.
    """
    if not isinstance(told, dict):
        if isinstance(told, list):
            raise ValueError("no value")  # what was said, not how we were called
        return told
    try:
        return _built(str(told["!"]), told["v"], arrays, trusted)
    except (KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise ValueError("no value") from error


def _built(tag: str, content: Any, arrays: Sequence[NDArray[Any]], trusted: bool) -> Any:
    if tag == "array":
        return arrays[content]
    if tag in ("tuple", "list"):
        parts = [unpack(part, arrays, trusted=trusted) for part in content]
        return parts if tag == "list" else tuple(parts)
    if tag == "map":
        return {unpack(key, arrays, trusted=trusted): unpack(part, arrays, trusted=trusted) for key, part in content}
    if tag == "path":
        return Path(content)
    if tag == "ratio":
        return Fraction(*content)
    if tag == "bytes":
        return bytes.fromhex(content)
    if tag == "plain":
        return content
    if tag == "typedesc":
        import OpenImageIO as oiio  # noqa: N813  # the library's own habit

        return oiio.TypeDesc(content)
    sort, _, place = tag.partition(" ")
    kind = _type(place, trusted)
    if sort == "enum" and issubclass(kind, enum.Enum):
        return kind(content)
    if sort == "data" and dataclasses.is_dataclass(kind):
        return kind(**{name: unpack(part, arrays, trusted=trusted) for name, part in content.items()})
    raise ValueError(f"no value: {tag[:100]}")


def _type(place: str, trusted: bool) -> type:
    module, _, name = place.partition(":")
    if not module.startswith(("mapreel.core.media.", "mapreel.core.contract.")):
        raise ValueError(f"no type of ours: {place[:100]}")
    home = importlib.import_module(module) if trusted else sys.modules[module]
    kind = getattr(home, name)
    if not isinstance(kind, type):
        raise ValueError(f"no type: {place[:100]}")  # what was said, not how we were called
    return kind


def layout(arrays: Sequence[NDArray[Any]]) -> tuple[list[tuple[str, tuple[int, ...], int]], int]:
    """Type, shape and offset of each array in one block, and the bytes of the block."""
    found, offset = [], 0
    for array in arrays:
        found.append((array.dtype.str, array.shape, offset))
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
    return found, offset


def fill(block: Any, arrays: Sequence[NDArray[Any]]) -> None:
    """Copy arrays into a block (a buffer) as `layout` places them."""
    for array, (kind, shape, offset) in zip(arrays, layout(arrays)[0], strict=True):
        np.ndarray(shape, kind, block, offset)[...] = array


def lift(block: Any, places: Any) -> list[NDArray[Any]]:
    """Copies of the arrays in a block. Raises ValueError for places that are none."""
    found = []
    try:
        for kind, shape, offset in places:
            dtype = np.dtype(str(kind))
            if dtype.kind not in _KINDS or not all(isinstance(side, int) and side >= 0 for side in (*shape, offset)):
                raise ValueError("no array of numbers")
            found.append(np.ndarray(tuple(shape), dtype, block, offset).copy())
    except TypeError as error:
        raise ValueError("no array of numbers") from error
    return found
