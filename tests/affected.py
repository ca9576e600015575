"""The unit tests that a change can reach: ``python -m tests.affected [base]`` prints their modules for ``make check``.

A change is what differs from where the branch left ``base`` (``origin/main``, else ``main``), committed or not. A
module is reached by what it imports, itself or through others, by the modules and files that its strings name, and,
below ``tests/``, by the fixtures that it takes. In doubt it is all of them: without a base, and after a change of
``EVERYTHING`` or of a file that nothing here is about.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tests.sources import CODE, ROOT, nodes, trees, walk
from tests.structure import Trees, imported_modules, reached

ALL = ("tests/unit",)
TESTS = "tests/unit/*test_*.py"
ALWAYS = ("tests/unit/test_documents.py", "tests/unit/test_house_rules.py", "tests/unit/test_structure.py")
"""They read all code, or all documents."""
EVERYTHING = ("*conftest.py", "pyproject.toml", "requirements/*", "Makefile", "tests/sources.py")
OTHERS: dict[str, tuple[str, ...]] = {
    "parlor/cache/lua/*": ("parlor/cache/loader.py",),
    "sql/*": ("parlor/store/sql_files.py",),
    "parlor/llm/personas.toml": ("parlor/llm/personas.py",),
    "api/web/*": ("api/web_files.py",),
    "clients/js/*": ("api/web_files.py",),
    **dict.fromkeys(
        ("*.md", "NOTICE", "docs/*", "deploy/*", "clients/python/*", "examples/*", ".ci/*", ".github/*"), ()
    ),
    **dict.fromkeys(("tests/integration/javascript/*", "tests/chaos/seeds.txt"), ()),
}
"""What is no module of ours, and the modules that change with it, besides those that name it in a string."""
NAMED = re.compile(rf"\b(?:{'|'.join((*CODE, 'tests'))})(?:\.\w+)+")


def affected(changed: Iterable[str], sources: Trees) -> list[str]:
    """The unit tests that these files can reach, sorted; ``ALL`` in doubt."""
    files = set(changed)
    if (unknown := next((file for file in sorted(files) if _is_everything(file)), None)) is not None:
        print(f"all unit tests: {unknown} has changed", file=sys.stderr)
        return list(ALL)
    readers = {path for path, tree in sources.items() if path.startswith("tests/") and _reads(tree, files)}
    importers = _importers(sources, {file for file in files if file.endswith(".py")})
    importers[""] = files | readers | {module for file in files for rule in _rules(file) for module in rule}
    return sorted({path for path in reached("", importers) if fnmatch(path, TESTS)}.intersection(sources).union(ALWAYS))


def _importers(sources: Trees, changed: set[str]) -> dict[str, set[str]]:
    """Who uses each module. One that is gone is still imported by those that forgot about it."""
    known = changed.union(sources)
    found: dict[str, set[str]] = {}
    for path, tree in sources.items():
        for name in _uses(path, tree, sources):
            for other in _modules(name) & known:
                found.setdefault(other, set()).add(path)
    return found


def _rules(file: str) -> list[tuple[str, ...]]:
    return [modules for pattern, modules in OTHERS.items() if fnmatch(file, pattern)]


def _is_everything(file: str) -> bool:
    is_module = file.endswith(".py") and file.startswith(tuple(f"{folder}/" for folder in (*CODE, "tests")))
    return any(fnmatch(file, pattern) for pattern in EVERYTHING) or not (is_module or _rules(file))


def _modules(name: str) -> set[str]:
    """The files that a dotted name may stand for: a module, those of the packages around it, or what is in them."""
    parts = name.split(".")
    stems = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return {file for stem in stems for file in (f"{stem}.py", f"{stem}/__init__.py")}


def _uses(path: str, tree: ast.Module, sources: Trees) -> set[str]:
    """Dotted names of what a module imports, names in strings, or gets by fixtures."""
    texts = _texts(tree)
    names = {*imported_modules(path, tree), *(name for text in texts for name in NAMED.findall(text))}
    names |= {f"{package}.__main__" for package in CODE if package in texts}
    if path.startswith("tests/"):
        wanted = texts | {node.arg for node in nodes(tree) if isinstance(node, ast.arg)}
        for folder in PurePosixPath(path).parents:
            if (conftest := sources.get(f"{folder}/conftest.py")) is not None and path != f"{folder}/conftest.py":
                names |= _taken(conftest, wanted)
    return names


def _taken(conftest: ast.Module, wanted: set[str]) -> set[str]:
    """What a conftest imports for the fixtures that are wanted, and for what it does for every test."""
    imports = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes(conftest)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    needs: dict[str, set[str]] = {}
    for node in conftest.body:
        named = _names(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            needs[node.name] = named
            if node.name.startswith("pytest_") or any("autouse=True" in ast.unparse(by) for by in node.decorator_list):
                wanted = wanted | {node.name}
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            needs |= dict.fromkeys(named, named)
    found, waiting = set[str](), [*wanted]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return {imports[name] for name in found & imports.keys()}


def _names(root: ast.AST) -> set[str]:
    found = walk(root)
    return {node.id for node in found if isinstance(node, ast.Name)} | {
        node.arg for node in found if isinstance(node, ast.arg)
    }


def _texts(tree: ast.Module) -> set[str]:
    """The strings of a module that are no docstrings."""
    said = {id(node.value) for node in nodes(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in nodes(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
    }


def _reads(tree: ast.Module, files: Iterable[str]) -> bool:
    """Whether a module that looks for files from the project's root, or its own, has a word for one of these."""
    if not any(isinstance(node, ast.Name) and node.id in ("ROOT", "__file__") for node in nodes(tree)):
        return False
    texts = [text.strip("/") for text in _texts(tree)]
    return any(
        text in file.split("/") or f"{file}/".startswith(f"{text}/") or fnmatch(file, text)
        for file in files
        for text in texts
        if text
    )


def changes(base: str | None, root: Path = ROOT) -> list[str] | None:
    """The files that differ from where the branch left its base; None when there is no base."""
    for name in (base,) if base else ("origin/main", "main"):
        fork = _git(root, "merge-base", "HEAD", name)
        if fork:
            differ = _git(root, "diff", "--name-only", "--no-renames", "-z", fork[0].strip(), "--")
            fresh = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
            return None if differ is None or fresh is None else [*differ, *fresh]
    return None


def _git(root: Path, *arguments: str) -> list[str] | None:
    """The lines or fields that git prints; None when it fails, or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [field for field in done.stdout.split("\0") if field]


def main(arguments: list[str]) -> int:
    changed = changes(arguments[0] if arguments else None)
    if changed is None:
        print("all unit tests: there is no base to compare with", file=sys.stderr)
    print(*(ALL if changed is None else affected(changed, trees(*CODE, "tests"))), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
