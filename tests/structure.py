"""The shape of the code, measured from its imports: ``python -m tests.structure [package or folder ...]``.

A *room* of a package is a direct child: a module or a folder with modules. An *arrow* leads from one room to another
that it imports, counted once however many imports there are; imports inside functions and under TYPE_CHECKING count.
*Floors* are the rooms on the longest chain of arrows. A *circle* is a group of rooms that import each other.

With names, prints these packages room by room. The exit code is 1 when a limit is exceeded.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple, TypeAlias

from tests.sources import CODE, files, nodes, relative, trees, walk

MAX_ROOMS, MAX_FLOORS, MAX_ARROWS = 20, 9, 90
"""Of ``parlor``, so that its map fits on a page."""
MAX_FILE_LINES = {".py": 400, ".lua": 120, ".sql": 200}
MAX_FUNCTION_LINES = 60
MAX_COMPLEXITY = 15

Trees: TypeAlias = Mapping[str, ast.Module]
"""Syntax trees by path, from the root of the project."""
Edges: TypeAlias = Mapping[str, frozenset[str]]

BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Package(NamedTuple):
    """One package or folder."""

    name: str
    imports: Edges
    """Of each room, the rooms that it imports."""
    floor_of: dict[str, int]
    """1 for a room that imports no other."""
    circles: list[list[str]]

    @property
    def arrows(self) -> int:
        return sum(map(len, self.imports.values()))

    @property
    def floors(self) -> int:
        return max(self.floor_of.values(), default=0)


class Function(NamedTuple):
    path: str
    line: int
    name: str
    lines: int
    complexity: int
    """Cyclomatic: 1, and 1 for each branch, loop, handler, comprehension's ``for`` and ``if``, and ``and`` or ``or``. A
    function inside another one is counted by itself."""


def measure(folder: str, sources: Trees) -> Package:
    """The rooms of a folder, such as ``parlor`` or ``parlor/cache``."""
    imports: dict[str, set[str]] = {}
    for path, tree in sources.items():
        room = _room(folder, path)
        if room is not None and not (room == "__init__" and _is_only_docstring(tree)):
            found = (_room(folder, name.replace(".", "/")) for name in imported_modules(path, tree))
            imports.setdefault(room, set()).update(name for name in found if name is not None)
    edges = {room: frozenset(found & imports.keys() - {room}) for room, found in sorted(imports.items())}
    groups = _groups(edges)
    return Package(folder, edges, _floors(edges, groups), sorted(sorted(group) for group in groups if len(group) > 1))


def folders(sources: Trees) -> list[str]:
    """Every folder with modules."""
    return sorted({PurePosixPath(path).parent.as_posix() for path in sources})


def functions(sources: Trees) -> Iterator[Function]:
    for path, tree in sources.items():
        yield from _functions(path, tree)


@cache
def _functions(path: str, tree: ast.Module) -> list[Function]:
    return [
        Function(path, node.lineno, node.name, (node.end_lineno or 0) - node.lineno + 1, _complexity(node))
        for node in nodes(tree)
        if isinstance(node, FUNCTIONS)
    ]


def file_lengths() -> dict[str, int]:
    """The lines of each source file, tests included."""
    every = (file for suffix in MAX_FILE_LINES for file in files(*CODE, "sql", "tests", suffix=suffix))
    return {relative(file): file.read_text(encoding="utf-8").count("\n") for file in every}


def complaints(sources: Trees, lengths: Mapping[str, int]) -> Iterator[str]:
    """What exceeds a limit."""
    parlor = measure("parlor", sources)
    for what, found, most in (
        ("rooms", len(parlor.imports), MAX_ROOMS),
        ("floors", parlor.floors, MAX_FLOORS),
        ("arrows", parlor.arrows, MAX_ARROWS),
    ):
        if found > most:
            yield f"parlor has {found} {what}, {most} at most"
    for folder in folders(sources):
        for circle in measure(folder, sources).circles:
            yield f"{folder} has a circle: {', '.join(circle)}"
    for path, lines in lengths.items():
        most = MAX_FILE_LINES[PurePosixPath(path).suffix]
        if lines > most:
            yield f"{path} has {lines} lines, {most} at most"
    for function in functions(sources):
        where = f"{function.path}:{function.line} {function.name}"
        if function.lines > MAX_FUNCTION_LINES:
            yield f"{where} has {function.lines} lines, {MAX_FUNCTION_LINES} at most"
        if function.complexity > MAX_COMPLEXITY:
            yield f"{where} has complexity {function.complexity}, {MAX_COMPLEXITY} at most"


def main(names: list[str]) -> int:
    sources, lengths = trees(*CODE, "tests"), file_lengths()
    for name in [name.strip("/") for name in names or CODE]:
        package = measure(name, sources)
        rooms, circles = len(package.imports), len(package.circles)
        print(f"{name:<20} {rooms:>3} rooms  {package.floors:>2} floors  {package.arrows:>3} arrows  {circles} circles")
        for room in sorted(package.imports, key=lambda room: (-package.floor_of[room], room)) if names else ():
            print(f"  {package.floor_of[room]:>2}  {room:<18} {' '.join(sorted(package.imports[room]))}".rstrip())
    longest = max(lengths, key=lambda path: lengths[path])
    measured = list(functions(sources))
    slow = max(measured, key=lambda function: function.lines)
    hard = max(measured, key=lambda function: function.complexity)
    print(f"longest file         {lengths[longest]} lines: {longest}")
    print(f"longest function     {slow.lines} lines: {slow.path} {slow.name}")
    print(f"hardest function     complexity {hard.complexity}: {hard.path} {hard.name}")
    found = list(complaints(sources, lengths))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def _room(folder: str, path: str) -> str | None:
    """The room that a path is in; None when it is not in the folder."""
    inside = path.removeprefix(f"{folder}/")
    return inside.partition("/")[0].removesuffix(".py") if inside != path else None


@cache
def imported_modules(path: str, tree: ast.Module) -> list[str]:
    """Dotted names of what a module imports. ``from a import b`` gives ``a.b``: b may be a module."""
    package, found = PurePosixPath(path).parent.parts, list[str]()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module) if node.module else base)
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def _is_only_docstring(tree: ast.Module) -> bool:
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body)


def _groups(edges: Edges) -> list[frozenset[str]]:
    """Rooms that reach each other, together; all others alone. Each group after those that it imports."""
    reaches = {room: reached(room, edges) for room in edges}
    groups = {frozenset({room, *(other for other in reaches[room] if room in reaches[other])}) for room in edges}
    return sorted(groups, key=lambda group: (len(reaches[min(group)] - group), sorted(group)))


def reached(start: str, edges: Mapping[str, AbstractSet[str]]) -> frozenset[str]:
    """All that can be come to from ``start``, one edge after the other."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for room in edges.get(waiting.pop(), frozenset()) - found:
            found.add(room)
            waiting.append(room)
    return frozenset(found)


def _floors(edges: Edges, groups: Iterable[frozenset[str]]) -> dict[str, int]:
    """A circle is one floor."""
    floors: dict[str, int] = {}
    for group in groups:
        below = {other for room in group for other in edges[room]} - group
        floors |= dict.fromkeys(group, 1 + max((floors[room] for room in below), default=0))
    return floors


def _complexity(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    found = 1
    for node in walk(function, stop_at=FUNCTIONS):
        if isinstance(node, BRANCHES):
            found += 1
        elif isinstance(node, ast.BoolOp):
            found += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            found += 1 + len(node.ifs)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
