"""What a change can reach is found from the sources, and in doubt it is everything."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.affected import ALL, ALWAYS, OTHERS, affected, changes
from tests.sources import ROOT
from tests.structure import Trees

pytestmark = pytest.mark.unit

ROOM, STORE = "parlor/rooms/room.py", "parlor/store/rows.py"
TEST = "tests/unit/test_it.py"


def parsed(modules: dict[str, str]) -> Trees:
    """Planted modules, and a test of something else."""
    other = {"tests/unit/test_other.py": "import parlor.model.ids"}
    return {path: ast.parse(text) for path, text in (other | modules).items()}


def reached(changed: str, modules: dict[str, str]) -> set[str]:
    return {*affected([changed], parsed(modules))}.difference(ALWAYS)


@pytest.mark.parametrize(
    "text",
    [
        "from parlor.rooms.room import Room",
        "from parlor.rooms import room",
        "import parlor.rooms.room as house",
        "def test_it():\n    from parlor.rooms.room import Room",
        "def test_it(patch):\n    patch.setattr('parlor.rooms.room.LIMIT', 3)",
        "PROGRAM = f'import parlor.rooms.room; {print}'",
        "ROOT = Path(__file__).parents[2]\nfound = (ROOT / 'parlor').rglob('*.py')",
        "from tests.sources import ROOT\nfound = ROOT.glob('parlor/**/*.py')",
    ],
)
def test_a_test_is_reached_by_what_it_imports_names_or_reads(text: str) -> None:
    assert reached(ROOM, {ROOM: "", TEST: text}) == {TEST}


def test_it_is_reached_through_other_modules_and_packages() -> None:
    chain = {
        ROOM: "",
        "api/app.py": "from actors import gateway",
        "actors/gateway.py": "from parlor import rooms",
        "parlor/rooms/__init__.py": "from parlor.rooms.room import Room",
        "tests/unit/fake_gateway.py": "import api.app",
        TEST: "from tests.unit.fake_gateway import FakeGateway",
    }
    assert reached(ROOM, chain) == {TEST}
    assert reached("parlor/rooms/__init__.py", chain) == {TEST}
    assert reached("api/app.py", chain) == {TEST}
    assert reached(TEST, chain) == {TEST}


@pytest.mark.parametrize(
    "text",
    [
        "from parlor.rooms import claim",
        "from parlor.rooms.roomy import Room",
        '"""Stands in for ``parlor.rooms.room``."""',
        "found = (Path('/proc') / 'parlor').rglob('*.py')",
    ],
)
def test_what_only_looks_alike_is_not_reached(text: str) -> None:
    assert reached(ROOM, {ROOM: "", "parlor/rooms/roomy.py": "", TEST: text}) == set()


def test_a_program_is_reached_where_its_package_is_named() -> None:
    script = "demo_model/script.py"
    texts = {"demo_model/__main__.py": "import demo_model.script", script: "", TEST: "RUN = ['-m', 'demo_model']"}
    assert reached(script, texts) == {TEST}


def test_a_module_that_is_gone_reaches_those_that_forgot_about_it() -> None:
    assert reached(ROOM, {TEST: "from parlor.rooms.room import Room"}) == {TEST}


CONFTEST = """
from parlor.rooms.room import Room
from parlor.store.rows import rows as written
from tests.unit.fakes import clock

LIMITS = Limits(written)

@pytest.fixture
def room(limits):
    return Room(limits)

@pytest.fixture
def limits():
    return LIMITS
"""


@pytest.mark.parametrize(
    ("changed", "takes", "is_reached"),
    [
        (ROOM, "room", True),
        (ROOM, "limits", False),
        (ROOM, "tmp_path", False),
        (STORE, "room", True),
        (STORE, "limits", True),
        ("tests/unit/fakes.py", "clock", True),
    ],
)
def test_it_is_reached_through_the_fixtures_that_it_takes(changed: str, takes: str, is_reached: bool) -> None:
    texts = {ROOM: "", STORE: "", "tests/unit/fakes.py": "", "tests/conftest.py": CONFTEST}
    for text in (f"def test_it({takes}): ...", f"pytestmark = pytest.mark.usefixtures({takes!r})"):
        assert reached(changed, texts | {TEST: text}) == ({TEST} if is_reached else set())


@pytest.mark.parametrize("head", ["@pytest.fixture(autouse=True)\ndef _made():", "def pytest_collection(session):"])
def test_what_is_done_for_every_test_reaches_every_test(head: str) -> None:
    conftest = f"from parlor.rooms.room import Room\n{head}\n    Room()"
    texts = {"tests/unit/conftest.py": conftest, "tests/unit/rooms/test_room.py": "", "tests/chaos/test_it.py": ""}
    assert reached(ROOM, texts) == {"tests/unit/rooms/test_room.py", "tests/unit/test_other.py"}


def test_other_files_change_with_the_modules_that_read_them() -> None:
    texts = {
        "parlor/cache/loader.py": "",
        "parlor/cache/rooms.py": "from parlor.cache.loader import load",
        TEST: "import parlor.cache.rooms",
    }
    assert reached("parlor/cache/lua/append_turn.lua", texts) == {TEST}
    assert reached("sql/0001_tables.sql", texts) == set()
    reads = "FILE = Path(__file__).parents[2] / 'docs' / 'SCALE.md'"
    assert reached("docs/SCALE.md", {TEST: reads}) == {TEST}
    assert reached("deploy/prometheus/alerts.yaml", {TEST: reads}) == set()


@pytest.mark.parametrize(
    "changed",
    [
        "pyproject.toml",
        "requirements/dev.lock",
        "Makefile",
        "tests/conftest.py",
        "tests/unit/api/conftest.py",
        "new.file",
    ],
)
def test_in_doubt_it_is_all_of_them(changed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert affected(["README.md", changed], parsed({})) == list(ALL)
    assert changed in capsys.readouterr().err


def test_what_the_rules_name_is_there() -> None:
    named = {*ALWAYS, *(module for modules in OTHERS.values() for module in modules)}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A branch of a repository, one commit behind its base."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in ("kept", "edited", "staged", "removed", "moved"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "-b", "change")
    (tmp_path / "committed").touch()
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "main")
    (tmp_path / "theirs").touch()
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "change")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, timeout=60, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=A change")


def test_a_change_is_what_differs_from_where_the_branch_began(clone: Path) -> None:
    assert changes(None, clone) == ["committed"]
    (clone / "edited").write_text("another\n")
    (clone / "staged").write_text("another\n")
    git(clone, "add", "staged")
    (clone / "removed").unlink()
    git(clone, "mv", "moved", "to here")
    for name in ("fresh", "ignored"):
        (clone / name).touch()
    found = ["committed", "edited", "fresh", "moved", "removed", "staged", "to here"]
    assert sorted(changes(None, clone) or ()) == found
    assert sorted(changes("HEAD", clone) or ()) == found[1:]


def test_the_remote_main_comes_before_ones_own(clone: Path) -> None:
    git(clone, "update-ref", "refs/remotes/origin/main", "change")
    assert changes(None, clone) == []


def test_without_a_base_nothing_is_known(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert changes("no-such-branch", clone) is None
    git(clone, "branch", "--delete", "--force", "main")
    assert changes(None, clone) is None
    assert changes(None, tmp_path_factory.mktemp("tarball")) is None
