# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads sources: which files import which, and everything that an expression which makes a text can say."""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 8
"""Alternatives of one sentence; beyond, what differs is a place."""
FILLED = re.compile(r"\{(\w*)[^}]*\}")
_DULL = frozenset(
    "len str join sorted int round self for in if else not and r s d f g of as_posix name items repr".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Place:
    """Something that is filled in. param: it is this parameter of the function that says it."""

    name: str
    param: str = ""


Parts = tuple["str | Place", ...]


@dataclass
class Function:
    """A function with what is assigned in it."""

    node: ast.FunctionDef
    method: bool

    @cached_property
    def assigned(self) -> dict[str, list[tuple[ast.expr, int | None]]]:
        """Name -> values, with their place in the tuple that is unpacked."""
        found = defaultdict(list)
        for node in ast.walk(self.node):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id].append((node.value, None))
                elif isinstance(target, ast.Tuple):
                    for place, word in enumerate(target.elts):
                        if isinstance(word, ast.Name):
                            found[word.id].append((node.value, place))
        return found

    @cached_property
    def params(self) -> list[str]:
        """Names of the parameters, as a call counts them."""
        names = [one.arg for one in (*self.node.args.posonlyargs, *self.node.args.args)]
        return names[1:] if self.method and names[:1] in (["self"], ["cls"]) else names

    @cached_property
    def every_param(self) -> set[str]:
        return {*self.params, *(one.arg for one in self.node.args.kwonlyargs)}

    @cached_property
    def returns(self) -> list[ast.expr]:
        return [node.value for node in ast.walk(self.node) if isinstance(node, ast.Return) and node.value is not None]


@dataclass
class Module:
    """One file: its calls, and what its names stand for."""

    path: str
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name -> file and the name there ("" for the module itself)."""
    files: set[str] = field(default_factory=set)
    bases: dict[str, set[str]] = field(default_factory=dict)
    """Class -> what it is made of."""
    calls: list[tuple[Function | None, ast.Call, bool]] = field(default_factory=list)
    """Each call, the function it stands in, and whether its value is raised."""

    def look_through(self) -> Module:
        self._walk(self.tree, None, method=False, raised=False)
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.values[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                self.values[node.target.id] = node.value
        return self

    def _walk(self, node: ast.AST, inside: Function | None, *, method: bool, raised: bool) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.FunctionDef):
            inside = Function(node, method)
            self.functions.setdefault(node.name, inside)
        elif isinstance(node, ast.ClassDef):
            self.bases[node.name] = {ast.unparse(base) for base in node.bases}
        elif isinstance(node, ast.Call):
            self.calls.append((inside, node, raised))
            if "import_module" in ast.unparse(node.func):
                self.files |= {
                    file for word in node.args if isinstance(word, ast.Constant) and (file := _file(str(word.value)))
                }
        for child in ast.iter_child_nodes(node):
            self._walk(child, inside, method=isinstance(node, ast.ClassDef), raised=isinstance(node, ast.Raise))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            self.files |= {file for alias in node.names if (file := _file(alias.name))}
            return
        for alias in node.names:
            inner = _file(f"{node.module}.{alias.name}")
            outer = _file(node.module or "")
            if inner or outer:
                self.imported[alias.asname or alias.name] = (inner, "") if inner else (outer or "", alias.name)
            self.files |= {file for file in (inner, outer) if file}


def _file(name: str) -> str | None:
    """The file of a module by its import name."""
    place = name.removeprefix("mapreel.").replace(".", "/")
    names = (f"{place}.py", f"{place}/__init__.py") if name.startswith("mapreel.") else ()
    return next((path for path in names if (ROOT / path).is_file()), None)


@cache
def module(path: str) -> Module:
    """A file of the project, read once."""
    return Module(path, ast.parse((ROOT / path).read_text(encoding="utf-8"))).look_through()


class Reader:
    """Reads what a text can be, in one function of one module. `parts`: parts of sentences that came up on the way."""

    def __init__(self, where: Module, function: Function | None, parts: list[Parts], depth: int = 0) -> None:
        self._module, self._function, self.parts, self._depth = where, function, parts, depth
        self._looked_up: set[str] = set()

    def read(self, node: ast.expr) -> list[Parts]:
        """Everything that the expression can say."""
        said = list(dict.fromkeys(self._read(node)))
        if 0 < len(said) <= MOST:
            return said
        self.parts += said
        return [(self._place(node),)]

    def _place(self, node: ast.expr) -> Place:
        if self._depth or self._function is None or not isinstance(node, ast.Name):
            return Place(_name(node))
        return Place(_name(node), node.id if node.id in self._function.every_param else "")

    def _read(self, node: ast.expr) -> list[Parts]:
        if isinstance(node, ast.Constant):
            return [_split(node.value)] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            return _product([self._field(part) for part in node.values])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return _product([self.read(node.left), self.read(node.right)])
        if isinstance(node, ast.IfExp):
            return self.read(node.body) + self.read(node.orelse)
        if isinstance(node, ast.BoolOp):
            return [said for value in node.values for said in self.read(value)]
        if isinstance(node, ast.Name):
            return self._named(node)
        if isinstance(node, ast.Subscript):
            return self._rows(self._table(node.value), None) or [(self._place(node),)]
        if isinstance(node, ast.Call):
            return self._called(node)
        return [(self._place(node),)]

    def _field(self, part: ast.expr) -> list[Parts]:
        """What stands in braces: spelled out where it is one of two, else a place and perhaps parts."""
        if isinstance(part, ast.Constant):
            return [(str(part.value),)]
        assert isinstance(part, ast.FormattedValue)
        if part.format_spec is not None or part.conversion != -1:
            return [(self._place(part.value),)]
        said = self.read(part.value)
        plain = [one for one in said if all(isinstance(piece, str) for piece in one)]
        if len(said) == len(plain) <= 2 and plain:
            return said
        if isinstance(part.value, ast.IfExp | ast.BinOp) and len(said) <= 2:
            return said
        self.parts += said
        return [(self._place(part.value),)]

    def _named(self, node: ast.Name) -> list[Parts]:
        known = self._function
        if known is not None and node.id in known.assigned and node.id not in self._looked_up | known.every_param:
            self._looked_up.add(node.id)
            values = [one for word, place in known.assigned[node.id] for one in self._unpacked(word, place)]
            said = [one for word in values for one in self.read(word)]
            self._looked_up.discard(node.id)
            return said or [(self._place(node),)]
        value = self._module.values.get(node.id)
        spelled = isinstance(value, ast.Constant) and isinstance(value.value, str)
        if value is not None and (spelled or isinstance(value, ast.JoinedStr | ast.BinOp)):
            return self.read(value)
        return [(self._place(node),)]

    def _unpacked(self, value: ast.expr, place: int | None) -> list[ast.expr]:
        """What stands at a place of the tuple that the value is, or the value itself."""
        if place is None:
            return [value]
        if isinstance(value, ast.Tuple) and place < len(value.elts):
            return [value.elts[place]]
        rows: list[ast.expr] = []
        if isinstance(value, ast.IfExp):
            rows = [value.body, value.orelse]
        elif isinstance(value, ast.Subscript):
            rows = self._table(value.value)
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "get":
            rows = [*self._table(value.func.value), *value.args[1:]]
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            function = self._module.functions.get(value.func.id)
            rows = function.returns if function is not None else []
        return [one for row in rows for one in self._unpacked(row, place)]

    def _table(self, node: ast.expr) -> list[ast.expr]:
        """The values of a dictionary that is looked up."""
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        table = node if isinstance(node, ast.Dict) else self._module.values.get(name)
        local = self._function.assigned.get(name, []) if self._function is not None else []
        if len(local) == 1 and isinstance(local[0][0], ast.Dict):
            table = local[0][0]
        return [value for value in table.values if value is not None] if isinstance(table, ast.Dict) else []

    def _rows(self, rows: list[ast.expr], default: ast.expr | None) -> list[Parts]:
        rows = [*rows, *([default] if default is not None else [])]
        texts = [row for row in rows if isinstance(row, ast.Constant | ast.JoinedStr | ast.BinOp)]
        return [said for row in texts for said in self.read(row)]

    def _called(self, node: ast.Call) -> list[Parts]:
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in ("format", "replace", "strip", "rstrip", "partition"):
                return self.read(node.func.value)
            if node.func.attr == "get":
                default = node.args[1] if len(node.args) > 1 else None
                return self._rows(self._table(node.func.value), default) or [(self._place(node),)]
        found = resolve(self._module, node)
        if found is None or self._depth >= 2 or ast.unparse(found[1].node.returns or ast.Constant(0)) != "str":
            return [(self._place(node),)]
        inner = Reader(*found, self.parts, self._depth + 1)
        said = [one for value in found[1].returns for one in inner.read(value)]
        return said if any(isinstance(piece, str) for one in said for piece in one) else [(self._place(node),)]


def _product(fields: list[list[Parts]]) -> list[Parts]:
    while len(list(itertools.islice(itertools.product(*fields), MOST + 1))) > MOST:
        most = max(range(len(fields)), key=lambda place: len(fields[place]))
        fields[most] = [(Place("what"),)]
    return [tuple(itertools.chain(*choice)) for choice in itertools.product(*fields)]


def _split(text: str) -> Parts:
    """A text of the sources that may hold places for `format` and `replace`."""
    cut = enumerate(FILLED.split(text))
    return tuple(Place(part or "what") if number % 2 else part for number, part in cut if part or number % 2)


def _name(node: ast.expr) -> str:
    """A short name for what is filled in, from how it is written in the source."""
    words = [word.strip("_") for word in re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'", "", ast.unparse(node)))]
    words = [word.lower() for word in words if word and word not in _DULL]
    return words[-1] if words else "what"


def template(parts: Parts) -> str:
    """As a catalogue spells it: each place with a name of its own."""
    seen: dict[str, int] = defaultdict(int)
    text = ""
    for part in parts:
        if isinstance(part, Place):
            seen[part.name] += 1
            text += f"{{{part.name}{seen[part.name] if seen[part.name] > 1 else ''}}}"
        else:
            text += part
    return text.strip().rstrip(".")


def skeleton(text: str) -> str:
    """A template without the names of its places: a variable that gets another name changes no sentence."""
    return FILLED.sub("{}", text)


def resolve(where: Module, call: ast.Call) -> tuple[Module, Function] | None:
    """The function of ours that a call means, as far as names tell."""
    if isinstance(call.func, ast.Name):
        name = call.func.id
    elif isinstance(call.func, ast.Attribute):
        name = call.func.attr
        owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
        if owner in where.imported and not where.imported[owner][1]:
            there = module(where.imported[owner][0])
            return (there, there.functions[name]) if name in there.functions else None
    else:
        return None
    if name in where.functions:
        return where, where.functions[name]
    if isinstance(call.func, ast.Name) and name in where.imported:
        there = module(where.imported[name][0])
        return (there, there.functions[where.imported[name][1]]) if where.imported[name][1] in there.functions else None
    return None
