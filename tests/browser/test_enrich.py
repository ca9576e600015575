"""Code and formulas in a finished message, called inside Chromium under the page's own policy."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from tests.browser.scripted_api import ORIGIN, ScriptedApi
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ENRICH = """async (text) => {
    const { render } = await import("/assets/js/markdown.js");
    const { enrich } = await import("/assets/js/enrich.js");
    const host = document.createElement("div");
    host.className = "message-body";
    host.append(render(text));
    document.body.append(host);
    await enrich(host);
    const all = [...host.querySelectorAll("*")];
    return {
        text: host.textContent,
        bars: [...host.querySelectorAll(".code-bar span")].map((bar) => bar.textContent),
        code: [...host.querySelectorAll("pre code")].map((code) => code.textContent),
        colours: [...new Set(all.map((node) => node.className).filter((name) => `${name}`.startsWith("hljs-")))],
        formulas: [...host.querySelectorAll("math")].map((math) => [math.getAttribute("display"), math.textContent]),
        tags: [...new Set(all.map((node) => node.localName))],
        styled: all.some((node) => node.hasAttribute("style")),
        hacked: window.hacked === 1,
    };
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def page_tab(tab: Tab) -> Tab:
    scripted = ScriptedApi()
    # Signed out: the page itself does nothing.
    scripted.answers["GET session"] = lambda _: (401, {"code": "unauthenticated"})
    await scripted.attach(tab.page)
    await tab.page.goto(ORIGIN)
    return tab


async def enriched(tab: Tab, text: str) -> dict[str, Any]:
    found: dict[str, Any] = await tab.page.evaluate(ENRICH, text)
    assert not found["hacked"]
    assert not found["styled"]
    assert not {"script", "img", "iframe", "style"} & set(found["tags"])
    return found


async def test_code_has_its_language_and_colours_and_says_what_it_said(page_tab: Tab) -> None:
    code = "def f(x: int) -> str:\n    return f'<b>{x}</b>'  # why\n"
    found = await enriched(page_tab, f"```python\n{code}```\n\n```\nplain\n```\n\n```brainfog\n+++\n```")
    assert found["bars"] == ["python", "", "brainfog"]
    assert found["code"] == [code, "plain\n", "+++\n"]
    assert {"hljs-keyword", "hljs-comment"} <= set(found["colours"])


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"Let \(a^2 \le c\) hold", [[None, "a2≤c"]]),
        ("Let $x_i$ be", [[None, "xi"]]),
        ("$$\nE = mc^2\n$$", [["block", "E=mc2"]]),
        (r"so \[ \frac{1}{2} \] it is", [[None, "12"]]),
        ("\\[\nx\n\\]", [["block", "x"]]),
        ("It costs $5 and $6, or $7-$8", []),
        ("`$x$` and\n\n    $y$", []),
        (r"an escaped \$x$ and a $ b $", []),
        (r"\(\unknown{\)", []),
    ],
)
async def test_formulas_are_set_and_money_is_left_alone(page_tab: Tab, text: str, formulas: list[list[Any]]) -> None:
    assert (await enriched(page_tab, text))["formulas"] == formulas


@pytest.mark.parametrize(
    "text",
    [
        r"\(\href{javascript:window.hacked=1}{x}\)",
        r"\(\htmlStyle{position:fixed}{x}\) \(\includegraphics{http://example.invalid/x.png}\)",
        "```html\n<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\n```",
        "$</math><img src=x onerror=window.hacked=1>$",
    ],
)
async def test_hostile_code_and_formulas_are_harmless(page_tab: Tab, text: str) -> None:
    requests: list[str] = []
    page_tab.page.on("request", lambda request: requests.append(request.url))
    await enriched(page_tab, text)
    assert not [url for url in requests if not url.startswith(ORIGIN)]


async def test_the_libraries_are_loaded_when_something_needs_them(page_tab: Tab) -> None:
    requests: list[str] = []
    page_tab.page.on("request", lambda request: requests.append(request.url))
    await enriched(page_tab, "Plain *text* with `code` and $5")
    assert not [url for url in requests if "highlight" in url or "katex" in url]
    await enriched(page_tab, "```js\nlet x\n```\n\n$x$")
    assert [url for url in requests if "highlight" in url]
    assert [url for url in requests if "katex" in url]


async def test_the_button_copies_the_code_and_says_so(page_tab: Tab) -> None:
    await page_tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    script = """async () => {
        const { copy } = await import("/assets/js/enrich.js");
        let written = null;
        Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => (written = text) } });
        const button = document.createElement("button");
        button.append("icon", "Copy");
        await copy("x = 1", button);
        return [written, button.textContent];
    }"""
    assert await page_tab.page.evaluate(script) == ["x = 1", "Copied"]
