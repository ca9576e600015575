"""Where replicas take calls of each other."""

from __future__ import annotations

import inspect
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from ray.serve._private import replica

    from api import node_ports

pytestmark = pytest.mark.unit


class Server:
    def __init__(self) -> None:
        self.addresses: list[str] = []

    def add_insecure_port(self, address: str) -> int:
        self.addresses.append(address)
        return 1


@pytest.mark.parametrize(
    ("node", "listens"), [("127.0.0.1", "127.0.0.1:0"), ("10.1.2.3", "10.1.2.3:0"), ("fd00::2", "[fd00::2]:0")]
)
def test_they_listen_on_the_nodes_address(monkeypatch: pytest.MonkeyPatch, node: str, listens: str) -> None:
    monkeypatch.setitem(vars(replica), "add_port_to_grpc_server", None)  # put back at the end
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: node)
    node_ports.install()
    server = Server()
    opened = vars(replica)["add_port_to_grpc_server"]
    assert opened(server, node_ports.EVERYWHERE) == 1
    opened(server, "192.0.2.1:80")
    assert server.addresses == [listens, "192.0.2.1:80"]


def test_serve_still_opens_the_port_that_is_replaced() -> None:
    source = inspect.getsource(replica)
    assert f'add_port_to_grpc_server(self._server, "{node_ports.EVERYWHERE}")' in source
