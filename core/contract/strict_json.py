# SPDX-License-Identifier: Apache-2.0
"""JSON from somebody else, read strictly: no NaN, no name twice, no endless nesting, no giant numbers."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Union

from mapreel.core.contract.errors import UsageError

JSON = Union["dict[str, JSON]", "list[JSON]", str, int, float, bool, None]
MAX_DEPTH = 32
MAX_DIGITS = 18
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def _bad(what: str) -> UsageError:
    return UsageError(f"the JSON {what}", "send one plain object in UTF-8")


def _depth(data: bytes) -> int:
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _bad(f"has a number of more than {MAX_DIGITS} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _bad("has a number that is too large")
    return value


def _no_constant(text: str) -> float:
    raise _bad(f"holds {text}, which is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _bad("names a field twice")
    return fields


def parse_json(data: bytes) -> JSON:
    """The value of strict UTF-8 JSON. Raises UsageError with one sentence."""
    if _depth(data) > MAX_DEPTH:
        raise _bad(f"is nested deeper than {MAX_DEPTH}")
    try:
        value: JSON = json.loads(
            data.decode("utf-8"),
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half surrogates cannot be stored or shown
    except (ValueError, RecursionError) as exc:
        raise _bad("cannot be read") from exc
    return value
