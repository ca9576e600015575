"""The loader: what it reads from a script's header, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parlor.cache.loader import all_names, build_script, load, read_header
from parlor.model.states import MESSAGE_TRANSITIONS, ROOM_TRANSITIONS, SENDABLE
from parlor.model.tools import TOOL_TRANSITIONS

pytestmark = pytest.mark.unit

HEADER = """-- What: something.
-- KEYS: room states
-- ARGV: claim now
--       seq
--       claim is a token
-- Returns: OK
-- Guarantees: none
-- Safe to repeat because: it does nothing
"""


def script(folder: Path, source: str, **includes: str) -> Path:
    (folder / "include").mkdir(exist_ok=True)
    (folder / "a_script.lua").write_text(source)
    for name, text in includes.items():
        (folder / "include" / f"{name}.lua").write_text(text)
    return folder


def test_keys_and_arguments_are_read_from_the_header(tmp_path: Path) -> None:
    made = build_script(script(tmp_path, HEADER + "return 1\n"), "a_script")
    assert (made.keys, made.more) == (("room", "states"), False)
    assert (made.arguments, made.rest) == (("claim", "now", "seq"), False)


def test_a_star_takes_what_follows(tmp_path: Path) -> None:
    header = HEADER.replace("room states", "room *others").replace("--       seq\n", "--       *seqs\n")
    made = build_script(script(tmp_path, header + "return 1\n"), "a_script")
    assert (made.keys, made.more, made.arguments, made.rest) == (("room",), True, ("claim", "now"), True)
    assert made.command({"room": "r"}, {"claim": "c", "now": 1}, [7, 8], ["x", "y", "z"]) == (
        made.sha,
        4,
        "r",
        "x",
        "y",
        "z",
        "c",
        1,
        7,
        8,
    )
    assert "local MORE = {}\nfor i = 2, #KEYS" in made.source
    assert "local REST = {}\nfor i = 3, #ARGV" in made.source


def test_names_become_their_places_in_the_header(tmp_path: Path) -> None:
    folder = script(
        tmp_path,
        HEADER + "--@include other\nreturn {K.room, K.states, A.claim, A.now, A.seq, CODE.FENCED}\n",
        other="local function unused() return K.lease end\n",
    )
    made = build_script(folder, "a_script")
    assert made.source.endswith("return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], -1}\n")
    # A function that this script does not call.
    assert "return nil end" in made.source
    # The caller's order does not matter.
    assert made.command({"states": "s", "room": "r"}, {"seq": 3, "now": 2, "claim": "c"}) == (
        made.sha,
        2,
        "r",
        "s",
        "c",
        2,
        3,
    )


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ({"room": "r"}, {"claim": "c", "now": 1, "seq": 1}),
        ({"room": "r", "states": "s", "open": "o"}, {"claim": "c", "now": 1, "seq": 1}),
        ({"room": "r", "states": "s"}, {"claim": "c", "now": 1}),
        ({"room": "r", "states": "s"}, {"claim": "c", "now": 1, "seq": 1, "text": ""}),
    ],
)
def test_a_missing_or_unknown_name_is_a_type_error(
    tmp_path: Path, keys: dict[str, str], arguments: dict[str, str | int | bytes]
) -> None:
    made = build_script(script(tmp_path, HEADER + "return 1\n"), "a_script")
    with pytest.raises(TypeError, match="a_script"):
        made.command(keys, arguments)


def test_what_follows_is_taken_only_where_the_header_says_so(tmp_path: Path) -> None:
    made = build_script(script(tmp_path, HEADER + "return 1\n"), "a_script")
    keys, arguments = {"room": "r", "states": "s"}, {"claim": "c", "now": "1", "seq": "1"}
    with pytest.raises(TypeError):
        made.command(keys, {**arguments}, ["more"])
    with pytest.raises(TypeError):
        made.command(keys, {**arguments}, [], ["more"])


@pytest.mark.parametrize("heading", ["What", "KEYS", "ARGV", "Returns", "Guarantees", "Safe to repeat because"])
def test_an_incomplete_header_is_refused(tmp_path: Path, heading: str) -> None:
    source = HEADER.replace(f"-- {heading}:", "-- Other:") + "return 1\n"
    with pytest.raises(ValueError, match=heading):
        build_script(script(tmp_path, source), "a_script")


def test_an_include_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        build_script(script(tmp_path, HEADER + "--@include nowhere\nreturn 1\n"), "a_script")


def test_an_include_comes_in_once_although_two_want_it(tmp_path: Path) -> None:
    folder = script(
        tmp_path,
        HEADER + "--@include one\n--@include two\nreturn 1\n",
        one="--@include shared\nlocal one = 1\n",
        two="--@include shared\nlocal two = 1\n",
        shared="local shared = 1\n",
    )
    source = build_script(folder, "a_script").source
    assert source.count("local shared = 1") == 1
    assert source.index("local shared") < source.index("local one") < source.index("local two")


def test_includes_that_want_each_other_come_in_once_each(tmp_path: Path) -> None:
    folder = script(
        tmp_path,
        HEADER + "--@include one\nreturn 1\n",
        one="--@include two\nlocal one = 1\n",
        two="--@include one\nlocal two = 1\n",
    )
    source = build_script(folder, "a_script").source
    assert (source.count("local one = 1"), source.count("local two = 1")) == (1, 1)


def test_only_tables_that_are_read_are_written_in(tmp_path: Path) -> None:
    plain = build_script(script(tmp_path, HEADER + "return 1\n"), "a_script").source
    assert not any(f"local {table} =" in plain for table in ("LEGAL", "SENDABLE"))
    reading = build_script(
        script(tmp_path, HEADER + "return {is_legal('room', 1, 2), SENDABLE.ACTIVE}\n"), "a_script"
    ).source
    assert all(f"local {table} =" in reading for table in ("LEGAL", "SENDABLE"))


def test_a_code_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no code FANCED"):
        build_script(script(tmp_path, HEADER + "return {CODE.FANCED}\n"), "a_script")


def test_the_legal_steps_in_the_scripts_are_those_of_the_table() -> None:
    source = load("decide_call").source
    for kind, table in (("message", MESSAGE_TRANSITIONS), ("room", ROOM_TRANSITIONS), ("call", TOOL_TRANSITIONS)):
        found = re.search(rf"\b{kind} = ' ([^']*) '", source)
        assert found is not None
        assert set(found[1].split()) == {f"{state}>{to}" for state, nexts in table.items() for to in nexts}
    assert (
        f"local SENDABLE = {{{', '.join(f'{state} = true' for state in sorted(SENDABLE))}}}"
        in load("append_turn").source
    )


def test_a_part_of_a_header_goes_on_over_several_lines() -> None:
    parts = read_header("-- What: one\n--       two\n-- KEYS: a b\n--@include x\n-- Returns: not any more\n")
    assert parts == {"What": "one\ntwo", "KEYS": "a b"}


def test_every_script_loads_and_has_a_digest_of_its_own() -> None:
    scripts = [load(name) for name in all_names()]
    assert len({made.sha for made in scripts}) == len(scripts) > 20
    assert load("claim_room") is load("claim_room")
