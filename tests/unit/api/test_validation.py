"""Validation of request bodies."""

from __future__ import annotations

import json

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.limits import check_metadata
from api.message_schemas import ChatMessageSendRequest
from parlor.errors import InvalidRequest
from parlor.llm.text import is_blank
from parlor.settings import ApiSettings
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, ROOM

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/messages"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"hello"',
        "{",
        "{}",
        '{"content": null}',
        '{"content": 5}',
        '{"content": ["x"]}',
        '{"content": ""}',
        '{"content": " \\t\\n\\u3000"}',
        '{"content": "\\u200b\\u2800\\u3164\\u0301\\ufe0f"}',
        '{"content": "a\\u0000b"}',
        '{"content": "\\ud83e"}',
        '{"content": "x", "ai_persona": ""}',
        '{"content": "x", "ai_persona": 7}',
        '{"content": "x", "on_busy": "shrug"}',
        '{"content": "x", "on_busy": null}',
        '{"content": "x", "reply": "maybe"}',
        '{"content": "x", "metadata": []}',
        '{"content": "x", "metadata": "{}"}',
        '{"content": "x", "metadata": {"a": NaN}}',
        '{"content": "x", "metadata": {"a": 1e999}}',
        '{"content": "x", "metadata": {"a": 9223372036854775808}}',
        '{"content": "x", "metadata": {"a": "\\u0000"}}',
        '{"content": "x", "metadata": {"a\\ud83e": 1}}',
        '{"content": "x", "metadata": {"a": ["\\udfff"]}}',
        '{"content": "x", "metadata": ' + '{"a":' * 17 + "1" + "}" * 17 + "}",
        '{"content": "x", "metadata": {"a": ' + "[" * 2000 + "]" * 2000 + "}}",
        '{"content": "x", "metadata": {"a": "' + "m" * 4096 + '"}}',
        "{" * 20_000,
    ],
)
async def test_a_wrong_body_is_refused(client: httpx2.AsyncClient, gateway: FakeGateway, body: str) -> None:
    answer = await client.post(PATH, content=body.encode(), headers=JSON)
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (422, "invalid-request", 1007)
    assert [call[0] for call in gateway.calls] == ["session"]


@pytest.mark.parametrize("body", [b'\xff{"content":"x"}', b'{"content":"\xff"}', b'{"content":"\xed\xa0\x80"}'])
async def test_a_body_that_is_not_utf8_is_refused(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post(PATH, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "nonsense",
        "application/jsonl",
        "application/json; charset=latin-1",
        'application/json; charset="UTF-16"',
    ],
)
async def test_a_body_that_is_not_called_json_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, kind: str
) -> None:
    answer = await client.post(PATH, content=b'{"content":"x"}', headers={"Content-Type": kind})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errorCode"]) == (415, "unsupported-media-type", 1018)
    assert ("no `Content-Type`" in problem["detail"]) == (kind == "")
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_a_body_without_a_content_type_is_told_that_it_lacks_one(client: httpx2.AsyncClient) -> None:
    for path in ("/v1/rooms", PATH, f"{PATH}/{MESSAGE}/stop"):
        answer = await client.post(path, content=b'{"content":"x"}')
        assert answer.status_code == 415
        assert "no `Content-Type`; send JSON with `Content-Type: application/json`" in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/vnd.api+json",
    ],
)
async def test_json_is_read_whatever_its_name(client: httpx2.AsyncClient, kind: str) -> None:
    answer = await client.post(PATH, content='{"content":"é"}'.encode(), headers={"Content-Type": kind})
    assert answer.status_code == 201


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "nonsense"])
async def test_an_encoded_body_is_refused_as_such(client: httpx2.AsyncClient, encoding: str) -> None:
    answer = await client.post(PATH, content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity"


async def test_a_body_that_is_encoded_by_nothing_is_read(client: httpx2.AsyncClient) -> None:
    answer = await client.post(PATH, content=b'{"content":"x"}', headers={**JSON, "Content-Encoding": "Identity"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "unknown"),
    [
        ("POST", "/v1/rooms", {"title": "T", "topic": 1}, "topic"),
        ("PATCH", f"/v1/rooms/{ROOM}", {"title": "T", "Title": "t"}, "Title"),
        ("POST", PATH, {"content": "x", "persona": "P"}, "persona"),
        ("PATCH", f"{PATH}/{MESSAGE}", {"content": "x", "metadata": {}}, "metadata"),
        ("POST", f"{PATH}/{MESSAGE}/stop", {"attempts": 1}, "attempts"),
    ],
)
async def test_an_unknown_field_is_refused_by_its_name(
    client: httpx2.AsyncClient, gateway: FakeGateway, method: str, path: str, body: dict[str, object], unknown: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [each["loc"] for each in answer.json()["errors"]] == [["body", unknown]]
    assert answer.json()["detail"] == f"body.{unknown}: No such field"
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_an_unknown_parameter_of_a_query_is_not_our_business(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/v1/rooms?utm_source=mail")).status_code == 200


async def test_errors_say_where_and_why_and_never_repeat_the_text(client: httpx2.AsyncClient) -> None:
    answer = await client.post(PATH, json={"content": 12345, "on_busy": "private words"})
    errors = answer.json()["errors"]
    assert [each["loc"] for each in errors] == [["body", "content"], ["body", "on_busy"]]
    assert set(errors[0]) == {"loc", "msg", "type"}
    assert "12345" not in answer.text
    assert "private" not in answer.text


async def test_content_over_its_limit_is_too_large(client: httpx2.AsyncClient) -> None:
    assert (await client.post(PATH, json={"content": "🫖" * 1000})).status_code == 201
    answer = await client.post(PATH, json={"content": "🫖" * 1001})
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (413, "content-too-large", 1008)


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "[]", "{}", '{"content": null}', '{"content": 5}', '{"content": "  "}'),
        *('{"content": "\\u200b"}', '{"content": "a\\u0000b"}'),
    ],
)
async def test_an_edit_without_text_is_refused(client: httpx2.AsyncClient, gateway: FakeGateway, body: str) -> None:
    answer = await client.patch(f"{PATH}/{MESSAGE}", content=body.encode(), headers=JSON)
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (422, "invalid-request", 1007)
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_an_edit_has_the_limit_of_a_send(client: httpx2.AsyncClient) -> None:
    assert (await client.patch(f"{PATH}/{MESSAGE}", json={"content": "🫖" * 1000})).status_code == 200
    answer = await client.patch(f"{PATH}/{MESSAGE}", json={"content": "🫖" * 1001})
    assert (answer.status_code, answer.json()["code"]) == (413, "content-too-large")


@pytest.mark.parametrize("title", ["", "  ", "a\x00", "\u200b", "\u202e \n\x1b", "x" * 201, 5])
async def test_a_wrong_title_is_refused(client: httpx2.AsyncClient, title: object) -> None:
    answer = await client.patch(f"/v1/rooms/{ROOM}", json={"title": title})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "title"])


@pytest.mark.parametrize("title", ["", "\u200b", "\u202e \n", "a\x00", "x" * 201, 5])
async def test_a_new_room_takes_the_titles_that_a_rename_takes(client: httpx2.AsyncClient, title: object) -> None:
    answer = await client.post("/v1/rooms", json={"title": title})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "title"])


@pytest.mark.parametrize(
    ("title", "taken"),
    [
        ("a\r\n# b", "a # b"),
        ("red \x1b[31m", "red [31m"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("a\u2028b\x85", "a b"),
        ("\U0001f468\u200d\U0001f469" * 66 + "ab", "\U0001f468\u200d\U0001f469" * 66 + "ab"),
        ("Z" + "\u0336" * 199, "Z" + "\u0336" * 199),
        ("x" * 200 + "\n", "x" * 200),
        ("Learning C#", "Learning C#"),
    ],
)
async def test_a_title_is_taken_as_one_line(
    client: httpx2.AsyncClient, gateway: FakeGateway, title: str, taken: str
) -> None:
    assert (await client.post("/v1/rooms", json={"title": title})).status_code == 201
    assert (await client.patch(f"/v1/rooms/{ROOM}", json={"title": title})).status_code == 200
    asked = [call for call in gateway.calls if call[0] in {"create_room", "update_room"}]
    assert [taken in call for call in asked] == [True, True], asked


async def test_a_title_may_fill_its_limit(client: httpx2.AsyncClient) -> None:
    assert (await client.patch(f"/v1/rooms/{ROOM}", json={"title": "х" * 200})).status_code == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=1.5", "cursor=", "cursor=" + "c" * 513])
async def test_a_wrong_room_list_query_is_refused(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/rooms?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


@given(st.text(alphabet=st.characters(categories=["C", "L", "M", "S", "Z"]), max_size=50))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_content_is_taken_as_it_came_or_refused(content: str) -> None:
    halves = any(0xD800 <= ord(each) <= 0xDFFF for each in content)
    good = not is_blank(content) and "\x00" not in content and not halves
    try:
        taken = ChatMessageSendRequest.model_validate({"content": content}).content
    except ValidationError:
        assert not good
    else:
        assert good
        assert taken == content


METADATA = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    ),
    max_size=3,
)


@given(METADATA)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_metadata_that_is_taken_can_be_written_and_read_again(metadata: dict[str, object]) -> None:
    api = ApiSettings()
    try:
        check_metadata(metadata, api)
    except InvalidRequest:
        assert "\x00" in repr(metadata) or "\\x00" in repr(metadata) or len(json.dumps(metadata)) > api.metadata_max
    else:
        assert json.loads(json.dumps(metadata, ensure_ascii=False).encode()) == metadata


@pytest.mark.parametrize(
    "body",
    [
        '{"content": "x"}',
        '{"content": "x", "content": "y"}',
        '{"content": "\\ud83e\\udd16 \\u00e9", "ai_persona": null}',
        '{"content": "x", "unknown": {"a": 1}}',
        '{"content": "x", "on_busy": "reject", "reply": "none"}',
        '{"content": "x", "metadata": {"a": [1, 1.0, -0.0, 1e2, 9223372036854775807, true], "b": {"c": []}}}',
        '{"content": "x", "metadata": {"a": 0.1, "b": 123456789.123456789, "a": 2}}',
        '\n {"content": "x"} \n',
        '\ufeff{"content": "x"}',
        '{"content": 5}',
        '{"content": "\\ud83e"}',
        '{"content": "x", "metadata": {"a": NaN}}',
        "{",
        "",
    ],
)
async def test_the_short_way_of_a_send_takes_and_refuses_what_the_long_way_does(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: str
) -> None:
    found = []
    for content_type in ("application/json", "application/json; charset=utf-8"):
        gateway.calls.clear()
        answer = await client.post(PATH, content=body.encode(), headers={"Content-Type": content_type})
        form = answer.json()
        form.pop("request_id", None)
        sent = [call for call in gateway.calls if call[0] == "send_message"]
        found.append((answer.status_code, form, repr(sent)))
    assert found[0] == found[1]
