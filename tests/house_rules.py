"""The house rules: small linters over the syntax trees and the texts. ``python -m tests.house_rules`` prints what
breaks them; the exit code is 1 when something does."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.sources import CODE, ROOT, files, nodes, relative, trees
from tests.structure import imported_modules

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
    "parlor/reading": frozenset({"parlor/cache", "parlor/llm", "parlor/store"}),
    "parlor/rooms": frozenset({"parlor/cache", "parlor/llm", "parlor/reading", "parlor/store"}),
    "parlor/persistence": frozenset({"parlor/cache", "parlor/reading", "parlor/store"}),
    "parlor/fsck": frozenset({"parlor/cache", "parlor/reading", "parlor/store"}),
}
"""What each package may import of the others, and each folder of ``parlor`` of its other folders. The demo model is a
program of its own: nobody imports it."""

CLIENT = "parlor/client"

BENCHES = ("parlor_bench/peers/", "parlor_bench/large_room.py")
HOMES = {
    "redis": ("parlor/cache/", "parlor_bench/peers/"),
    "fakeredis": (),
    "asyncmy": ("parlor/store/", *BENCHES),
    "sqlite3": ("parlor/store/",),
    "ray": (
        "actors/",
        "api/deployment.py",
        "api/drain.py",
        "api/metrics.py",
        "api/node_ports.py",
        "api/serve_log.py",
        "parlor_bench/noop.py",
        "parlor_cli/",
    ),
    "fastapi": ("api/", "parlor_bench/noop.py", "parlor_bench/peers/"),
    "starlette": ("api/",),
    "openai": ("parlor/llm/", "parlor_bench/peers/"),
    "mcp": ("parlor/tools/",),
    "obstore": ("parlor/files/",),
}
"""Packages and the only modules that may import them."""

CLOCKS = re.compile(r"^(time\.(time|time_ns|monotonic)|random\.\w+|uuid\.uuid\w+|datetime\.(now|utcnow|today))$")
CLOCK_FREE = ("parlor/",)
CLOCK_HOMES = ("parlor/clock.py", "parlor/store/migrations.py")
"""The ports themselves, and the time that a migration is recorded with."""
SQL = re.compile(r"^\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\s", re.DOTALL)
DOCUMENTS = ("*.md", "docs/**/*.md", "examples/*.md", ".github/**/*.md", "Makefile", "*.yaml", "*.toml")
TEXTS = (".py", ".lua", ".sql", ".js", ".css", ".html", ".toml")
WORDS = {
    re.compile(r"\broll[ _-]?calls?\b|RollCall", re.IGNORECASE): "liveness check",
    re.compile(r"(?<![a-z])steward", re.IGNORECASE): "launcher",
    re.compile(r"(?<![a-z])assembl(?:y|ies)(?![a-z])", re.IGNORECASE): "wiring",
}
"""What is not written anywhere, and what is written instead."""
NICKNAMES = frozenset({"town", "people", "told", "seen", "desk", "world", "site", "rig"})
SEE_WORDS = 'see ARCHITECTURE.md, "## Words"'
FRAGMENT = re.compile(r"Of\b|The same (?:as|for|of)\b|As ``")
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager\d*|impl)$")

GROUP = "asyncio.TaskGroup()"
"""It keeps its tasks, and awaits them."""

Finding = tuple[str, int, str]
"""Path, line, what is wrong."""
Linter = Callable[[str, ast.Module], Iterator[Finding]]
TextLinter = Callable[[str, str], Iterator[Finding]]


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


def client_stands_alone(path: str, tree: ast.Module) -> Iterator[Finding]:
    """The client is a package of its own (``clients/python``): it uses nothing of ours, and only the command line uses
    it."""
    inside = path.startswith(f"{CLIENT}/")
    client = CLIENT.replace("/", ".")
    for name in imported_modules(path, tree):
        of_client = f"{name}.".startswith(f"{client}.")
        if inside and not of_client and name.partition(".")[0] in CODE:
            yield path, 1, f"the client imports {name}"
        if of_client and not inside and not path.startswith("parlor_cli/"):
            yield path, 1, f"{name} is imported here"


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
    if path.startswith(("parlor/store/", *BENCHES)):
        return
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            yield path, node.lineno, "SQL in a string"


def scripts_are_files(path: str, tree: ast.Module) -> Iterator[Finding]:
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "redis.call(" in node.value:
            yield path, node.lineno, "Lua in a string"


def tasks_are_kept(path: str, tree: ast.Module) -> Iterator[Finding]:
    groups = {
        f"{ast.unparse(node.optional_vars)}.create_task"
        for node in nodes(tree)
        if isinstance(node, ast.withitem) and node.optional_vars and ast.unparse(node.context_expr) == GROUP
    }
    for node in nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = ast.unparse(node.value.func)
            if name.endswith(("create_task", "ensure_future")) and name not in groups:
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


def docstrings_are_sentences(path: str, tree: ast.Module) -> Iterator[Finding]:
    """A public definition's docstring can be read without its name or the definition above it."""
    for node in nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node) or ""
            if FRAGMENT.match(text):
                yield path, node.lineno, f"the docstring of {node.name} is a fragment: {text.splitlines()[0]}"


def names_are_no_nicknames(path: str, tree: ast.Module) -> Iterator[Finding]:
    """Modules and classes have names of the field."""
    named = [(1, part) for part in Path(path).with_suffix("").parts]
    named += [(node.lineno, node.name) for node in nodes(tree) if isinstance(node, ast.ClassDef)]
    for line, name in named:
        for word in NICKNAMES.intersection(words_of(name)):
            yield path, line, f"{name}: {word} is a nickname; {SEE_WORDS}"


def dead_letters_are_called_so(path: str, tree: ast.Module) -> Iterator[Finding]:
    named = [(1, Path(path).stem)]
    for node in nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            named.append((node.lineno, node.name))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            named.append((node.lineno, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            named.append((node.lineno, node.attr))
        elif isinstance(node, ast.arg):
            named.append((node.lineno, node.arg))
    for line, name in named:
        words = words_of(name)
        for before, word in zip(["", *words], words, strict=False):
            if word in ("letter", "letters") and before != "dead":
                yield path, line, f"{name}: write dead_{word}; {SEE_WORDS}"


def words_of(name: str) -> list[str]:
    """The words of ``snake_case`` and ``CamelCase`` names, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def words_are_ours(path: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        for banned, instead in WORDS.items():
            if found := banned.search(line):
                yield path, number, f"{found[0]}: write {instead}; {SEE_WORDS}"


class Rule(NamedTuple):
    check: Linter
    planted_at: str
    planted: str
    """A violation, and where it would stand."""
    tests_too: bool = False


RULES: dict[str, Rule] = {
    "arrows": Rule(arrows_go_one_way, "parlor/rooms/room.py", "from actors import gateway"),
    "folders": Rule(arrows_go_one_way, "parlor/cache/rooms.py", "from parlor.rooms.room import Room"),
    "client": Rule(client_stands_alone, "parlor/client/calls.py", "from parlor import errors"),
    "client's users": Rule(client_stands_alone, "parlor/rooms/room.py", "from parlor.client.models import Room"),
    "packages": Rule(packages_stay_at_home, "parlor/rooms/room.py", "from redis.asyncio import Redis"),
    "time": Rule(time_is_injected, "parlor/rooms/room.py", "import time\nnow = time.time()"),
    "sql": Rule(sql_stays_at_home, "parlor/rooms/room.py", "text = 'SELECT a FROM rooms WHERE b'"),
    "lua": Rule(scripts_are_files, "parlor/cache/rooms.py", "text = \"redis.call('GET', 'x')\""),
    "tasks": Rule(tasks_are_kept, "tests/unit/test_room.py", "asyncio.create_task(work())", tests_too=True),
    "exceptions": Rule(
        exceptions_are_not_swallowed,
        "tests/unit/test_room.py",
        "try:\n    f()\nexcept Exception:\n    pass",
        tests_too=True,
    ),
    "classes": Rule(classes_are_explained, "parlor/rooms/room.py", "class Room:\n    def f(self): ..."),
    "names": Rule(modules_say_what_they_are, "tests/unit/room_utils.py", '"""Things."""', tests_too=True),
    "nicknames": Rule(names_are_no_nicknames, "tests/unit/rooms.py", "class TestWorld: ...", tests_too=True),
    "modules": Rule(names_are_no_nicknames, "tests/unit/test_town.py", "", tests_too=True),
    "letters": Rule(dead_letters_are_called_so, "parlor/cache/queue.py", "def drop(letters): ...", tests_too=True),
    "docstrings": Rule(
        docstrings_are_sentences, "parlor/rooms/room.py", 'def title():\n    """Of the room."""', tests_too=True
    ),
}
TEXT_RULES: dict[str, tuple[TextLinter, dict[str, str]]] = {
    "words": (
        words_are_ours,
        {
            "docs/OPERATIONS.md": "The Supervisor makes a roll call.",
            "parlor/wiring.py": "# The assembly of a process",
            "parlor_cli/launcher.py": "class StewardProcess: ...",
        },
    )
}
"""Each with planted violations by where they would stand."""
HERE = ("tests/house_rules.py", "tests/unit/test_house_rules.py")
"""The banned words are written here, and nowhere else."""


def findings(name: str) -> list[Finding]:
    """What breaks a rule, in the whole project."""
    if name in TEXT_RULES:
        check_text = TEXT_RULES[name][0]
        return [finding for path, text in texts().items() for finding in check_text(path, text)]
    rule = RULES[name]
    sources = trees(*CODE, "tests") if rule.tests_too else trees(*CODE)
    return [finding for path, tree in sources.items() for finding in rule.check(path, tree)]


@cache
def texts() -> dict[str, str]:
    """Code, scripts, pages and documents by path; without what others wrote."""
    found = [file for suffix in TEXTS for file in files(*CODE, "sql", "tests", suffix=suffix)]
    found += [file for pattern in DOCUMENTS for file in sorted(ROOT.glob(pattern))]
    paths = {relative(file): file for file in found if "vendor" not in file.parts}
    return {path: file.read_text(encoding="utf-8") for path, file in paths.items() if path not in HERE}


def main() -> int:
    found = sorted({finding for name in (*RULES, *TEXT_RULES) for finding in findings(name)})
    for path, line, wrong in found:
        print(f"{path}:{line}: {wrong}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
