"""The house rules, enforced by small linters over the syntax tree. Each is shown to bite on a planted violation."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
MAY_IMPORT: dict[str, frozenset[str]] = {
    "parlor": frozenset(),
    "demo_model": frozenset({"parlor"}),
    "actors": frozenset({"parlor"}),
    "api": frozenset({"parlor", "actors"}),
    "parlor_bench": frozenset({"parlor", "actors", "api"}),
    "parlor_cli": frozenset({"parlor", "actors", "api", "parlor_bench"}),
    "parlor/cache": frozenset(),
    "parlor/store": frozenset(),
    "parlor/llm": frozenset(),
    "parlor/reading": frozenset({"parlor/cache", "parlor/store"}),
    "parlor/rooms": frozenset({"parlor/cache", "parlor/llm", "parlor/reading", "parlor/store"}),
    "parlor/persistence": frozenset({"parlor/cache", "parlor/reading", "parlor/store"}),
    "parlor/fsck": frozenset({"parlor/cache", "parlor/reading", "parlor/store"}),
}
"""What each package may import of the others, and each folder of ``parlor`` of its other folders. The demo model is a
program of its own: nobody imports it."""
CODE = tuple(name for name in MAY_IMPORT if "/" not in name)

HOMES = {
    "redis": ("parlor/cache/",),
    "fakeredis": (),
    "asyncmy": ("parlor/store/",),
    "sqlite3": ("parlor/store/",),
    "ray": ("actors/", "api/deployment.py", "api/metrics.py", "parlor_bench/noop.py", "parlor_cli/"),
    "fastapi": ("api/", "parlor_bench/noop.py"),
    "starlette": ("api/",),
    "openai": ("parlor/llm/",),
}
"""Packages and the only places that may import them."""

CLOCKS = re.compile(r"^(time\.(time|time_ns|monotonic)|random\.\w+|uuid\.uuid\w+|datetime\.(now|utcnow|today))$")
CLOCK_FREE = ("parlor/",)
CLOCK_HOMES = ("parlor/clock.py", "parlor/store/migrations.py")
"""The ports themselves, and the time that a migration is recorded with."""
SQL = re.compile(r"^\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\s", re.DOTALL)
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager\d*|impl)$")

Finding = tuple[str, int, str]
"""Path, line, what is wrong."""
Linter = Callable[[str, ast.Module], Iterator[Finding]]


@cache
def nodes(tree: ast.Module) -> list[ast.AST]:
    """All of a module's, walked once for all linters."""
    return list(ast.walk(tree))


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def arrows_go_one_way(path: str, tree: ast.Module) -> Iterator[Finding]:
    package, _, rest = path.partition("/")
    folder = f"parlor/{rest.partition('/')[0]}"
    for line, name in imported(tree):
        target, _, inner = name.partition(".")
        if target in {*CODE, "tests"} - {package} - MAY_IMPORT[package]:
            yield path, line, f"{package} imports {name}"
        below = f"{target}/{inner.partition('.')[0]}"
        if folder in MAY_IMPORT and below in MAY_IMPORT.keys() - {folder, *MAY_IMPORT[folder]}:
            yield path, line, f"{folder} imports {name}"


def packages_stay_at_home(path: str, tree: ast.Module) -> Iterator[Finding]:
    for line, name in imported(tree):
        homes = HOMES.get(name.partition(".")[0])
        if homes is not None and not path.startswith(homes or ("-",)):
            yield path, line, f"{name} is imported here"


def time_is_injected(path: str, tree: ast.Module) -> Iterator[Finding]:
    if not path.startswith(CLOCK_FREE) or path.startswith(CLOCK_HOMES):
        return
    for node in nodes(tree):
        if isinstance(node, ast.Call) and CLOCKS.match(ast.unparse(node.func)):
            yield path, node.lineno, f"{ast.unparse(node.func)} is called"


def sql_stays_at_home(path: str, tree: ast.Module) -> Iterator[Finding]:
    if path.startswith("parlor/store/"):
        return
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            yield path, node.lineno, "SQL in a string"


def scripts_are_files(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "redis.call(" in node.value:
            yield path, node.lineno, "Lua in a string"


def tasks_are_kept(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = ast.unparse(node.value.func)
            if name.endswith(("create_task", "ensure_future")):
                yield path, node.lineno, "a task that nobody keeps"


def exceptions_are_not_swallowed(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in nodes(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if broad and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body):
                yield path, node.lineno, "an exception is swallowed"


def modules_say_what_they_are(path: str, tree: ast.Module) -> Iterator[Finding]:
    if VAGUE.search(Path(path).stem):
        yield path, 1, "the module's name says nothing"
    if tree.body and ast.get_docstring(tree) is None:
        yield path, 1, "the module has no docstring"


def classes_are_explained(path: str, tree: ast.Module) -> Iterator[Finding]:
    """A public class has a docstring, or is nothing but fields, or a contract: then its parts say it themselves."""
    if not path.startswith(("parlor/", "actors/")):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            fields = ast.AnnAssign | ast.Assign | ast.Expr | ast.Pass
            contract = any(ast.unparse(base) == "Protocol" for base in node.bases)
            if not contract and not all(isinstance(step, fields) for step in node.body):
                yield path, node.lineno, f"class {node.name} is not explained"


LINTERS: dict[str, tuple[Linter, str, str]] = {
    "arrows": (arrows_go_one_way, "parlor/rooms/room.py", "from actors import gateway"),
    "folders": (arrows_go_one_way, "parlor/cache/rooms.py", "from parlor.rooms.room import Room"),
    "packages": (packages_stay_at_home, "parlor/rooms/room.py", "from redis.asyncio import Redis"),
    "time": (time_is_injected, "parlor/rooms/room.py", "import time\nnow = time.time()"),
    "sql": (sql_stays_at_home, "parlor/rooms/room.py", "text = 'SELECT a FROM rooms WHERE b'"),
    "lua": (scripts_are_files, "parlor/cache/rooms.py", "text = \"redis.call('GET', 'x')\""),
    "tasks": (tasks_are_kept, "parlor/rooms/room.py", "asyncio.create_task(work())"),
    "exceptions": (exceptions_are_not_swallowed, "parlor/rooms/room.py", "try:\n    f()\nexcept Exception:\n    pass"),
    "classes": (classes_are_explained, "parlor/rooms/room.py", "class Room:\n    def f(self): ..."),
    "names": (modules_say_what_they_are, "parlor/rooms/room_utils.py", '"""Things."""'),
}
"""Each with a planted violation: where it would stand, and what."""


@cache
def sources() -> list[tuple[str, ast.Module]]:
    files = [file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py"))]
    return [(file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))) for file in files]


@pytest.mark.parametrize("name", LINTERS)
def test_the_rule_holds(name: str) -> None:
    linter = LINTERS[name][0]
    assert [finding for path, tree in sources() for finding in linter(path, tree)] == []


@pytest.mark.parametrize("name", LINTERS)
def test_the_rule_bites(name: str) -> None:
    linter, path, planted = LINTERS[name]
    assert list(linter(path, ast.parse(planted)))


def test_files_are_small() -> None:
    limits = {".py": 400, ".lua": 120, ".sql": 200}
    found = {
        file.relative_to(ROOT).as_posix(): lines
        for folder in (*CODE, "sql", "tests")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in limits and (lines := file.read_text(encoding="utf-8").count("\n")) > limits[file.suffix]
    }
    # One suite is one story each; a test module that grows past the limit is split when it is next touched.
    assert {path: lines for path, lines in found.items() if not path.startswith("tests/")} == {}
