"""What the page says: every language has every text, and no text is left over."""

from __future__ import annotations

import re

import pytest

from api.web_files import ASSETS, WEB

pytestmark = pytest.mark.unit


def test_the_tables_have_the_same_words() -> None:
    def table(name: str) -> dict[str, str]:
        text = (ASSETS / "js/words" / name).read_text(encoding="utf-8")
        return dict(re.findall(r'^  "([^"]+)": "(.*)",$', text, re.MULTILINE))

    english, korean = table("en.js"), table("ko.js")
    assert english.keys() == korean.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", korean[key])), key
    scripts = [*(ASSETS / "js").glob("*.js"), *(ASSETS / "js" / "admin").glob("*.js")]
    sources = [*scripts, WEB / "index.html", WEB / "admin.html"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    literal = set(re.findall(r'["\'`]([a-z-]+(?:\.[a-z_-]+)*)["\'`]', source))
    made = (*tuple(re.findall(r"t\(`([a-z.]+)\$", source)), "problem.", "settings.", "sign-in.problem.")
    assert [key for key in english if key not in literal and not key.startswith(made)] == []
