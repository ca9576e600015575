"""ScriptPipeline: callers share pipelines, and one caller's trouble is not another's."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis import exceptions

from parlor.cache.clients import connect
from parlor.cache.connection import MAX_BATCH, Answer, ScriptPipeline, typed
from parlor.cache.loader import load
from parlor.errors import CacheUnavailable, InternalError
from parlor.settings import RedisSettings
from tests.unit.cache.scripted_redis import Command, ScriptedRedis, Serve, echo

pytestmark = pytest.mark.unit

SETTINGS = RedisSettings(command_timeout=timedelta(seconds=5), pipelines_in_flight=2)
RELEASE = load("release_room")
CLAIM = load("claim_room")


def make(serve: Serve = echo, settings: RedisSettings = SETTINGS) -> tuple[ScriptedRedis, ScriptPipeline]:
    redis = ScriptedRedis(serve)
    return redis, ScriptPipeline(redis.client(), settings)


async def release(pipeline: ScriptPipeline, claim: str = "t") -> Answer:
    return await pipeline.run(RELEASE, {"room": "r"}, {"claim": claim})


class Gate:
    """Holds pipelines back until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self, commands: list[Command]) -> list[Answer]:
        self.reached.set()
        await self.open.wait()
        return await echo(commands)


async def test_each_caller_gets_its_own_answer() -> None:
    _, pipeline = make()
    found = await asyncio.gather(*(pipeline.read("ECHO", str(number)) for number in range(1000)))
    assert found == [str(number) for number in range(1000)]


async def test_callers_of_one_turn_share_a_pipeline() -> None:
    redis, pipeline = make()
    await asyncio.gather(*(pipeline.read("ECHO", str(number)) for number in range(100)))
    assert len(redis.sent) == pipeline.sent == 1


async def test_what_comes_while_pipelines_are_under_way_waits_for_the_next() -> None:
    gate = Gate()
    redis, pipeline = make(gate)
    callers = []
    for number in range(50):
        callers.append(asyncio.create_task(pipeline.read("ECHO", str(number))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert redis.under_way == SETTINGS.pipelines_in_flight
    gate.open.set()
    assert await asyncio.gather(*callers) == [str(number) for number in range(50)]
    assert redis.most_under_way == SETTINGS.pipelines_in_flight
    assert len(redis.sent) == SETTINGS.pipelines_in_flight + 1


@pytest.mark.parametrize("in_flight", [1, 3])
async def test_no_more_pipelines_are_under_way_than_the_setting_allows(in_flight: int) -> None:
    redis, pipeline = make(settings=SETTINGS.model_copy(update={"pipelines_in_flight": in_flight}))

    async def caller() -> None:
        for _ in range(20):
            await pipeline.read("PING")

    await asyncio.gather(*(caller() for _ in range(30)))
    assert redis.most_under_way <= in_flight


async def test_a_pipeline_is_bounded() -> None:
    redis, pipeline = make()
    await asyncio.gather(*(pipeline.read("ECHO", "x") for _ in range(MAX_BATCH * 2 + 1)))
    assert [len(commands) for commands in redis.sent] == [MAX_BATCH, MAX_BATCH, 1]


async def test_scripts_go_by_their_digest() -> None:
    redis, pipeline = make()
    await release(pipeline, "token")
    assert redis.sent == [[("EVALSHA", RELEASE.sha, 1, "r", "token")]]


async def test_only_what_the_server_does_not_know_is_loaded_and_sent_again() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        unknown = RELEASE.source not in redis.loaded
        return [
            exceptions.NoScriptError("x") if unknown and command[1] == RELEASE.sha else command[-1]
            for command in commands
        ]

    redis, pipeline = make(serve)
    keys = {name: name for name in CLAIM.keys}
    calls = [
        release(pipeline, "one"),
        pipeline.run(CLAIM, keys, {"room": "r", "claim": "c", "ticket": "0", "installation": "two"}),
        pipeline.read("ECHO", "three"),
        release(pipeline, "four"),
    ]
    assert await asyncio.gather(*calls) == ["one", "two", "three", "four"]
    assert redis.loaded == [RELEASE.source]
    assert [[command[-1] for command in commands] for commands in redis.sent] == [
        ["one", "two", "three", "four"],
        ["one", "four"],
    ]


async def test_a_server_that_forgets_at_once_again_is_unavailable() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        return [exceptions.NoScriptError("x", status_code="NOSCRIPT")] * len(commands)

    _, pipeline = make(serve)
    with pytest.raises(CacheUnavailable):
        await release(pipeline)


async def test_a_script_that_does_not_compile_is_our_fault_and_the_others_get_their_answers() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        return [exceptions.NoScriptError("x") if command[0] == "EVALSHA" else "pong" for command in commands]

    redis, pipeline = make(serve)
    redis.load_error = exceptions.ResponseError("ERR Error compiling script")
    refused, answered = await asyncio.gather(release(pipeline), pipeline.read("PING"), return_exceptions=True)
    assert type(refused) is InternalError
    assert answered == "pong"


async def test_silence_is_unavailable_for_all_of_a_pipeline() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        await asyncio.Event().wait()
        raise AssertionError

    _, pipeline = make(serve, SETTINGS.model_copy(update={"command_timeout": timedelta(milliseconds=5)}))
    refused = await asyncio.gather(*(pipeline.read("PING") for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in refused] == [CacheUnavailable] * 5
    assert len({id(error) for error in refused}) == 5
    assert all(isinstance(error, CacheUnavailable) and error.retry_after for error in refused)


async def test_a_lost_connection_is_tried_once_more() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        if len(redis.sent) == 1:
            raise exceptions.ConnectionError("gone")
        return await echo(commands)

    redis, pipeline = make(serve)
    assert await pipeline.read("ECHO", "x") == "x"
    assert len(redis.sent) == 2


async def test_a_connection_that_stays_lost_is_unavailable() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        raise exceptions.ConnectionError("gone")

    redis, pipeline = make(serve)
    with pytest.raises(CacheUnavailable) as refused:
        await pipeline.read("PING")
    assert "gone" in refused.value.debug
    assert len(redis.sent) == 2


@pytest.mark.parametrize("error", [exceptions.TimeoutError("slow"), OSError("no route")])
async def test_other_failures_of_the_network_are_unavailable(error: Exception) -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        raise error

    _, pipeline = make(serve)
    with pytest.raises(CacheUnavailable):
        await pipeline.read("PING")


async def test_a_fault_in_the_client_is_told_to_all_callers() -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        raise RuntimeError("bug")

    _, pipeline = make(serve)
    refused = await asyncio.gather(*(pipeline.read("PING") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in refused] == [InternalError] * 3


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (exceptions.ResponseError("ERR value is not an integer"), InternalError),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), InternalError),
        (exceptions.DataError("Invalid input"), InternalError),
        (exceptions.ResponseError("MISCONF Redis is configured to save"), CacheUnavailable),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), CacheUnavailable),
        (exceptions.ResponseError("BUSYGROUP Consumer Group name already exists"), InternalError),
        # redis-py cuts off the codes that it has a class for.
        (exceptions.OutOfMemoryError("command not allowed when used memory", status_code="OOM"), CacheUnavailable),
        (exceptions.ReadOnlyError("You can't write", status_code="READONLY"), CacheUnavailable),
        (exceptions.MasterDownError("Link with MASTER is down", status_code="MASTERDOWN"), CacheUnavailable),
        (exceptions.ClusterDownError("The cluster is down", status_code="CLUSTERDOWN"), CacheUnavailable),
        (exceptions.BusyLoadingError("Redis is loading"), CacheUnavailable),
    ],
)
async def test_a_reply_that_is_an_error_is_typed_for_its_caller_alone(reply: Exception, kind: type[Exception]) -> None:
    async def serve(commands: list[Command]) -> list[Answer]:
        return [reply, "fine"]

    _, pipeline = make(serve)
    refused, fine = await asyncio.gather(release(pipeline), pipeline.read("PING"), return_exceptions=True)
    assert type(refused) is kind
    assert fine == "fine"


def test_a_fault_names_the_script() -> None:
    error = typed(exceptions.ResponseError("ERR bad"), "append_turn")
    assert error.debug == "append_turn: ERR bad"


async def test_a_caller_that_is_cancelled_does_not_hurt_the_others() -> None:
    gate = Gate()
    _, pipeline = make(gate)
    callers = [asyncio.create_task(pipeline.read("ECHO", str(number))) for number in range(5)]
    await gate.reached.wait()
    callers[0].cancel()
    callers[3].cancel()
    gate.open.set()
    found = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(found[0]), type(found[3])] == [asyncio.CancelledError] * 2
    assert (found[1], found[2], found[4]) == ("1", "2", "4")
    assert await pipeline.read("ECHO", "next") == "next"


@pytest.mark.parametrize("steps", range(4))
async def test_a_sender_that_is_cancelled_leaves_nobody_waiting(steps: int) -> None:
    gate = Gate()
    _, pipeline = make(gate, SETTINGS.model_copy(update={"pipelines_in_flight": 1}))
    callers = [asyncio.create_task(pipeline.read("ECHO", "x"))]
    for _ in range(steps):
        await asyncio.sleep(0)
    callers.append(asyncio.create_task(pipeline.read("ECHO", "y")))
    await asyncio.sleep(0)
    for sender in list(pipeline._commands._senders):
        sender.cancel()
    async with asyncio.timeout(5):
        refused = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(error) for error in refused] == [CacheUnavailable] * 2
    gate.open.set()
    assert await pipeline.read("ECHO", "next") == "next"


async def test_closing_waits_for_what_is_under_way() -> None:
    gate = Gate()
    redis, pipeline = make(gate)
    caller = asyncio.create_task(pipeline.read("ECHO", "x"))
    await gate.reached.wait()
    closing = asyncio.create_task(pipeline.close())
    await asyncio.sleep(0)
    closed_early = redis.closed
    gate.open.set()
    await closing
    assert (closed_early, redis.closed) == (False, True)
    assert await caller == "x"


async def test_a_client_has_our_time_limits_and_repeats_nothing_by_itself() -> None:
    settings = RedisSettings(url=SecretStr("redis://localhost:1"), command_timeout=timedelta(seconds=0.8))
    kwargs = connect(settings).connection_pool.connection_kwargs
    assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0.8, 0.5)
    assert kwargs["retry"].get_retries() == 0
    assert connect(settings, blocking=True).connection_pool.connection_kwargs["socket_timeout"] is None


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s"])
async def test_commands_are_written_as_redis_py_writes_them(url: str) -> None:
    client = connect(RedisSettings(url=SecretStr(url)))
    connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
    commands: list[tuple[str | int | bytes, ...]] = [
        ("EVALSHA", "5ha", 1, "key", "text with spaces", 17, b"\x00\r\n\xff", ""),
        ("ECHO", "žluťoučký 🐎" * 4000),
    ]
    theirs = b"".join(chunk for command in commands for chunk in connection.pack_command(*command))
    assert b"".join(connection.pack_commands(commands)) == theirs
    await client.aclose()
