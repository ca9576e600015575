"""The start of an installation, step by step; each step is shown as a line of progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from parlor.cache.server_check import ServerReport, check_server
from parlor.errors import ParlorError
from parlor.settings import Settings
from parlor.store.migrations import MigrationReport
from parlor_cli import front_end, leftovers, ports, ray_cluster
from parlor_cli.configuration import Overrides, merge
from parlor_cli.endpoints import RedisEndpoint, StoreEndpoint, demo_plan, durability
from parlor_cli.identity import claim_redis, require_own_databases
from parlor_cli.ingress import Ingress
from parlor_cli.installation import Installation
from parlor_cli.launcher_log import log
from parlor_cli.options import Blueprint, UpOptions, decide, effective
from parlor_cli.progress import Progress
from parlor_cli.refusal import Refusal
from parlor_cli.server_errors import redis_refusal
from parlor_cli.servers.managed import ManagedServer
from parlor_cli.servers.process import ServerPlan
from parlor_cli.signals import StopSignals
from parlor_cli.started import Started


class Startup:
    """Starts the servers, Ray, the actors and HTTP, in this order."""

    def __init__(
        self,
        installation: Installation,
        options: UpOptions,
        progress: Progress,
        signals: StopSignals,
        started: Started,
    ) -> None:
        self._installation = installation
        self._progress = progress
        self._signals = signals
        self._started = started
        self._options = options
        self._overrides = options.overrides()
        """The command line, and above it what each step decides."""

    def run(self) -> None:
        """Returns when `/readyz` answers 200. Raises ``Refusal``, or ``Stopped`` after a signal."""
        self._clear_leftovers()
        blueprint, plan = self._decide()
        redis = self._start_redis(blueprint)
        store = self._start_databases(blueprint)
        self._keep_databases(blueprint)
        self._claim_redis()
        self._keep_redis(blueprint)
        demo = self._find_model()
        self._find_tools()
        settings = self._complete_settings()
        haproxy = self._start_ray(settings, plan)
        self._start_actors(settings)
        ingress = self._start_http(settings, haproxy=haproxy)
        self._show_ready(settings, ingress, durability(redis, store), demo=demo)

    def _show_ready(self, settings: Settings, ingress: Ingress, durability: str, *, demo: bool) -> None:
        from parlor_cli.summary import summary

        text = summary(settings, self._started.run, self._installation, durability, demo=demo)
        self._signals.end_start()
        self._progress.show("summary", text)
        self._progress.show("ready", f"Ready at {ingress.url}")
        log("INFO", f"ready at {ingress.url}")

    def _clear_leftovers(self) -> None:
        installation = self._installation
        with self._step("lock", f"{installation.data_dir}") as done:
            ended = leftovers.end(installation)
            installation.remove_runtime_dir()
            installation.make_runtime_dir()
            done(f"{installation.data_dir}" + (f"; ended what a killed run left: {', '.join(ended)}" if ended else ""))
        self._started.record()

    def _decide(self) -> tuple[Blueprint, ports.PortPlan]:
        """Creates the secrets, and decides which servers to start and which ports to use."""
        installation = self._installation
        with self._step("secrets", "JWT secret, Ray token"):
            installation.jwt_secret()
            installation.ray_token()
            given = effective(installation, self._overrides)
            blueprint = decide(self._options, given, installation.founding)
            if given.api.port:
                ports.require(given.api.host, given.api.port)
            plan = ports.choose(http=given.api.port, dashboard=given.ray.dashboard_port, seed=installation.founding.id)
            self._override({"api": {"port": plan.http}, "store": {"partitions": blueprint.partitions}})
            connections = given.connections
            if given.api.spare is None and not given.ray.address:
                self._override({"api": {"spare": front_end.spare_replica_fits(given)}})
            if given.rooms.spare is None and not given.ray.address and front_end.spare_fits():
                self._override({"rooms": {"spare": True}})
            if connections.health_port:
                ports.require(connections.health_host, connections.health_port)
            elif not given.ray.address:
                self._override({"connections": {"health_port": plan.health}})
        return blueprint, plan

    def _start_redis(self, blueprint: Blueprint) -> RedisEndpoint:
        with self._step("redis", "starting") as done:
            prefix = effective(self._installation, self._overrides).redis.prefix
            endpoint = RedisEndpoint(self._installation, blueprint.redis, prefix)
            self._start_server(endpoint.plan())
            self._override(endpoint.overrides())
            report = self._check_redis(endpoint)
            done(f"{endpoint.title}, {report.version}")
        for warning in report.warnings:
            self._warn("redis", warning)
        return endpoint

    def _start_databases(self, blueprint: Blueprint) -> StoreEndpoint:
        with self._step("databases", "starting") as done:
            endpoint = StoreEndpoint(self._installation, blueprint)
            self._start_server(endpoint.plan())
            self._override(endpoint.overrides())
            report = self._migrate(effective(self._installation, self._overrides))
            self._override({"store": {"installation": report.installation}})
            self._publish_keys(effective(self._installation, self._overrides))
            steps = sum(len(database.applied) for database in report.databases)
            done(f"{endpoint.title}; {steps} migration step{'' if steps == 1 else 's'}")
        return endpoint

    def _keep_databases(self, blueprint: Blueprint) -> None:
        """There are databases from here on, so the decisions that they depend on become permanent."""
        installation = effective(self._installation, self._overrides).store.installation
        require_own_databases(self._installation, installation)
        founding = msgspec.structs.replace(
            self._installation.founding,
            store=blueprint.store,
            partitions=blueprint.partitions,
            shards=blueprint.shards if blueprint.store != "external" else None,
            installation=installation,
        )
        self._installation.record(founding)

    def _claim_redis(self) -> None:
        settings = effective(self._installation, self._overrides)
        with self._step("identity", f"installation {settings.store.installation}"):
            claim_redis(self._installation, settings)

    def _keep_redis(self, blueprint: Blueprint) -> None:
        self._installation.record(msgspec.structs.replace(self._installation.founding, redis=blueprint.redis))

    def _find_model(self) -> bool:
        """Asks the configured LLM once, or starts the demo model when there is none; whether it did."""
        settings = effective(self._installation, self._overrides)
        demo = demo_plan(self._installation, settings)
        if demo is not None:
            with self._step("model", "starting") as done:
                self._start_server(demo[0])
                self._override(demo[1])
                done("the demo model, because no LLM is configured (OPENAI_API_KEY or PARLOR_LLM__BASE_URL)")
            return True
        from parlor_cli import model_check

        with self._step("model", "asking") as done:
            warning = model_check.warning(settings)
            done(model_check.title(settings))
        if warning is not None:
            self._warn("model", f"{warning}. Until that is mended, replies may fail")
        return False

    def _find_tools(self) -> None:
        from parlor_cli import tools_check

        named = tools_check.servers(effective(self._installation, self._overrides))
        if not named:
            return
        with self._step("tools", f"asking {', '.join(server.name for server in named)}") as done:
            tools, wrong = tools_check.ask(named)
            done(f"{tools} of {len(named)} MCP server{'' if len(named) == 1 else 's'}")
        for problem in wrong:
            self._warn("tools", f"{problem}. Until that is mended, replies do without its tools")

    def _complete_settings(self) -> Settings:
        given = effective(self._installation, self._overrides)
        if given.llm.personas_file:
            self._override({"llm": {"personas_file": str(Path(given.llm.personas_file).expanduser().absolute())}})
        settings = self._started.settings = effective(self._installation, self._overrides)
        # Ray's workers look for modules in the driver's directory first, where another `api` could be.
        os.chdir(self._installation.data_dir)
        return settings

    def _start_ray(self, settings: Settings, plan: ports.PortPlan) -> bool:
        """Starts a private Ray, or joins the configured one; whether HAProxy takes the requests."""
        with self._step("ray", "starting") as done:
            if settings.ray.address:
                haproxy = self._join_ray(settings)
                done("joined")
            else:
                haproxy = self._start_private_ray(settings, plan)
                with_dashboard = f"dashboard on port {plan.dashboard}" if settings.ray.dashboard else "no dashboard"
                done(f"private, {with_dashboard}")
        self._installation.write_settings(settings.dump_secrets())
        self._installation.write_overrides(json.dumps(self._overrides))
        self._started.record()
        return haproxy

    def _join_ray(self, settings: Settings) -> bool:
        warning = f"joining Ray at {settings.ray.address}: its authentication, ports and proxy are its own affair"
        self._warn("ray", warning)
        self._started.head = ray_cluster.join(settings.ray.address, settings.ray.namespace)
        self._signals.install()
        self._started.run = msgspec.structs.replace(self._started.run, private_ray=False)
        return os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"

    def _start_private_ray(self, settings: Settings, plan: ports.PortPlan) -> bool:
        binary = front_end.haproxy_binary()
        command = front_end.install_command(self._installation, settings, binary) if binary else None
        ray_cluster.enter(ray_cluster.environment(self._installation, settings, plan, command))
        self._started.head = ray_cluster.start(self._installation, settings, plan)
        self._signals.install()
        return command is not None

    def _start_actors(self, settings: Settings) -> None:
        from actors import bootstrap
        from actors.contracts import ActorsFailed

        with self._step("actors", "starting") as done:
            try:
                bootstrap.ensure_supervisor(settings)
            except (ActorsFailed, TimeoutError) as error:
                raise Refusal(f"the actors did not start: {error}") from error
            self._started.actors = True
            done(f"namespace {settings.ray.namespace}")

    def _start_http(self, settings: Settings, *, haproxy: bool) -> Ingress:
        started = self._started
        with self._step("http", "starting") as done:
            ingress = started.ingress = Ingress(settings, haproxy=haproxy, shared=not started.run.private_ray)
            ingress.start()
            done(ingress.title)
        with self._step("ready", "waiting for /readyz"):
            ingress.wait_until_ready(self._signals.check)
        started.run = msgspec.structs.replace(
            started.run, ready=True, url=ingress.url, health_url=ingress.health_url, ingress=ingress.title
        )
        started.record()
        return ingress

    def _start_server(self, plan: ServerPlan | None) -> None:
        if plan is not None:
            self._started.add(ManagedServer(plan))

    def _warn(self, step: str, text: str) -> None:
        self._progress.show("warn", text, step=step)
        log("WARNING", f"{step}: {text}")

    def _override(self, more: Overrides) -> None:
        self._overrides = merge(self._overrides, more)

    def _check_redis(self, endpoint: RedisEndpoint) -> ServerReport:
        settings = effective(self._installation, self._overrides)
        admin = effective(self._installation, merge(self._overrides, endpoint.admin))
        try:
            return asyncio.run(check_server(settings.redis, admin.redis))
        except ParlorError as error:
            raise redis_refusal(settings.redis, error) from error

    def _migrate(self, settings: Settings) -> MigrationReport:
        from parlor_cli.migrate import apply

        return apply(settings, lambda step: log("INFO", f"migration: {step}"), self._installation)

    def _publish_keys(self, settings: Settings) -> None:
        from parlor_cli.signing_keys import publish

        try:
            publish(settings, self._installation.data_dir)
        except ParlorError as error:
            raise Refusal(f"the signing keys cannot be made known: {error.detail} {error.debug}".rstrip()) from error

    @contextlib.contextmanager
    def _step(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Shows that a step begins and, when the block has succeeded, its result, which the block passes on."""
        self._signals.check()
        self._progress.show("begin", doing, step=name)
        result = doing

        def set_result(text: str) -> None:
            nonlocal result
            result = text

        yield set_result
        self._progress.show("done", result, step=name)
