"""An address at which no Ray is: said at once, whatever is there instead."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from parlor_cli import ray_address, ray_cluster
from parlor_cli.checks import check
from parlor_cli.options import UpOptions
from parlor_cli.ray_address import why_no_ray
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@contextmanager
def answering(said: bytes | None) -> Iterator[str]:
    """The address of a server that says this to whoever connects; None: it accepts, and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepted: list[socket.socket] = []

        def serve() -> None:
            accepted.append(listening.accept()[0])
            if said is not None:
                accepted[0].recv(100)
                accepted[0].sendall(said)
                # Who asks may have read enough, and left.
                with suppress(OSError):
                    accepted[0].shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.join(10)
            for connection in accepted:
                connection.close()


@pytest.fixture
def closed() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_a_server_that_speaks_as_ray_does_may_be_one() -> None:
    with answering(SETTINGS_FRAME) as address:
        assert why_no_ray(address) == ""


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n", b"\0"])
def test_another_server_is_none(said: bytes) -> None:
    with answering(said) as address:
        assert why_no_ray(address) == "what answers there is no Ray"


def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_address, "_ANSWER_S", 0.1)
    with answering(None) as address:
        assert why_no_ray(address) == "no Ray answers there: timed out"


def test_ray_itself_asks_a_server_that_has_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    with answering(b"") as address:
        assert why_no_ray(address) == ""


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "ray://127.0.0.1:10001", "http://h:6379", ":6379", "h:", "h:0", "h:65536", "h:x", "local"]
)
def test_another_form_of_address_is_refused(address: str) -> None:
    assert why_no_ray(address).startswith("it has to be the host:port of Ray's GCS")


def test_ray_looks_up_auto() -> None:
    assert why_no_ray("auto") == ""


def test_up_refuses_it_before_anything_starts(closed: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=rf"--ray-address is '{closed}': no Ray answers there: Connection refused"):
        check(UpOptions(data_dir=tmp_path / "data", ray_address=closed))


def test_every_other_command_does_without_asking_ray(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Refusal, match=f"cannot connect to Ray at {closed}: no Ray answers there"):
        ray_cluster.join(closed, "parlor")
