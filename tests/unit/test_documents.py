"""The documents say what is true: links, paths, names, commands, settings, invariants and decisions exist."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup

from parlor_cli.bearer import FIRST_ACCOUNT
from parlor_cli.commands import app
from tests import settings_page

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
CODE = ("actors", "api", "demo_model", "parlor", "parlor_bench", "parlor_cli", "sql")
ROOTS = (*CODE, "docs", "examples", "requirements", "tests", ".ci", ".github")
documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@documents
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{target}: no such file"
        if anchor:
            assert anchor in anchors(linked), f"{target}: no such heading"


@documents
def test_every_path_in_backticks_exists(path: Path) -> None:
    found = [name for name in spans(path) if re.fullmatch(rf"(?:{'|'.join(map(re.escape, ROOTS))})/[\w./*-]*", name)]
    # A path that begins elsewhere but ends like one of ours is a slip of the pen.
    found += [name for name in spans(path) if re.fullmatch(r"[\w.-]+/[\w./-]+\.(?:py|lua|sql|md|toml|yaml)", name)]
    assert [name for name in found if not any(ROOT.glob(name.rstrip("/")))] == []


@documents
def test_every_name_behind_a_path_is_in_that_file(path: Path) -> None:
    for file, name in re.findall(r"`([\w/]+\.(?:py|lua|sql))`\s`([\w.]+)`", prose(path)):
        source = read(ROOT / file)
        for part in name.split("."):
            defined = rf"^\s*(?:local )?(?:(?:async )?(?:def|class|function) {part}\b|{part}\b\s*[:=])"
            assert re.search(defined, source, re.MULTILINE), f"{file} has no {name}"


@documents
def test_every_parlor_command_and_option_exists(path: Path) -> None:
    for line in re.findall(r"(?:^|[`\s/])parlor ([a-z][^`\n]*)", commands_in(path), re.MULTILINE):
        words = line.split()
        command = find_command(words)
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, f"parlor {line}: no option {word}"


@documents
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"\bPARLOR_([A-Z]+)__([A-Z][A-Z0-9_]*)\b", read(path))
    assert [name for name in named if name not in defaults()] == []


def test_a_command_that_is_not_there_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="no command"):
        find_command(["upp", "--detach"])


def test_every_command_is_in_the_operators_page() -> None:
    page = read(ROOT / "docs/OPERATIONS.md")
    assert [name for name in group().commands if f"`parlor {name}" not in page] == []


def test_the_readme_is_short_and_shows_the_page_first() -> None:
    readme = read(ROOT / "README.md")
    assert readme.count("\n") <= 130
    screen = "\n".join(readme.splitlines()[:45])
    assert all(shown in screen for shown in ("](docs/images/", "make run", "make test", "curl "))


@pytest.mark.parametrize("path", ["README.md", "docs/CONVERSATION.md"])
def test_the_first_conversation_is_of_the_account_that_a_start_signs_in(path: str) -> None:
    """Otherwise the page does not show what was just made in a terminal."""
    assert set(re.findall(r"parlor token (\w+)\)", read(ROOT / path))) == {FIRST_ACCOUNT}


def test_every_page_is_in_the_index() -> None:
    index = read(ROOT / "docs/README.md")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_commands_that_are_not_there_yet_are_told_as_such() -> None:
    """When one of them is made, the documents have to change."""
    assert NOT_YET & set(group().commands) == set()


def test_the_reference_of_settings_is_made_of_their_docstrings() -> None:
    """Run `python -m tests.settings_page` after a change of the settings."""
    assert read(settings_page.PAGE) == settings_page.page()


def test_every_setting_is_explained() -> None:
    named = {f"{section}.{name}": field for section, part in settings_page.sections() for name, field in fields(part)}
    assert [name for name, field in named.items() if not field.description] == []


def test_the_settings_of_the_specification_have_its_defaults() -> None:
    table = read(ROOT / "ARCHITECTURE.md").partition("\n### Settings\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\|[^|]+\| `PARLOR_([A-Z]+)__([A-Z0-9_]+)` \| (\d+|GPT4O)( s)?", table, re.MULTILINE)
    assert len(rows) == 12
    for section, field, number, unit in rows:
        assert defaults()[section, field] == f"`{number}{unit}`"


def test_invariants_are_numbered_without_holes() -> None:
    numbers = [int(name[1:]) for name in invariants()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_invariant_says_where_it_is_enforced_and_which_test_guards_it() -> None:
    for name, (_, enforced, guarded) in invariants().items():
        assert re.search(r"`(?:parlor|actors|api|parlor_cli|sql)/", enforced), name
        tests = re.findall(r"`(tests/[\w/]+\.py)`", guarded)
        assert tests, name
        assert [
            file for file in tests if not re.search(r"^(?:async )?def test_", read(ROOT / file), re.MULTILINE)
        ] == []


def test_invariants_that_code_and_tests_name_exist() -> None:
    assert named_invariants() - invariants().keys() == set()


def test_every_invariant_is_named_in_code_or_tests() -> None:
    assert invariants().keys() == named_invariants()


def test_a_newcomers_ten_questions_are_answered_with_paths_that_exist() -> None:
    section = read(ROOT / "ARCHITECTURE.md").partition("\n## Where is it?\n")[2].partition("\n## ")[0]
    answers = re.findall(r"^\| ([^|]+\?) \| (.+) \|$", section, re.MULTILINE)
    assert len(answers) == 10
    for question, answer in answers:
        paths = re.findall(r"`([\w/]+(?:\.\w+|/))`", answer)
        assert paths, question
        assert [path for path in paths if not (ROOT / path).exists()] == [], question


def test_decisions_are_numbered_without_holes_and_told_in_three_parts() -> None:
    files = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    for file in files:
        text = read(file)
        assert text.startswith(f"# {file.name[:4]} ")
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", text, re.MULTILINE) == ["Context", "Decision", "Consequence"]
        assert 10 <= text.count("\n") <= 30


def test_decisions_that_the_code_names_exist() -> None:
    named = {number for source in sources(*CODE, "tests") for number in re.findall(r"\bADR (\d{4})\b", source)}
    assert named
    assert [number for number in named if not any((ROOT / "docs" / "adr").glob(f"{number}-*.md"))] == []


def test_the_changelog_and_the_readme_tell_the_packages_version() -> None:
    version = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\] - (?:Unreleased|\d{{4}}-\d\d-\d\d)$", changelog(), re.MULTILINE)
    assert f"Version {version}" in read(ROOT / "README.md")


def test_the_notice_names_every_vendored_library() -> None:
    notice = read(ROOT / "NOTICE")
    vendored = [*(ROOT / "api/web/assets/vendor").iterdir(), *(ROOT / "api/web/vendor").iterdir()]
    for folder in (found for found in vendored if found.is_dir()):
        assert f"{folder.relative_to(ROOT)}/LICENSE" in notice


NOT_YET: frozenset[str] = frozenset()
"""Commands that the documents announce."""


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def changelog() -> str:
    return read(ROOT / "CHANGELOG.md")


def prose(path: Path) -> str:
    """Without fenced blocks."""
    return re.sub(r"^```.*?^```", "", read(path), flags=re.MULTILINE | re.DOTALL)


def spans(path: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(path))


def commands_in(path: Path) -> str:
    """Fenced blocks and spans of code, a line each."""
    fenced = re.findall(r"^```(?:text|bash)\n(.*?)^```", read(path), re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *spans(path)])


def anchors(path: Path) -> set[str]:
    """Anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def group() -> TyperGroup:
    """The `parlor` command."""
    found = typer.main.get_command(app)
    assert isinstance(found, TyperGroup)
    return found


def find_command(words: list[str]) -> TyperGroup | TyperCommand:
    """The command that a line calls."""
    found: TyperGroup | TyperCommand = group()
    if words[0] in NOT_YET:
        return found
    for word in words:
        if not isinstance(found, TyperGroup):
            break
        assert word in found.commands, f"no command {' '.join(words)}"
        below = found.commands[word]
        assert isinstance(below, TyperGroup | TyperCommand)
        found = below
    return found


@cache
def defaults() -> dict[tuple[str, str], str]:
    """Every setting's default as the documents write it, by section and field in upper case."""
    return {
        (section.upper(), name.upper()): settings_page.shown(getattr(part, name))
        for section, part in settings_page.sections()
        for name, _ in fields(part)
    }


def fields(section: BaseModel) -> list[tuple[str, FieldInfo]]:
    return list(type(section).model_fields.items())


def invariants() -> dict[str, tuple[str, str, str]]:
    """Statement, places and tests of each."""
    section = read(ROOT / "ARCHITECTURE.md").partition("\n## Invariants\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (I\d+) \| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    return {name: (statement, enforced, guarded) for name, statement, enforced, guarded in rows}


@cache
def named_invariants() -> frozenset[str]:
    """In comments and docstrings: ``(I3)``, ``(I1, I2)``, ``# I4``."""
    mark = re.compile(r"\((I\d+(?:, I\d+)*)\)|(?:#|--) (I\d+)\b")
    marks = (found for source in sources(*CODE, "tests") for found in mark.findall(source))
    return frozenset(name for pair in marks for group in pair for name in group.split(", ") if name)


def sources(*folders: str) -> list[str]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return [read(path) for path in found if path.suffix in {".py", ".lua", ".sql"}]
