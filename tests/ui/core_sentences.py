# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects every sentence of the core that can come before an artist, as a template: `{path} does not exist`.

Looked through is what the panel, the service, its processes and the hosts' side import, at once or later. Of the
command line and of Blender's own window nothing is, but what a host answers to the panel. A sentence is what an error
is made of, how an attempt ended, what a finding says and what the functions in TELLERS give back; a part of a sentence
that a function gets or gives (`its checksum is wrong` in `{where} is damaged ({why})`) counts as one, and is
translated on its own.

    python -m tests.ui.core_sentences ja      what a language lacks, and what it has too much
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
from collections import defaultdict
from functools import cache

from mapreel.core.contract.jobs import JobState
from mapreel.ui.retelling import JOINTS
from mapreel.ui.text import core_catalogue
from tests.ui.core_reading import (
    FILLED,
    ROOT,
    Function,
    Module,
    Parts,
    Place,
    Reader,
    module,
    resolve,
    skeleton,
    template,
)

HOLE = Place("", "hole")
WHOLE: Parts = (HOLE,)
Wanted = tuple[tuple[int, str], ...]
STARTS = (
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "ui").rglob("*.py")),
    "core/service/__main__.py",
    "core/service/compute.py",
    "core/media/readerchild.py",
    "core/runners.py",
    "core/vid2vid/prepare.py",  # the panel starts it as a program of its own
    "core/commands/prepare.py",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "plugin" / "shared").glob("*.py")),
    "plugin/blender/results.py",
    "plugin/blender/versions.py",
)
NOT_HEARD = ("core/commands/", "plugin/blender/")
"""Not followed by their imports: what is said on a terminal, and in Blender's own window."""
ERROR = "MapreelError"
ARGUMENTS = ((0, "what"), (1, "remedy"))
DETAILS = {"detail", "file", "frame"}
MORE_SPEAKERS = {"Outcome": ((1, "reason"),), "Words": ((0, "says"),)}
"""Besides errors: calls whose arguments are told."""
TELLERS = {
    "core/media/doctor.py": ("glance",),
    "core/media/doctor_findings.py": ("sentence",),
    "core/media/motion.py": ("find_motion", "_known", "_meaning", "_named"),
    "core/media/moviewriter.py": ("note",),
    "core/media/sequence.py": ("filled_note",),
    "core/service/compute_process.py": ("story",),
    "core/service/process_tree.py": ("describe_exit",),
    "core/vid2vid/shot.py": ("lost_note",),
    "ui/state/render_choice.py": ("next_name",),
}
"""Module -> functions that give sentences back, for others to tell."""
PUT_TOGETHER = (
    *(f"{{count}} {units}" for one in ("frame", "id", "pixel", "region") for units in (one, f"{one}s")),
    *(state.value for state in JobState),
    *JOINTS,
)
"""What is counted in a finding, as `counted_as` spells it, states of jobs, and how sentences are joined."""
LISTS = ("notes", "remarks", "faults")
"""Names of lists of sentences: what is appended to them is told."""
_WORDS = re.compile(r"[A-Za-z]{2}")
_SEVERAL = re.compile(r"[A-Za-z“”\")]{2,}[,:;]? [A-Za-z(]|^[a-z]+ \{|\} [a-z]+$")


@cache
def reachable() -> tuple[str, ...]:
    """Every file that runs where the panel can hear of it."""
    found, left = set(), list(STARTS)
    while left:
        path = left.pop()
        if path not in found and (path in STARTS or not path.startswith(NOT_HEARD)):
            found.add(path)
            left += module(path).files
    return tuple(sorted(found))


@cache
def errors() -> frozenset[str]:
    """The names of all errors of ours."""
    bases = {name: above for path in reachable() for name, above in module(path).bases.items()}
    found = {ERROR}
    while more := {name for name, above in bases.items() if name not in found and above & found}:
        found |= more
    return frozenset(found)


def arguments(call: ast.Call, wanted: Wanted) -> list[ast.expr]:
    """What is given for these parameters."""
    found = []
    for place, name in wanted:
        if place < len(call.args) and not any(isinstance(word, ast.Starred) for word in call.args[: place + 1]):
            found.append(call.args[place])
        found += [word.value for word in call.keywords if word.arg == name]
    return found


class Collector:
    """All sentences. A function that hands a parameter on to an error speaks as the error does."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._known: set[str] = set()
        self._speaks: dict[tuple[str, str], dict[str, tuple[Parts, bool]]] = defaultdict(dict)
        """Function -> parameter -> what stands around it, and whether that makes a whole sentence."""
        for _ in range(4):
            known = sum(map(len, self._speaks.values()))
            for path in reachable():
                self._hear(module(path))
            if known == sum(map(len, self._speaks.values())):
                break

    def _hear(self, where: Module) -> None:
        for inside, call, raised in where.calls:
            target = resolve(where, call)
            names = {word.arg for word in call.keywords}
            for word in arguments(call, self._wanted(call, target is None and (raised or bool(names & DETAILS)))):
                self._say(where, inside, word)
            if target is None:
                continue
            for param, (around, whole) in list(self._speaks.get((target[0].path, target[1].node.name), {}).items()):
                place = target[1].params.index(param) if param in target[1].params else len(call.args)
                for word in arguments(call, ((place, param),)):
                    self._say(where, inside, word, around, whole=whole)
        for name in TELLERS.get(where.path, ()):
            function = where.functions[name]
            for word in function.returns:
                self._say(where, function, word)
            body = function.node.body[ast.get_docstring(function.node) is not None :]
            spelled = [node for one in body for node in ast.walk(one)]
            inner = {id(part) for node in spelled if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
            for node in spelled:
                named = isinstance(node, ast.Name) and node.id in where.values
                literal = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and id(node) not in inner)
                if named or literal:
                    self._say(where, function, node, whole=False)

    @staticmethod
    def _wanted(call: ast.Call, strange: bool) -> Wanted:
        """The parameters of a call that are told. strange: it makes what errors are, and is no function of ours."""
        if isinstance(call.func, ast.Attribute):
            owner = call.func.value.attr if isinstance(call.func.value, ast.Attribute) else ""
            return ((0, ""),) if call.func.attr == "append" and owner in LISTS else ()
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        held_by_a_name = strange and name[:1].islower()  # the class of the error
        return ARGUMENTS if name in errors() or held_by_a_name else MORE_SPEAKERS.get(name, ())

    def _say(
        self,
        where: Module,
        inside: Function | None,
        word: ast.expr,
        around: Parts = WHOLE,
        *,
        whole: bool = True,
    ) -> None:
        parts: list[Parts] = []
        for one in Reader(where, inside, parts).read(word):
            said = tuple(itertools.chain(*(one if piece == HOLE else (piece,) for piece in around)))
            self._keep(said, f"{where.path}:{word.lineno}", whole=whole)
            for piece in one:
                if isinstance(piece, Place) and piece.param and inside is not None:
                    rest = tuple(HOLE if other is piece else other for other in said)
                    mute = not _WORDS.search("".join(other for other in rest if isinstance(other, str)))
                    spoken = self._speaks[where.path, inside.node.name]
                    spoken[piece.param] = (rest, whole) if mute else (WHOLE, False)
        for one in parts:
            self._keep(one, f"{where.path}:{word.lineno}", whole=False)

    def _keep(self, parts: Parts, where: str, *, whole: bool) -> None:
        """What has no words of its own cannot be translated; a part of a sentence has to have several."""
        for text in template(parts).split("; "):
            own = FILLED.sub("", text)
            if _WORDS.search(own) and (whole or _SEVERAL.search(text)) and skeleton(text) not in self._known:
                self._known.add(skeleton(text))
                self.found[text] = where


@cache
def sentences() -> dict[str, str]:
    """Template -> where it stands."""
    return Collector().found | dict.fromkeys(PUT_TOGETHER, "core/media/doctor_findings.py")


def main(language: str) -> None:
    """What a language lacks, as JSON to fill in, and what it has too much."""
    known = core_catalogue(language)
    lacking = {text: where for text, where in sentences().items() if skeleton(text) not in set(map(skeleton, known))}
    orphans = [text for text in known if skeleton(text) not in set(map(skeleton, sentences()))]
    told = {"lacking": lacking, "orphans": orphans}
    sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
