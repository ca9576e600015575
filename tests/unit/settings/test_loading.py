"""What is wrong with a configuration is said with its place, its key and its value, and everything at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from pydantic import model_validator

from parlor.settings import Settings, loading
from parlor.settings.loading import Configuration, ConfigurationError

pytestmark = pytest.mark.unit

SECRET = "hunter2hunter2"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``.env`` and no ``parlor.toml`` but the test's own."""
    monkeypatch.chdir(tmp_path)


def problems(
    overrides: dict[str, dict[str, object]] | None = None, names: dict[tuple[str, str], str] | None = None
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Configuration(overrides or {}, names)
    assert SECRET not in str(caught.value)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PARLOR_LLMM__BASE_URL", "PARLOR_LLM__BASE_URL"),
        ("PARLOR_LLM_BASE_URL", "PARLOR_LLM__BASE_URL"),
        ("PARLOR_LLM__BASEURL", "PARLOR_LLM__BASE_URL"),
        ("PARLOR_BASE_URL", "PARLOR_LLM__BASE_URL"),
        ("PARLOR__LLM__MODEL", "PARLOR_LLM__MODEL"),
        ("PARLOR_PORT", "PARLOR_API__PORT"),
        ("PARLOR_DATADIR", "PARLOR_DATA_DIR"),
        ("parlor_llm__modell", "PARLOR_LLM__MODEL"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    assert f"{name} in the environment: there is no such setting; did you mean {nearest}?" in problems()


def test_what_is_wrong_with_several_sections_together_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(Settings):
        @model_validator(mode="after")
        def _fits(self) -> Self:
            raise ValueError("queue.batch_size is more than rooms.mailbox_limit")

    monkeypatch.setattr(loading, "Settings", Strict)
    monkeypatch.setenv("PARLOR_LLMM", SECRET)
    named, together = problems().splitlines()
    assert named.startswith("PARLOR_LLMM in the environment: there is no such setting")
    assert together == "queue.batch_size is more than rooms.mailbox_limit"


def test_a_section_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_LLM", '{"model": "x"}')
    assert "PARLOR_LLM in the environment: there is no such setting" in problems()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLOR_DATA_DIR", "/data"),
        ("PARLOR_RUNTIME_DIR", "/tmp/parlor-01234567"),
        ("PARLOR_URL", "http://h"),
        ("PARLOR_TOKEN", "t"),
        ("PARLOR_TEST_SEED", "1"),
        ("PARLOR_SERVICE_HOST", "10.0.0.1"),
        ("PARLOR_SERVICE_PORT_HTTP", "8000"),
        ("PARLOR_PORT", "tcp://10.0.0.1:8000"),
        ("PARLOR_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("PARLOR_REDIS_SERVICE_HOST", "10.0.0.2"),
        ("PARLOR_REDIS_PORT", "tcp://10.0.0.2:6379"),
        ("MY_PARLOR_X", "1"),
    ],
)
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert Configuration({}).settings.api.port == 8000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[lllm]\n", "[lllm] in {file}: there is no such section; did you mean llm?"),
        ("[llm]\nmodle = 'x'\n", "[llm] modle in {file}: there is no such setting in [llm]; did you mean model?"),
        ("[api]\nmodel = 'x'\n", "[api] model in {file}: there is no such setting in [api]; there is one in [llm]"),
        ("port = 1\n", "port in {file}: it belongs into a section: [api]"),
        ("[api.port]\nx = 1\n", "[api] port in {file}"),
        ("api = 5\n", "api in {file} is 5:"),
        ("[api]\nport = 'x'\n", "[api] port in {file} is 'x': Input should be a valid integer"),
        ("[api]\nport = true\n", "[api] port in {file} is True: a value is expected, not true"),
        ("[llm]\ntotal_timeout = true\n", "[llm] total_timeout in {file} is True: a value is expected, not true"),
        ("[llm]\nmodel = false\n", "[llm] model in {file} is False: a value is expected, not false"),
        ("[llm]\ntotal_timeout = 'soon'\n", "[llm] total_timeout in {file} is 'soon': not a duration"),
        ("[store]\nurls = ['sqlite:///a', 'x']\n", "[store] urls in {file}, entry 2: it does not begin with"),
        ("[rooms]\nactors_min = 3\nactors_max = 2\n", "[rooms] in {file}: actors_min is 3"),
        ("[api\n", "{file}: it cannot be read: Expected ']'"),
        ("[api]\nport = 1\nport = 2\n", "{file}: it cannot be read: Cannot overwrite a value (at line 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_file_key_and_value(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "parlor.toml"
    file.write_text(text)
    assert said.format(file=file) in problems()


def test_a_folder_or_a_broken_link_in_a_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "parlor.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"parlor\.toml: it cannot be read: .*[Dd]irectory"):
        Configuration({})
    (tmp_path / "parlor.toml").rmdir()
    (tmp_path / "parlor.toml").symlink_to("/no/such/file")
    with pytest.raises(ConfigurationError, match=r"parlor\.toml: it cannot be read: .*No such file"):
        Configuration({})


def test_a_python_environment_named_dotenv_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert Configuration({}).settings.api.port == 8000


def test_a_file_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "parlor.toml").write_bytes(b"[llm]\nmodel = '\xff'\n")
    assert f"{tmp_path / 'parlor.toml'}: it cannot be read" in problems()
    (tmp_path / "parlor.toml").unlink()
    (tmp_path / ".env").write_bytes(b"PARLOR_LLM__MODEL=\xff\n")
    assert f"{tmp_path / '.env'}: it cannot be read" in problems()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n# x\nPARLOR_LLM__MODLE=x\n", "PARLOR_LLM__MODLE in {file}, line 3: there is no such setting"),
        ("A=1\n\nPARLOR_API__PORT=x\n", "PARLOR_API__PORT in {file}, line 3 is 'x': Input should be a valid integer"),
        (f"PARLOR_LLM__API_KEY='{SECRET}\n", "{file}, line 1: PARLOR_LLM__API_KEY: this is not NAME=value"),
        (f"OPENAI_API_KEY={SECRET} \u20ac\n", "OPENAI_API_KEY in {file}, line 1: character"),
    ],
)
def test_what_is_wrong_with_a_dotenv_file_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / ".env"
    file.write_text(text)
    assert said.format(file=file) in problems()


def test_files_of_windows_are_read(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    (tmp_path / "parlor.toml").write_bytes(mark + b"[llm]\r\nmodel = 'llama3'\r\ntotal_timeout = '7s'\r\n")
    (tmp_path / ".env").write_bytes(mark + b"PARLOR_LLM__API_KEY=sk-1\r\nPARLOR_API__PORT=81\r\n")
    settings = Configuration({}).settings
    assert (settings.llm.model, settings.llm.total_timeout) == ("llama3", timedelta(seconds=7))
    assert (settings.llm_api_key, settings.api.port) == ("sk-1", 81)


def test_everything_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parlor.toml").write_text("[api]\nporrt = 1\n")
    (tmp_path / ".env").write_text("PARLOR_API__HOSST=x\n")
    monkeypatch.setenv("PARLOR_API__PORT", "x")
    monkeypatch.setenv("PARLOR_AUTH__SECRET", SECRET)
    said = problems({"redis": {"url": f"http://:{SECRET}@h"}}, {("redis", "url"): "--redis-url"}).splitlines()
    assert len(said) == 5
    assert any(line.startswith("PARLOR_AUTH__SECRET in the environment: it has 14 bytes") for line in said)
    assert any(line.startswith("--redis-url is 'http://:***@h': it begins with http://") for line in said)


def test_the_place_is_the_one_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parlor.toml").write_text("[api]\nport = 'toml'\n")
    (tmp_path / ".env").write_text("PARLOR_API__PORT=dotenv\n")
    assert f"in {tmp_path / '.env'}, line 1 is 'dotenv'" in problems()
    monkeypatch.setenv("PARLOR_API__PORT", "environment")
    assert "in the environment is 'environment'" in problems()
    assert "--port is 'option'" in problems({"api": {"port": "option"}}, {("api", "port"): "--port"})


def test_a_problem_that_is_found_later_has_its_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Configuration({}).problem("llm", "default_persona", "no") == (
        "PARLOR_LLM__DEFAULT_PERSONA (default) is 'GPT4O': no"
    )
    monkeypatch.setenv("PARLOR_LLM__DEFAULT_PERSONA", "GPT5")
    found = Configuration({}).problem("llm", "default_persona", "no")
    assert found == "PARLOR_LLM__DEFAULT_PERSONA in the environment is 'GPT5': no"


def test_an_override_that_is_no_setting_is_refused() -> None:
    assert "api.nothing: there is no such setting in [api]" in problems({"api": {"nothing": "1"}})
    assert "nothing: there is no such section" in problems({"nothing": {"x": "1"}})
    assert "port: it belongs into a section: [api]" in problems({"port": {"": "1"}})


def test_a_value_is_cut_when_it_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_API__PORT", "x" * 10_000)
    assert len(problems()) < 300
