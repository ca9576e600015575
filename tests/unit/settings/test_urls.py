"""URLs that cannot work are refused with what to do about it, and without their passwords."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from parlor.settings import LlmSettings, RedisSettings, StoreSettings
from parlor.settings.redis_urls import redis_servers
from parlor.settings.urls import without_password

pytestmark = pytest.mark.unit

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://127.0.0.1:11434/v1",
        "https://api.openai.com/v1/",
        "http://[::1]:8080/v1",
        "http://me:p%40ss@host/v1",
        "https://host/openai/deployments/x?api-version=2024-10-21",
        "HTTP://host/v1",
        "http://my_host/v1/models-of-mine",
    ],
)
def test_the_url_of_an_api_is_taken_as_it_is(url: str) -> None:
    assert LlmSettings(base_url=url).base_url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("127.0.0.1:11434/v1", "does not begin with http://"),
        ("localhost:11434/v1", "does not begin with http://"),
        ("http:/host/v1", "does not begin with http://"),
        ("not a url", "there is a blank in it"),
        ("http://host /v1", "there is a blank in it"),
        (" http://host/v1 ", "blanks around"),
        ('"http://host/v1"', "quotes around"),
        ("'http://host/v1'", "quotes around"),
        ("http://ho\nst/v1", "cannot be seen"),
        ("ftp://host/v1", "begins with ftp://"),
        ("http://", "no host"),
        ("http:///v1", "no host"),
        ("http://:8000/v1", "no host"),
        ("http://host:port/v1", "cannot be read"),
        ("http://host:99999/v1", "cannot be read"),
        ("http://host:0/v1", "port is 0"),
        ("http://[::1/v1", "cannot be read"),
        ("http://host/v1#models", "leave out #models"),
        ("http://host/v1/chat/completions", "leave out /chat/completions"),
        ("http://host/v1/chat/completions/", "leave out /chat/completions"),
        ("http://host/v1/models?x=y", "leave out /models"),
    ],
)
def test_a_url_of_an_api_that_cannot_work_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LlmSettings(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://",
        "redis://:pw@h:6379/0",
        "redis://:pw@/0",
        "rediss://u:pw@h/15?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "unix://u:pw@/run/redis.sock",
        "redis+sentinel://h:26379,h2,[::1]:26380/mymaster",
        "rediss+sentinel://u:p%40w@h/mymaster/3?sentinel_password=s&ssl_cert_reqs=none",
        "redis+cluster://h:6379,h2:6380",
        "rediss+cluster://u:pw@h/",
    ],
)
def test_the_url_of_a_redis_is_taken_as_it_is(url: str) -> None:
    assert RedisSettings.model_validate({"url": url}).url.get_secret_value() == url


@pytest.mark.parametrize(
    ("kind", "given", "why"),
    [
        (RedisSettings, {"url": "host:6379"}, "does not begin with redis://"),
        (RedisSettings, {"url": f"http://:{PASSWORD}@host"}, "begins with http://"),
        (RedisSettings, {"url": f"redis://:{PASSWORD}@host/cache"}, "not the number of a database"),
        (RedisSettings, {"url": f"redis://:{PASSWORD}/x@host"}, "write @ as %40"),
        (RedisSettings, {"url": f"redis://:{PASSWORD}#x@host"}, "write @ as %40"),
        (RedisSettings, {"url": "unix://"}, "no path"),
        (RedisSettings, {"url": "redis://:6379/0"}, "no host"),
        (RedisSettings, {"url": f"redis+sentinel://:{PASSWORD}@h:1,h:2"}, "not a service"),
        (RedisSettings, {"url": f"redis+sentinel://:{PASSWORD}@h:1/a/b"}, "not a service"),
        (RedisSettings, {"url": f"redis+sentinel://:{PASSWORD}@h:x/a"}, "cannot be read"),
        (RedisSettings, {"url": f"redis+sentinel://:{PASSWORD}@h,,h/a"}, "hosts is empty"),
        (RedisSettings, {"url": f"redis+sentinel://:{PASSWORD}#x@h/a"}, "write @ as %40"),
        (RedisSettings, {"url": f"redis+cluster://:{PASSWORD}@h:1/1"}, "no database but 0"),
        (RedisSettings, {"url": f"redis+cluster://:{PASSWORD}@h:0"}, "port is 0"),
        (StoreSettings, {"urls": [f"postgres://u:{PASSWORD}@h/d"]}, "begins with postgres://"),
        (StoreSettings, {"urls": [f"mysql://u:{PASSWORD}@h:x/d"]}, "cannot be read"),
        (StoreSettings, {"global_url": f"u:{PASSWORD}@h/d"}, "does not begin with mysql://"),
    ],
)
def test_a_url_of_a_server_that_cannot_work_is_refused_without_its_password(
    kind: type[BaseModel], given: dict[str, object], why: str
) -> None:
    with pytest.raises(ValidationError, match=why) as caught:
        kind.model_validate(given)
    assert all(PASSWORD not in error["msg"] for error in caught.value.errors())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://u:hunter2@h/d", "mysql://u:***@h/d"),
        ("redis://:hunter2@h", "redis://:***@h"),
        ("redis://:hun/ter2@h:1/0", "redis://:***@h:1/0"),
        ("redis://:hun@ter2@h", "redis://:***@h"),
        ("http://h:80/v1?x=y", "http://h:80/v1?x=y"),
        ("http://h/v1", "http://h/v1"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_several_servers_are_named_by_their_hosts_with_the_ports_that_they_usually_have() -> None:
    found = redis_servers("rediss+sentinel://u:p%40w@h,[::1]:7/mymaster/3?ssl_cert_reqs=none")
    assert found.hosts == (("h", 26379), ("::1", 7))
    assert (found.kind, found.service, found.replicated) == ("sentinel", "mymaster", True)
    assert found.url == "rediss://u:p%40w@h:26379/3?ssl_cert_reqs=none"
    found = redis_servers("redis+cluster://h:1,h2")
    assert (found.kind, found.hosts, found.url) == ("cluster", (("h", 1), ("h2", 6379)), "redis://h:1")
    assert not redis_servers("redis://h").replicated
