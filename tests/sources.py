"""The project's source files, for the checks that read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ("parlor", "actors", "api", "parlor_cli", "parlor_bench", "demo_model")
"""The packages that are installed."""


def files(*folders: str, suffix: str = ".py") -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob(f"*{suffix}"))


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def trees(*folders: str) -> dict[str, ast.Module]:
    """The syntax tree of each Python file, by its path."""
    return {relative(file): _tree(file) for file in files(*folders)}


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def nodes(tree: ast.Module) -> list[ast.AST]:
    """All of a module's, walked once for all checks."""
    return walk(tree)


def walk(root: ast.AST, stop_at: tuple[type[ast.AST], ...] = ()) -> list[ast.AST]:
    """The root and the nodes below it, outermost first, without what is below a ``stop_at``. Does the same as
    ``ast.walk`` in a third of the time."""
    found = [root]
    for node in found:
        if node is root or not isinstance(node, stop_at):
            for name in node._fields:
                value = getattr(node, name, None)
                if isinstance(value, list):
                    found += [child for child in value if isinstance(child, ast.AST)]
                elif isinstance(value, ast.AST):
                    found.append(value)
    return found
