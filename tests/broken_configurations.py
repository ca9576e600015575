"""Configurations that `parlor up` refuses: variables, files and options by name, and what the refusal says."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

PERSONA = '[[personas]]\nname = "GPT4O"\ntitle = "x"\nsystem_prompt = "y"\nmodel = "m"\n'


class Case(msgspec.Struct, frozen=True):
    """A configuration: variables, files by name, options; and what the refusal says."""

    said: list[str]
    variables: dict[str, str] = {}
    files: dict[str, str | bytes] = {}
    options: list[str] = []
    folders: list[str] = []
    """Where a file should be."""

    def lay_out(self, directory: Path) -> None:
        """Makes the files and folders there."""
        for name, content in self.files.items():
            (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        for name in self.folders:
            (directory / name).mkdir()

    def check_refusal(self, output: str, errors: str) -> None:
        """Asserts that what the command printed says what is wrong, and no secret."""
        assert [said for said in self.said if said not in errors] == [], errors
        assert "Traceback" not in errors
        assert "hunter2" not in output + errors


def variable(name: str, value: str, *said: str) -> Case:
    return Case([f"{name} in the environment", *said], {name: value})


def personas(text: str | bytes | None, *said: str) -> Case:
    """A personas file, or none where the variable says that there is one."""
    where = ["PARLOR_LLM__PERSONAS_FILE in the environment is 'mine.toml'", "mine.toml", *said]
    files = {} if text is None else {"mine.toml": text}
    return Case(where, {"PARLOR_LLM__PERSONAS_FILE": "mine.toml"}, files)


def parlor_toml(text: str, *said: str) -> Case:
    return Case(["parlor.toml", *said], files={"parlor.toml": text})


def option(name: str, value: str, *said: str) -> Case:
    return Case([name, *said], options=[name, value])


def scrubbed() -> dict[str, str]:
    """The environment without settings of the person who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PARLOR_", "OPENAI_"))}


CASES = {
    "default-persona": variable("PARLOR_LLM__DEFAULT_PERSONA", "GPT40", "'GPT40'", "did you mean GPT4O?"),
    "default-persona-not-in-own-file": Case(
        ["PARLOR_LLM__DEFAULT_PERSONA (default) is 'GPT4O'", "mine.toml has no such persona, it has ADA"],
        {"PARLOR_LLM__PERSONAS_FILE": "mine.toml"},
        {"mine.toml": PERSONA.replace("GPT4O", "ADA")},
    ),
    "personas-missing": personas(None, "No such file"),
    "personas-no-toml": personas("[[personas]\n", "not valid TOML", "line 1"),
    "personas-no-utf-8": personas(b"\xff", "cannot be read"),
    "personas-empty": personas("", "needs one or more [[personas]] tables"),
    "personas-twice": personas(PERSONA + PERSONA, "entry 2", "field 'name'", "'GPT4O'"),
    "persona-unknown-field": personas(PERSONA + 'modle = "x"', "entry 1 (GPT4O)", "'modle'", "did you mean model?"),
    "persona-missing-field": personas(PERSONA.replace('model = "m"', ""), "entry 1 (GPT4O)", "'model' is missing"),
    "persona-wrong-type": personas(PERSONA + 'max_tokens = "many"', "entry 1 (GPT4O)", "'max_tokens' is 'many'"),
    "persona-out-of-bounds": personas(PERSONA + "temperature = 9", "entry 1 (GPT4O)", "'temperature' is 9"),
    "unknown-section": variable("PARLOR_LLMM__BASE_URL", "http://h", "did you mean PARLOR_LLM__BASE_URL?"),
    "one-underscore": variable("PARLOR_LLM_BASE_URL", "http://h", "did you mean PARLOR_LLM__BASE_URL?"),
    "unknown-field": variable("PARLOR_LLM__BASEURL", "http://h", "did you mean PARLOR_LLM__BASE_URL?"),
    "no-section": variable("PARLOR_BASE_URL", "http://h", "did you mean PARLOR_LLM__BASE_URL?"),
    "url-without-scheme": variable("PARLOR_LLM__BASE_URL", "localhost:11434/v1", "'localhost:11434/v1'", "http://"),
    "url-in-quotes": variable("PARLOR_LLM__BASE_URL", '"http://h/v1"', "quotes"),
    "url-with-blanks": variable("PARLOR_LLM__BASE_URL", " http://h/v1 ", "blanks"),
    "url-that-is-none": variable("PARLOR_LLM__BASE_URL", "not a url", "'not a url'"),
    "url-of-ftp": variable("PARLOR_LLM__BASE_URL", "ftp://h/v1", "'ftp://h/v1'"),
    "url-with-the-call": variable("PARLOR_LLM__BASE_URL", "http://h/v1/chat/completions", "leave out"),
    "key-in-quotes": variable("PARLOR_LLM__API_KEY", '"sk-hunter2"', "quotes"),
    "key-of-two-lines": variable("OPENAI_API_KEY", "sk-hunter2\nsk-hunter2", "cannot be"),
    "model-with-blanks": variable("PARLOR_LLM__MODEL", "llama3 ", "'llama3 '", "blanks"),
    "provider": variable("PARLOR_LLM__PROVIDER", "no_such_package:Model", "'no_such_package:Model'", "No module"),
    "duration": variable("PARLOR_QUEUE__BATCH_INTERVAL", "7x", "'7x'", "1h30m"),
    "duration-negative": variable("PARLOR_LLM__IDLE_TIMEOUT", "-7", "'-7'"),
    "duration-too-long": variable("PARLOR_CACHE__STATE_TTL", "99999999999999", "'99999999999999'", "may not exceed"),
    "number": variable("PARLOR_API__PORT", "http", "'http'", "integer"),
    "number-out-of-bounds": variable("PARLOR_STORE__PARTITIONS", "5000", "'5000'", "4096"),
    "choice": variable("PARLOR_LOG__LEVEL", "loud", "'loud'", "'debug'"),
    "contradiction": Case(
        ["[rooms]", "actors_min is 3", "actors_max, 2"],
        {"PARLOR_ROOMS__ACTORS_MIN": "3", "PARLOR_ROOMS__ACTORS_MAX": "2"},
    ),
    "secret-too-short": variable("PARLOR_AUTH__SECRET", "hunter2", "7 bytes", "32"),
    "list": variable("PARLOR_STORE__URLS", "[mysql://u:hunter2@h/d]", "not a JSON list"),
    "database-scheme": variable("PARLOR_STORE__URLS", "postgres://u:hunter2@h/d", "postgres://"),
    "database-without-name": variable("PARLOR_STORE__URLS", "mysql://u:hunter2@h", "mysql://user:password@host"),
    "database-twice": variable("PARLOR_STORE__URLS", '["mysql://h/d", "mysql://h/d"]', "the same one"),
    "database-option": option("--mysql-url", "mysql://u:hunter2@h/d?charset=utf8", "charset"),
    "redis-scheme": option("--redis-url", "http://:hunter2@h", "'http://:***@h'", "redis://"),
    "redis-database": option("--redis-url", "redis://:hunter2@h/cache", "'redis://:***@h/cache'", "number"),
    "redis-option": option("--redis-url", "redis://:hunter2@h/0?retires=3", "no option retires"),
    "default-shard": variable("PARLOR_STORE__DEFAULT_SHARD", "3", "'3'", "2 shards"),
    "toml-syntax": parlor_toml("[api\n", "line 1"),
    "toml-section": parlor_toml("[lllm]\n", "[lllm]", "did you mean llm?"),
    "toml-key": parlor_toml("[llm]\nmodle = 'x'\n", "[llm] modle", "did you mean model?"),
    "toml-key-of-another-section": parlor_toml("[api]\nmodel = 'x'\n", "[api] model", "[llm]"),
    "toml-is-a-folder": Case(["parlor.toml: it cannot be read", "directory"], folders=["parlor.toml"]),
    "toml-of-utf-16": Case(["parlor.toml: it cannot be read"], files={"parlor.toml": "[api]\n".encode("utf-16")}),
    "toml-true": parlor_toml("[api]\nport = true\n", "[api] port", "True", "not true"),
    "toml-section-is-a-value": parlor_toml("api = 5\n", "api in", "5"),
    "toml-key-without-section": parlor_toml("port = 1\n", "port in", "[api]"),
    "toml-duration-endless": parlor_toml("[llm]\nidle_timeout = inf\n", "[llm] idle_timeout", "inf"),
    "personas-are-a-folder": Case(
        ["mine.toml: it cannot be read", "directory"], {"PARLOR_LLM__PERSONAS_FILE": "mine.toml"}, folders=["mine.toml"]
    ),
    "personas-with-a-nul": personas(PERSONA.replace("y", "\0"), "not valid TOML"),
    "persona-temperature-of-nan": personas(PERSONA + "temperature = nan\n", "'temperature' is nan"),
    "persona-name-with-a-bell": personas(PERSONA.replace("GPT4O", "GPT4O\\u0007"), "'name'"),
    "comment-in-a-variable": variable("PARLOR_API__PORT", "8000 # mine", "'8000 # mine'"),
    "host-that-is-none": option("--host", "999.1.1.1", "'999.1.1.1'", "cannot listen there"),
    "host-with-its-port": variable("PARLOR_API__HOST", "0.0.0.0:80", "'0.0.0.0:80'", "cannot listen there"),
    "host-of-another-machine": option("--host", "192.0.2.123", "not one of this machine"),
    "redis-of-an-unset-variable": option("--redis-url", "", "is empty"),
    "toml-value": parlor_toml("[api]\nport = 'x'\n", "[api] port", "'x'"),
    "dotenv-name": Case([".env, line 2", "PARLOR_API__HOSTT"], files={".env": "A=1\nPARLOR_API__HOSTT=x\n"}),
    "dotenv-syntax": Case([".env, line 1", "a quote is missing"], files={".env": "PARLOR_LLM__API_KEY='hunter2\n"}),
    "port-out-of-bounds": option("--port", "70000", "65535"),
    "shards-beside-urls": Case(["--shards"], options=["--shards", "2", "--mysql-url", "mysql://h/d"]),
    "servers-without-address": Case(["give --redis-url"], options=["--servers", "external"]),
}
