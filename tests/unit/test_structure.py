"""The shape of the code stays within its limits, and what measures it finds what is planted."""

from __future__ import annotations

import ast
import textwrap

import pytest

from tests import structure
from tests.sources import CODE, trees
from tests.structure import Trees, complaints, file_lengths, functions, imported_modules, measure

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]
"""They read the whole code: 11 s of the processor, and minutes on a machine that does much else."""


def parsed(**modules: str) -> Trees:
    """Planted modules; two underscores in a name are a slash."""
    return {f"{name.replace('__', '/')}.py": ast.parse(textwrap.dedent(text)) for name, text in modules.items()}


def function(text: str) -> structure.Function:
    return next(iter(functions(parsed(planted=text))))


def test_the_code_keeps_to_its_limits() -> None:
    assert list(complaints(trees(*CODE, "tests"), file_lengths())) == []


def test_rooms_are_modules_and_folders() -> None:
    package = measure("house", parsed(house__hall="", house__cellar__wine="", house__cellar__beer="", garden__shed=""))
    assert set(package.imports) == {"hall", "cellar"}


def test_an_init_module_is_a_room_when_it_does_something() -> None:
    silent, busy = {"house/__init__.py": ast.parse('"""A house."""')}, {"house/__init__.py": ast.parse("x = 1")}
    assert set(measure("house", silent).imports) == set()
    assert set(measure("house", busy).imports) == {"__init__"}


def test_an_arrow_is_counted_once_and_not_within_a_room() -> None:
    package = measure(
        "house",
        parsed(
            house__hall="import house.attic\nfrom house.cellar.wine import Bottle\nfrom house import cellar",
            house__cellar__wine="from house.cellar.beer import Keg",
            house__cellar__beer="",
            house__attic="",
        ),
    )
    assert package.imports == {"hall": {"attic", "cellar"}, "cellar": set(), "attic": set()}
    assert package.arrows == 2


@pytest.mark.parametrize(
    "text",
    [
        "import house.attic",
        "import house.attic as top",
        "from house import attic",
        "from house.attic import Trunk",
        "from . import attic",
        "from .attic import Trunk",
        "if TYPE_CHECKING:\n    from house.attic import Trunk",
        "def go():\n    from house.attic import Trunk",
    ],
)
def test_every_form_of_import_counts(text: str) -> None:
    assert measure("house", parsed(house__hall=text, house__attic="")).imports["hall"] == {"attic"}


def test_an_import_from_the_folder_above_is_resolved() -> None:
    planted = ast.parse("from .. import attic\nfrom ..attic import Trunk")
    assert imported_modules("house/cellar/wine.py", planted) == ["house.attic", "house.attic.Trunk"]


def test_floors_are_the_longest_chain() -> None:
    package = measure(
        "house",
        parsed(
            house__a="import house.b\nimport house.d",
            house__b="import house.c",
            house__c="import house.d",
            house__d="",
        ),
    )
    assert package.floor_of == {"a": 4, "b": 3, "c": 2, "d": 1}
    assert (package.floors, package.circles) == (4, [])


def test_a_planted_circle_is_found() -> None:
    sources = parsed(
        parlor__a="import parlor.b",
        parlor__b="import parlor.c",
        parlor__c="import parlor.b",
        parlor__d="import parlor.a",
    )
    package = measure("parlor", sources)
    assert package.circles == [["b", "c"]]
    assert package.floor_of == {"d": 3, "a": 2, "b": 1, "c": 1}
    assert list(complaints(sources, {})) == ["parlor has a circle: b, c"]


def test_a_circle_inside_a_folder_is_found() -> None:
    sources = parsed(parlor__cellar__a="from parlor.cellar import b", parlor__cellar__b="from .a import x")
    assert list(complaints(sources, {})) == ["parlor/cellar has a circle: a, b"]


def test_planted_rooms_floors_and_arrows_are_too_many() -> None:
    chain = {f"parlor__r{n:02}": "".join(f"import parlor.r{m:02}\n" for m in range(n)) for n in range(21)}
    assert list(complaints(parsed(**chain), {})) == [
        "parlor has 21 rooms, 20 at most",
        "parlor has 21 floors, 9 at most",
        "parlor has 210 arrows, 90 at most",
    ]


@pytest.mark.parametrize(("path", "most"), [("tests/a.py", 400), ("parlor/cache/lua/a.lua", 120), ("sql/a.sql", 200)])
def test_a_long_file_is_found(path: str, most: int) -> None:
    assert list(complaints({}, {path: most})) == []
    assert list(complaints({}, {path: most + 1})) == [f"{path} has {most + 1} lines, {most} at most"]


def test_a_planted_long_function_is_found() -> None:
    fits = "def f():\n" + "    x = 1\n" * 59
    assert list(complaints(parsed(planted=fits), {})) == []
    too_long = list(complaints(parsed(planted=f"class C:\n{textwrap.indent(fits + '    x = 1', '    ')}"), {}))
    assert too_long == ["planted.py:2 f has 61 lines, 60 at most"]


def test_a_planted_complex_function_is_found() -> None:
    fits = "async def f():\n" + "    if x: pass\n" * 14
    assert list(complaints(parsed(planted=fits), {})) == []
    assert list(complaints(parsed(planted=fits + "    if x: pass\n"), {})) == [
        "planted.py:1 f has complexity 16, 15 at most"
    ]


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("return 1", 1),
        ("if a:\n    b\nelif c:\n    d\nelse:\n    e", 3),
        ("for a in b:\n    while c:\n        d", 3),
        ("try:\n    a\nexcept B:\n    c\nexcept D:\n    e\nfinally:\n    f", 3),
        ("return a and b and c or d", 4),
        ("return 1 if a else 2", 2),
        ("return [a for a in b if c if d]", 4),
        ("match a:\n    case 1:\n        b\n    case _:\n        c", 3),
        ("with a:\n    assert b", 1),
        ("return lambda: a or b", 2),
    ],
)
def test_complexity_counts_decisions(body: str, complexity: int) -> None:
    assert function("def f():\n" + textwrap.indent(body, "    ")).complexity == complexity


def test_a_function_inside_another_is_counted_by_itself() -> None:
    found = functions(parsed(planted="def outer():\n    if a: pass\n    def inner():\n        if b or c: pass\n"))
    assert [(function.name, function.complexity) for function in found] == [("outer", 2), ("inner", 3)]


def test_the_command_prints_each_package(capsys: pytest.CaptureFixture[str]) -> None:
    structure.main([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(CODE)]] == list(CODE)
    assert all("rooms" in line and "floors" in line and "arrows" in line for line in lines[: len(CODE)])


def test_the_command_prints_a_folder_room_by_room(capsys: pytest.CaptureFixture[str]) -> None:
    structure.main(["parlor/cache/"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("parlor/cache ")
    assert any(line.split()[1] == "connection" for line in lines[1:])
