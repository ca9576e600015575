"""The form of every Lua script: what a reviewer would check by eye."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import fakeredis
import pytest

from parlor.cache.codes import Code
from parlor.cache.keys import Keys
from parlor.cache.loader import all_names, load, read_header
from parlor.model.ids import Partition

pytestmark = pytest.mark.unit

FOLDER = Path(str(files("parlor.cache"))) / "lua"
SCRIPTS = sorted(FOLDER.glob("*.lua"))
INCLUDES = sorted((FOLDER / "include").glob("*.lua"))
every_file = pytest.mark.parametrize("path", SCRIPTS + INCLUDES, ids=lambda path: path.stem)
every_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)

STANDARD = {
    "ipairs", "pairs", "tonumber", "tostring", "type", "unpack", "next", "select", "assert", "error",
    "redis", "cjson", "string", "math", "table",
}  # fmt: skip
KEYLESS = {"history", "read_keys", "scan_keys"}
"""INFO and SCAN have no key; the whole command comes as an argument, with its keys declared."""
WRITTEN_IN = {"K", "A", "REST", "MORE", "CODE", "is_legal", "SENDABLE"}


def code_of(path: Path) -> str:
    """Without comments and strings."""
    lines = (re.sub(r"--.*", "", line) for line in path.read_text().splitlines())
    return re.sub(r"'[^']*'", "''", "\n".join(lines))


def test_names_are_a_verb_and_a_noun() -> None:
    for path in SCRIPTS:
        assert re.fullmatch(r"(operator_)?[a-z]+_[a-z]+", path.stem), path.stem


@every_file
def test_a_file_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


@every_script
def test_a_header_says_something_under_each_heading(path: Path) -> None:
    header = read_header(path.read_text())
    assert all(said for heading, said in header.items() if heading != "ARGV"), "there may be no arguments"
    assert header["What"].endswith(".")


@every_script
def test_every_code_that_a_header_names_exists_and_every_code_that_is_returned_is_named(path: Path) -> None:
    source = path.read_text()
    returns = read_header(source)["Returns"]
    named = set(re.findall(r"\b[A-Z]{2}[A-Z_]*\b", returns))
    assert named <= set(Code.__members__)
    used = set(re.findall(r"CODE\.([A-Z_]+)", source))
    for include in _all_includes(path):
        used |= set(re.findall(r"CODE\.([A-Z_]+)", include.read_text()))
    if path.stem in ("delete_room", "operator_delete_room"):
        used.discard("GONE")  # it answers DUPLICATE to that
    assert used == named


@every_script
def test_every_key_and_argument_that_is_declared_is_used_and_no_other(path: Path) -> None:
    script = load(path.stem)
    own = code_of(path)
    for table, source, names in (("K", "KEYS", script.keys), ("A", "ARGV", script.arguments)):
        # An include may have a function that this script does not call.
        assert set(re.findall(rf"\b{table}\.(\w+)", own)) <= set(names), table
        places = {int(place) for place in re.findall(rf"\b{source}\[(\d+)\]", script.source)}
        assert places == set(range(1, len(names) + 1)), table


@every_script
def test_what_queues_something_is_told_for_which_request(path: Path) -> None:
    script = load(path.stem)
    assert ("local function enqueue(" in script.source) == ("request" in script.arguments)


@every_file
def test_only_redis_call_pcall_and_error_reply_are_used_of_redis(path: Path) -> None:
    allowed = {"call", "pcall", "error_reply"}
    if path.stem == "check_rights":
        # It asks for what the others may call, and goes without where there are no users.
        allowed = {"acl_check_cmd"}
    assert set(re.findall(r"\bredis\.(\w+)", code_of(path))) <= allowed


@every_file
def test_no_name_is_global(path: Path) -> None:
    code = code_of(path)
    local: set[str] = set()
    for names in re.findall(r"\blocal ([\w, ]+?)(?: =|$)", code, re.MULTILINE):
        local |= {name.strip() for name in names.split(",")}
    local |= set(re.findall(r"\blocal function (\w+)", code))
    for names in re.findall(r"\bfunction \w*\(([\w, .]*)\)", code) + re.findall(r"\bfor ([\w, ]+) (?:in|=)", code):
        local |= {name.strip() for name in names.split(",")}
    assigned = set(re.findall(r"^\s*(\w+)(?:, \w+)* = ", code, re.MULTILINE))
    assert assigned <= local, "assigned without local"
    includes = "".join((FOLDER / "include" / f"{name}.lua").read_text() for name in _includes(path))
    called = set(re.findall(r"(?<![.:\w])(\w+)\(", code)) - {"if", "and", "or", "not", "return", "function", "while"}
    assert called <= local | STANDARD | WRITTEN_IN | set(re.findall(r"local function (\w+)", includes))


@every_file
def test_time_and_chance_come_as_arguments(path: Path) -> None:
    code = path.read_text()
    assert not re.search(r"'(TIME|RANDOMKEY|SRANDMEMBER|HRANDFIELD|ZRANDMEMBER)'|math\.random|os\.", code)


@pytest.mark.parametrize(
    "path", [path for path in SCRIPTS + INCLUDES if path.stem not in KEYLESS], ids=lambda path: path.stem
)
def test_the_first_argument_of_every_command_is_a_declared_key(path: Path) -> None:
    code = "\n".join(re.sub(r"--.*", "", line) for line in path.read_text().splitlines())
    commands = re.findall(r"redis\.p?call\('([A-Z]+)',\s*((?:'[A-Z]+',\s*)?[\w.]+(?:\[[^\]]*\])?)", code)
    assert len(commands) == code.count("redis.call(") + code.count("redis.pcall(")
    # emit() takes its two keys as parameters, so that rooms and accounts share it; its callers pass them from K.
    allowed = {"stream", "holder"} if path.stem == "emit" else set()
    for command, key in commands:
        name = re.sub(r"^'[A-Z]+',\s*", "", key).strip()
        assert re.match(r"K\.\w+$|MORE\[", name) or name in allowed, f"{command} {name}"
    if path.stem != "emit":
        for stream, holder in re.findall(r"\bemit\(([\w.]+), ([\w.]+),", code):
            assert stream.startswith("K.")
            assert holder.startswith("K.")


@every_script
def test_all_keys_of_a_script_share_a_slot(path: Path) -> None:
    """That of their partition, or of their cluster."""
    keys, tags = Keys("x"), set[str]()
    for name in load(path.stem).keys:
        maker = getattr(keys, name)
        places = maker.__code__.co_argcount - 2
        tags.update(re.findall(r"\{[pc]17\}", maker(Partition(17), *["y"] * places)) or [name])
    assert tags <= {"{p17}"} or tags == {"{c17}"}


def _includes(path: Path) -> set[str]:
    return set(re.findall(r"--@include (\w+)", path.read_text()))


def _all_includes(path: Path) -> set[Path]:
    """Also those of the includes."""
    own = {FOLDER / "include" / f"{name}.lua" for name in _includes(path)}
    return own.union(*map(_all_includes, own))


@every_script
def test_nothing_is_included_that_is_not_used(path: Path) -> None:
    source = path.read_text()
    body = source.split("\n--@include", 1)[-1]
    for name in _includes(path):
        functions = re.findall(r"local function (\w+)", (FOLDER / "include" / f"{name}.lua").read_text())
        assert any(re.search(rf"\b{function}\(", body) for function in functions), name


@pytest.mark.parametrize("name", all_names())
async def test_every_script_compiles(name: str) -> None:
    redis = fakeredis.FakeAsyncRedis()
    assert await redis.script_load(load(name).source) in (load(name).sha, load(name).sha.encode())
    await redis.aclose()
