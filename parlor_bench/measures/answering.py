"""Replies that are begun within a second, beside the model itself and relays that keep nothing: F5, F5t, F6."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from parlor_bench.installation import Bench
from parlor_bench.load import percentile, post
from parlor_bench.peers.running import running_aiohttp_relay, running_openai_relay
from parlor_bench.replies import Answered, Replies
from parlor_bench.results import Criterion, Result, Series, ratios
from parlor_bench.rooms import Rooms
from parlor_bench.worker import in_process

PARLOR, DIRECT, AIOHTTP, OPENAI = "Parlor", "model", "aiohttp relay", "openai relay"
COUNTS = (1, 32, 100, 500)
TOKENS = 50
QUESTION = f"[[tokens={TOKENS} delay=20ms first=0ms]]"
ABOVE = {1: (5.0, 10.0), 32: (30.0, 60.0), 100: (50.0, 100.0)}
"""Milliseconds above the model's own first token, p50 and p99, by the number of replies."""
RELAY_SHARE = 1.5
"""Of the aiohttp relay's first token, at 500 replies."""
Loads = Mapping[str, Replies]


async def f5(bench: Bench) -> Result:
    """The first token of Parlor above the model's own; at 500 replies, beside the aiohttp relay's."""
    criteria, series = [], []
    refused = 0
    for count in COUNTS:
        found = await _measured(bench, count, QUESTION, TOKENS, (DIRECT, AIOHTTP, OPENAI, PARLOR))
        refused += sum(one.errors for one in found[PARLOR])
        waits = {name: _first(several) for name, several in found.items()}
        for number, share in enumerate(("p50", "p99")):
            ours, direct = waits[PARLOR][number], waits[DIRECT][number]
            name = f"{count} replies, {share}"
            if count in ABOVE:
                above = [round(one - other, 1) for one, other in zip(ours, direct, strict=True)]
                limit = ABOVE[count][number]
                criteria.append(Criterion(name=f"{name} above the model", unit="ms", values=above, at_most=limit))
            else:
                values = ratios(ours, waits[AIOHTTP][number])
                criteria.append(Criterion(name=f"{name} over {AIOHTTP}", values=values, at_most=RELAY_SHARE))
            series += [Series(f"{one}, {count} replies", f"ms, {share}", waits[one][number]) for one in found]
    return Result(measure="F5", title="first token", criteria=criteria, series=series, errors=refused)


async def f5t(bench: Bench) -> Result:
    """Tokens/s relayed at 500 replies, over those of the aiohttp relay."""
    found = await _measured(bench, COUNTS[-1], QUESTION, TOKENS, (DIRECT, AIOHTTP, PARLOR))
    return _throughput(found, "F5t", AIOHTTP, 0.9, f"tokens/s of {COUNTS[-1]} replies begun within a second")


async def f6(bench: Bench) -> Result:
    """500 replies with their readers: at 8 tokens/s the delay of a token, at 20 tokens/s what comes through."""
    slow = await _measured(bench, 500, f"[[tokens={8 * 8} stamp=1 delay=125ms]]", 8 * 8, (DIRECT, PARLOR), within=2.0)
    fast = await _measured(bench, 500, f"[[tokens={20 * 6} stamp=1 delay=50ms]]", 20 * 6, (DIRECT, PARLOR), within=2.0)
    late = {name: [percentile(one.delays_ms, 0.99) for one in several] for name, several in slow.items()}
    through = _throughput(fast, "F6", DIRECT, 0.5, "500 replies with their readers")
    lost = [float(one.lost) for one in (*slow[PARLOR], *fast[PARLOR])]
    return msgspec.structs.replace(
        through,
        criteria=[
            Criterion(name="p99 delay of a token at 8 tokens/s each", unit="ms", values=late[PARLOR], at_most=150.0),
            *through.criteria,
            Criterion(name="lost tokens, the most of a run", values=[max(lost)], at_most=0.0),
        ],
        series=[*through.series, *(Series(f"{name}, 8 tokens/s", "ms, p99", late[name]) for name in late)],
        errors=through.errors + sum(one.errors for one in slow[PARLOR]),
    )


def _throughput(found: Mapping[str, list[Answered]], measure: str, peer: str, least: float, title: str) -> Result:
    rates = {name: [one.per_second for one in several] for name, several in found.items()}
    return Result(
        measure=measure,
        title=title,
        criteria=[Criterion(name=f"tokens/s over {peer}", values=ratios(rates[PARLOR], rates[peer]), at_least=least)],
        series=[Series(name, "tokens/s", several) for name, several in rates.items()],
        errors=sum(one.errors for one in found[PARLOR]),
    )


def _first(several: list[Answered]) -> tuple[list[float], list[float]]:
    """p50 and p99 of the first token, of each run."""
    p50, p99 = ([round(percentile(one.first_ms, share), 1) for one in several] for share in (0.5, 0.99))
    return p50, p99


async def _measured(
    bench: Bench, count: int, question: str, tokens: int, names: tuple[str, ...], within: float = 1.0
) -> dict[str, list[Answered]]:
    """What came of ``count`` replies at once of each service, by turns, after a run of a few replies."""
    async with _loads(bench, count, question, tokens, within) as every:
        found: dict[str, list[Answered]] = {name: [] for name in names}
        for name in names:
            few = every[name].requests[:8]
            await in_process(msgspec.structs.replace(every[name], requests=few))
        for order in bench.turns(names):
            for name in order:
                one = await in_process(every[name])
                found[name].append(one)
                bench.say(
                    f"{name}, {count} replies: first token p50 {percentile(one.first_ms, 0.5):.0f}"
                    f" p99 {percentile(one.first_ms, 0.99):.0f} ms, {one.per_second:.0f} tokens/s, lost {one.lost},"
                    f" failed {one.failed}, refused {one.refused}, cut {one.cut}"
                    + (f", delay p99 {percentile(one.delays_ms, 0.99):.0f} ms" if one.delays_ms else "")
                )
    return found


@asynccontextmanager
async def _loads(bench: Bench, count: int, question: str, tokens: int, within: float) -> AsyncIterator[Loads]:
    """A load for the model and for each service; a reply of Parlor is in a room of its own."""
    on, llm = bench.on, urlsplit(bench.on.llm_url)
    asked = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": question}]}
    body = msgspec.json.encode({"content": question})

    def load(host: str, port: int, *requests: bytes) -> Replies:
        return Replies(host, port, list(requests) * (count // len(requests)), tokens, within)

    host, port = llm.hostname or "", llm.port or 80
    direct = post(host, port, f"{llm.path}/chat/completions", "demo", msgspec.json.encode(asked), connection="close")
    async with (
        running_aiohttp_relay(on.llm_url) as aiohttp,
        running_openai_relay(on.llm_url) as openai,
        Rooms(on.host, on.port, bench.say) as made,
    ):
        tokens_of = on.tokens()
        rooms = await made.create([tokens_of[number % len(tokens_of)] for number in range(count)])
        relayed = post("127.0.0.1", aiohttp, "/v1/answers", "demo", body, connection="close")
        yield {
            DIRECT: load(host, port, direct),
            AIOHTTP: load("127.0.0.1", aiohttp, relayed),
            OPENAI: load("127.0.0.1", openai, relayed),
            PARLOR: load(on.host, on.port, *(ask(on.host, on.port, *room, body) for room in rooms)),
        }


def ask(host: str, port: int, room: str, token: str, body: bytes) -> bytes:
    """A send that is answered with events; the connection closes after the answer."""
    path = f"/v1/rooms/{room}/messages"
    return post(host, port, path, token, body, accept="text/event-stream", connection="close")
