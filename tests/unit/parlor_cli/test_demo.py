"""`parlor demo`: the page is opened, or it is said why not."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from parlor.settings import Settings
from parlor_cli import demo, sign_in, up
from parlor_cli.endpoints import demo_plan
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions, effective
from parlor_cli.progress import Kind, Progress
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

LINK = "http://127.0.0.1:8000/#code=abc"


class Screen:
    def __init__(self) -> None:
        self.shown: list[tuple[Kind, str]] = []

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        self.shown.append((kind, text))

    @property
    def said(self) -> str:
        return self.shown[-1][1]


@pytest.fixture(autouse=True)
def _link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "run", lambda data_dir, account: LINK)
    monkeypatch.setenv("DISPLAY", ":0")


def raising(link: str) -> bool:
    raise webbrowser.Error(f"could not locate runnable browser for {link[:4]}")


@pytest.mark.parametrize(
    ("opens", "said"),
    [
        (lambda link: link == LINK, "The page is open, signed in as ada."),
        (lambda _: False, "Open this page: no browser was found."),
        (raising, "Open this page: could not locate runnable browser for http."),
        (None, "Open this page: no browser was asked for."),
    ],
)
def test_the_summary_says_whether_the_page_is_open_and_where_it_is(opens: object, said: str) -> None:
    screen = Screen()
    progress: Progress = demo.DemoProgress(screen, Path("/tmp/d"), opens)  # type: ignore[arg-type]
    progress.show("done", "Redis", "redis")
    progress.show("summary", "many lines")
    assert screen.shown[0] == ("done", "Redis")
    assert said in screen.said
    assert LINK in screen.said
    assert "many lines" not in screen.said


def test_without_a_link_it_says_what_prints_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data_dir: Path, account: str) -> str:
        raise Refusal("Redis does not answer")

    monkeypatch.setattr(sign_in, "run", refuse)
    screen = Screen()
    demo.DemoProgress(screen, Path("/tmp/d"), None).show("summary", "")
    assert "Redis does not answer" in screen.said
    assert "parlor sign-in --data-dir /tmp/d" in screen.said


@pytest.mark.parametrize(
    ("environment", "platform", "why"),
    [
        ({"DISPLAY": ":0"}, "linux", None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", None),
        ({"BROWSER": "firefox"}, "linux", None),
        ({}, "darwin", None),
        ({"DISPLAY": ""}, "linux", "no display"),
        ({"SSH_CONNECTION": "1 2 3 4"}, "linux", "ssh -L"),
    ],
)
def test_no_browser_is_opened_where_there_are_no_windows(
    environment: dict[str, str], platform: str, why: str | None
) -> None:
    found = demo.no_browser(environment, platform)
    assert found is None if why is None else found is not None and why in found


def test_it_starts_embedded_with_the_demo_model_whatever_is_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[UpOptions, Settings]] = []

    def start(options: UpOptions, progress: Progress, *, detach: bool) -> int:
        assert not detach
        started.append((options, effective(Installation.found(tmp_path), options.overrides())))
        return 0

    monkeypatch.setattr(up, "up", start)
    for name in demo.WITHOUT_A_MODEL:
        monkeypatch.setenv(name, "http://elsewhere")
    Path(".env").write_text("OPENAI_API_KEY=sk-secret\nPARLOR_LLM__BASE_URL=http://elsewhere\n", encoding="utf-8")
    assert demo.demo(tmp_path, 0, Screen(), browser=False) == 0
    [(options, settings)] = started
    assert (options.data_dir, options.port, options.servers) == (tmp_path, 0, "embedded")
    assert demo_plan(Installation.found(tmp_path), settings) is not None
