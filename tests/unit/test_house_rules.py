"""The house rules hold, and each finds what is planted."""

from __future__ import annotations

import ast

import pytest

from tests import house_rules
from tests.house_rules import HERE, MAY_IMPORT, RULES, TEXT_RULES, findings, texts
from tests.sources import CODE

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]
"""They read the whole code: 11 s of the processor, and minutes on a machine that does much else."""


@pytest.mark.timeout(300)  # the first one parses every file: a quarter of a minute of processor time
@pytest.mark.parametrize("name", [*RULES, *TEXT_RULES])
def test_the_rule_holds(name: str) -> None:
    assert findings(name) == []


@pytest.mark.parametrize("name", RULES)
def test_the_rule_bites(name: str) -> None:
    rule = RULES[name]
    assert list(rule.check(rule.planted_at, ast.parse(rule.planted)))


@pytest.mark.parametrize(
    ("name", "path", "planted"),
    [(name, *plant) for name, (_, plants) in TEXT_RULES.items() for plant in plants.items()],
)
def test_the_rule_about_texts_bites(name: str, path: str, planted: str) -> None:
    assert list(TEXT_RULES[name][0](path, planted))


def test_a_task_group_keeps_its_tasks_and_nothing_else_of_that_name_does() -> None:
    kept = "async def f():\n    async with asyncio.TaskGroup() as group:\n        group.create_task(work())"
    assert list(house_rules.tasks_are_kept("parlor/a.py", ast.parse(kept))) == []
    lost = kept.replace("asyncio.TaskGroup()", "opened()")
    assert [line for _, line, _ in house_rules.tasks_are_kept("parlor/a.py", ast.parse(lost))] == [3]


@pytest.mark.parametrize("planted", ["Of a room.", "Of the room.", "The same for rooms.", "As ``page``, but all."])
def test_every_form_of_fragment_is_found(planted: str) -> None:
    tree = ast.parse(f'class Room:\n    def title(self):\n        """{planted}"""')
    assert [line for _, line, _ in house_rules.docstrings_are_sentences("parlor/a.py", tree)] == [2]


@pytest.mark.parametrize("word", ["town", "people", "told", "seen", "desk", "world", "site", "rig"])
def test_every_nickname_is_found(word: str) -> None:
    assert list(house_rules.names_are_no_nicknames("tests/unit/a.py", ast.parse(f"class Test{word.title()}: ...")))
    assert list(house_rules.names_are_no_nicknames(f"tests/unit/fake_{word}.py", ast.parse("")))


@pytest.mark.parametrize(
    "planted", ["letter = 1", "self.letters = 1", "class LetterBox: ...", "def drop(letters): ..."]
)
def test_dead_letters_without_their_name_are_found(planted: str) -> None:
    assert list(house_rules.dead_letters_are_called_so("parlor/a.py", ast.parse(planted)))


def test_words_of_which_others_are_a_part_may_be_used() -> None:
    planted = ast.parse("class PeopledRigging: ...\nclass DeadLetters: ...\ndead_letter = 1")
    assert list(house_rules.names_are_no_nicknames("parlor/oversite.py", planted)) == []
    assert list(house_rules.dead_letters_are_called_so("parlor/dead_letters.py", planted)) == []


def test_who_breaks_the_rule_about_words_is_led_to_the_words() -> None:
    ((_, line, wrong),) = house_rules.words_are_ours("parlor/a.py", "#\n# a roll call")
    assert (line, wrong) == (2, 'roll call: write liveness check; see ARCHITECTURE.md, "## Words"')


def test_all_kinds_of_texts_are_read() -> None:
    assert {
        "parlor/wiring.py",
        "ARCHITECTURE.md",
        "docs/OPERATIONS.md",
        "Makefile",
        "ray_cluster.yaml",
    } <= texts().keys()
    assert any(path.endswith(".lua") for path in texts())
    assert any(path.endswith(".sql") for path in texts())
    assert not texts().keys() & set(HERE)


def test_every_package_has_its_arrows() -> None:
    assert {name for name in MAY_IMPORT if "/" not in name} == set(CODE)
