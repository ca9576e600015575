"""An installation that `parlor up` starts in a running cluster."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.client import Client
from tests.cluster.ray_nodes import COMMAND_SECONDS, Cluster

UPGRADE_SECONDS = 600.0


class ClusterInstallation:
    """``name`` tells it apart from others on the same servers."""

    def __init__(self, cluster: Cluster, name: str, redis_url: str, mysql_url: str, variables: dict[str, str]) -> None:
        self._cluster = cluster
        self._where = ("--data-dir", str(cluster.directory / name))
        self._servers = ("--servers", "external", "--redis-url", redis_url, "--mysql-url", database(mysql_url, name))
        self._variables = {"PARLOR_REDIS__PREFIX": name, "PARLOR_API__HOST": "127.0.0.1", **variables}

    def up(self) -> None:
        edge = ("--port", str(self._cluster.plan.http), "--ray-address", self._cluster.address)
        self._run("up", "--detach", *self._servers, *edge)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._run("status", "--json"))
        return found

    def client(self, account: str) -> Client:
        return Client(self._cluster.url, self.token(account))

    def token(self, account: str, *options: str) -> str:
        return self._run("token", account, *options).strip()

    def upgrade(self) -> None:
        """Every process gets a new one, which runs the same version."""
        self._run("upgrade", "--all", seconds=UPGRADE_SECONDS)

    def down(self) -> None:
        self._run("down")

    def _run(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        return self._cluster.run("parlor", *arguments, *self._where, seconds=seconds, **self._variables)


def database(server_url: str, name: str) -> str:
    """The URL of another database on the private server (``tests.servers``)."""
    return server_url.replace("/parlor?", f"/{name}?")


def nodes_of(status: dict[str, Any], kind: str) -> set[str]:
    """The nodes of those actors of a kind that answer."""
    return {actor["node"] for actor in status["actors"] if actor["kind"] == kind and actor["alive"]}


def places(status: dict[str, Any]) -> dict[str, set[str]]:
    """Node -> rooms of its actors."""
    found: dict[str, set[str]] = {}
    for actor in status["actors"]:
        if actor["rooms"]:
            found.setdefault(actor["node"], set()).update(actor["rooms"])
    return found
