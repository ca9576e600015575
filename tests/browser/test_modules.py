"""The page's modules on their own, called inside Chromium."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.browser.scripted_api import ORIGIN, ScriptedApi
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def page_tab(tab: Tab) -> Tab:
    scripted = ScriptedApi()
    # Signed out: the page itself does nothing.
    scripted.answers["GET session"] = lambda _: (401, {"code": "unauthenticated"})
    await scripted.attach(tab.page)
    await tab.page.goto(ORIGIN)
    return tab


async def test_characters_are_counted_as_the_server_counts_them(page_tab: Tab) -> None:
    texts = ["", "abc", "é", "😀", "a😀b👩‍👩‍👧c", "مرحبا"]
    script = """async (texts) => {
        const { characters } = await import("/assets/client/fold.js");
        return texts.map(characters);
    }"""
    assert await page_tab.page.evaluate(script, texts) == [len(text) for text in texts]


@pytest.mark.parametrize(
    "attack",
    [
        "<img src=x onerror=window.hacked=1>",
        "<svg><script>window.hacked=1</script></svg>",
        "[x](javascript:window.hacked=1)",
        "[x](JaVaScRiPt&colon;window.hacked=1)",
        "[x](data:text/html,<script>window.hacked=1</script>)",
        "![x](http://example.invalid/pixel.png)",
        '![x](x"onerror="window.hacked=1)',
        "![x](data:image/svg+xml;base64,PHN2Zy8+)",
        "<a href='#code=1-e'>x</a> [x](#code=1-e) [x](/#code=1-e) [x](http://parlor.test/#code=1-e)",
        "<iframe srcdoc='<script>window.hacked=1</script>'></iframe>",
        "<form action=/v1/rooms><button>x</button></form>",
        "<p style='position:fixed;inset:0' class=notice id=composer>x</p>",
        '```"><img src=x onerror=window.hacked=1>\ncode\n```',
    ],
)
async def test_hostile_markdown_is_harmless(page_tab: Tab, attack: str) -> None:
    requests: list[str] = []
    page_tab.page.on("request", lambda request: requests.append(request.url))
    script = """async (text) => {
        const { render } = await import("/assets/js/markdown.js");
        const host = document.createElement("div");
        host.append(render(text));
        document.body.append(host);
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        const all = [...host.querySelectorAll("*")];
        return {
            tags: [...new Set(all.map((node) => node.localName))],
            attributes: [...new Set(all.flatMap((node) => node.getAttributeNames()))],
            links: [...host.querySelectorAll("a[href]")].map((link) => link.host),
            hacked: window.hacked === 1,
        };
    }"""
    found = await page_tab.page.evaluate(script, attack)
    assert not found["hacked"]
    assert not set(found["tags"]) & {"img", "svg", "script", "iframe", "form", "button", "style"}
    assert not set(found["attributes"]) & {"id", "class", "style", "src", "onerror", "onload"}
    assert set(found["links"]) <= {"example.invalid"}  # an image that would be loaded has become a link
    assert not [url for url in requests if not url.startswith(ORIGIN)]


async def test_a_link_opens_elsewhere_and_does_not_hand_the_page_over(page_tab: Tab) -> None:
    script = """async () => {
        const { render } = await import("/assets/js/markdown.js");
        const link = render("[x](https://example.org/a)").querySelector("a");
        return [link.href, link.target, link.rel];
    }"""
    found = await page_tab.page.evaluate(script)
    assert found == ["https://example.org/a", "_blank", "noopener noreferrer nofollow"]


async def test_growing_markdown_ends_as_the_whole_would(page_tab: Tab) -> None:
    text = (
        "# Title\n\nA *first* paragraph\nwith two lines.\n\n- one\n- two\n\n  still two\n\n1. a\n2. b\n\n"
        "```py\nx = '```'\n\ny = 1\n```\n\n| a | b |\n|---|--:|\n| 1 | 2<br>3 |\n\n> quote\n> more\n\nlast 😀"
    )
    script = """async (text) => {
        const { GrowingMarkdown, render } = await import("/assets/js/markdown.js");
        const host = document.createElement("div");
        const growing = new GrowingMarkdown(host);
        const kept = [];
        for (let end = 1; end <= text.length; end += 3) {
            growing.grow(text.slice(0, end));
            kept.push(host.firstElementChild);
        }
        growing.grow(text);
        const whole = document.createElement("div");
        whole.append(render(text));
        const squeezed = (node) => node.innerHTML.replace(/>\\s+</g, "><").trim();
        const [grown, expected] = [squeezed(host), squeezed(whole)];
        growing.finish(text);
        const still = kept.slice(kept.length / 2).every((node) => node === kept.at(-1));
        return { grown, expected, finished: squeezed(host), still };
    }"""
    found = await page_tab.page.evaluate(script, text)
    assert found["grown"] == found["expected"]
    assert found["finished"] == found["expected"]
    assert found["still"], "a block that can no longer change was rendered again"


async def test_a_quiet_stream_that_ends_at_its_lifetime_is_no_failure(page_tab: Tab) -> None:
    """Its reader comes back as soon after the fifth time as after the first, and is not told of any trouble."""
    await page_tab.page.clock.install()
    script = """async () => {
        const { Api } = await import("/assets/js/api.js");
        const { follow } = await import("/assets/js/stream.js");
        window.seen = { opened: [], states: [] };
        const stop = new AbortController();
        const leaving = 'id: 1-7\\nevent: stream.reconnect\\ndata: {"cursor":"1-7","reason":"lifetime"}\\n\\n';
        window.fetch = async (_, { headers }) => {
            seen.opened.push(headers["Last-Event-ID"]);
            const start = (stream) =>
                setTimeout(() => (stream.enqueue(new TextEncoder().encode(leaving)), stream.close()), 20_000);
            return new Response(new ReadableStream({ start }), { headers: { "Content-Type": "text/event-stream" } });
        };
        window.stopped = () => stop.abort();
        const api = new Api();
        follow({
            events: (options) => api.accountEvents(options), recover: async () => "1-0", onEvent: () => {},
            onStatus: ({ state }) => seen.states.push(state), signal: stop.signal,
        });
    }"""
    await page_tab.page.evaluate(script)
    for times in range(1, 6):
        await page_tab.page.wait_for_function("(times) => seen.opened.length === times", arg=times, polling=20)
        await page_tab.page.clock.run_for(20_000)
        await page_tab.page.evaluate("new Promise((resolve) => resolve())")
        await page_tab.page.clock.run_for(500)
    found = await page_tab.page.evaluate("(stopped(), seen)")
    assert found["opened"][:5] == ["1-0", "1-7", "1-7", "1-7", "1-7"]
    assert "waiting" not in found["states"]


async def test_a_stream_that_is_cut_again_and_again_is_soon_opened_again(page_tab: Tab) -> None:
    """What comes right before a cut is lost, so cuts without an event do not mean that nothing is sent; a server that
    ends its streams itself, or refuses them, is left alone for longer."""
    script = """async (kind) => {
        const { Api } = await import("/assets/js/api.js");
        const { follow } = await import("/assets/js/stream.js");
        const [real, asked, pauses, stop] = [window.setTimeout, window.fetch, [], new AbortController()];
        const leaving = 'id: 1-0\\nevent: stream.reconnect\\ndata: {"cursor": "1-0", "reason": "internal"}\\n\\n';
        // The silence that ends a stream is 45 s: no pause is as long.
        window.setTimeout = (over, wait) => {
            if (wait >= 45_000) return 0;
            pauses.push(wait);
            return pauses.length < 8 ? real(over) : real(() => (stop.abort(), over()));
        };
        Math.random = () => 0;
        const bodies = {
            cut: () => {
                const texts = [": open\\n\\n", "id: 1-1\\nevent: message.cre"];
                const pieces = texts.map((text) => new TextEncoder().encode(text));
                const pull = (stream) =>
                    pieces.length ? stream.enqueue(pieces.shift()) : stream.error(new TypeError("network error"));
                return new ReadableStream({ pull });
            },
            ended: () => new Blob([leaving]).stream(),
            refused: () => '{"code": "overloaded"}',
        };
        const headers = { "Content-Type": "text/event-stream" };
        window.fetch = async (_, { signal }) => {
            signal.throwIfAborted();
            return new Response(bodies[kind](), { status: kind === "refused" ? 503 : 200, headers });
        };
        const api = new Api();
        await follow({
            events: (options) => api.accountEvents(options), recover: async () => "1-0",
            onEvent: () => {}, onStatus: () => {}, signal: stop.signal,
        });
        [window.setTimeout, window.fetch] = [real, asked];
        return pauses;
    }"""
    assert await page_tab.page.evaluate(script, "cut") == [500, 1000] + 6 * [2000]
    longer = [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]
    assert await page_tab.page.evaluate(script, "ended") == longer
    assert await page_tab.page.evaluate(script, "refused") == longer


async def test_a_problem_is_told_in_words_whoever_wrote_it(page_tab: Tab) -> None:
    script = """async () => {
        const { NoAnswer, refusal } = await import("/assets/client/errors.js");
        const { Problem } = await import("/assets/js/problem.js");
        const nothing = new Headers();
        const failures = [
            refusal(503, nothing, '{"code":"overloaded","retry_after_seconds":2.2}'),
            refusal(422, nothing, '{"code":"x","detail":"Not valid.","errors":[{"detail":"title is blank"}]}'),
            refusal(502, nothing, "<h1>Bad gateway</h1>"),
            refusal(429, new Headers({ "Retry-After": "7" }), "slow down"),
            new NoAnswer("Failed to fetch"),
            new NoAnswer("aborted", { cause: new DOMException("late", "AbortError") }),
        ];
        return failures.map((failure) => Problem.of(failure)).map(({ sentence, retryable }) => [sentence, retryable]);
    }"""
    assert await page_tab.page.evaluate(script) == [
        ["There is too much to do right now. Try again in 3 s.", True],
        ["Not valid. title is blank", False],
        ["Something went wrong.", True],
        ["Something went wrong. Try again in 7 s.", True],
        ["The server cannot be reached.", True],
        ["The server did not answer in time.", True],
    ]
