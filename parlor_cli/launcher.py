"""The launcher: the one process that owns everything that `parlor up` starts.

    python -m parlor_cli.launcher       options as JSON on standard input, progress as JSON lines on standard output

It runs in a session of its own, so that Ctrl-C at a terminal reaches it as a request to drain and not its children as
a blow. SIGTERM (or SIGINT) drains; a second one forces. All servers are started from its main thread: the kernel ends
them when that thread ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import msgspec

from parlor.cache.server_check import ServerReport, check_server
from parlor.errors import ParlorError
from parlor.settings import Settings
from parlor_cli import leftovers, ports, processes, ray_cluster
from parlor_cli.backing import ManagedServer, RedisPlace, StorePlace, demo_plan, durability
from parlor_cli.configuration import merge
from parlor_cli.ingress import Ingress
from parlor_cli.installation import Installation, RunFile
from parlor_cli.options import UpOptions, decide, effective
from parlor_cli.progress import PipeProgress, Progress
from parlor_cli.ray_cluster import RayHead
from parlor_cli.refusal import Refusal
from parlor_cli.servers.tether import die_with
from parlor_cli.summary import summary

_WATCH_S = 0.5
"""How often the children are looked at."""
_DRAIN_MARGIN_S = 30.0
"""What the drain gets beyond its parts' own timeouts."""
_SERVE_STOP_S = 20.0
_RAY_STOP_S = 15.0


class Stopped(Exception):
    """A signal asked for the end while the start was still under way."""


class Launcher:
    """Starts in order, watches, stops in reverse order."""

    def __init__(self, installation: Installation, options: UpOptions, progress: Progress) -> None:
        self._installation = installation
        self._options = options
        self._progress = progress
        self._stop_asked = threading.Event()
        self._forced = threading.Event()
        self._starting = False
        self._interrupted = False
        self._servers_managed: list[ManagedServer] = []
        self._head: RayHead | None = None
        self._actors = False
        self._ingress: Ingress | None = None
        self._settings: Settings | None = None
        self._run = RunFile(
            boot_id=processes.boot_id(),
            launcher=processes.reference(os.getpid()),
            runtime_dir=str(installation.runtime_dir),
            started_at=int(time.time()),
        )

    @property
    def interrupted(self) -> bool:
        """Whether a signal broke off the start."""
        return self._interrupted

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """The first one asks for the end (a start under way is given up at once), a second one forces it."""
        if self._stop_asked.is_set():
            self._forced.set()
        self._stop_asked.set()
        if self._starting:
            self._starting = False
            self._interrupted = True
            raise Stopped

    def start(self) -> None:
        """Every step of the start. Raises ``Refusal``, or ``Stopped`` after a signal."""
        installation, options = self._installation, self._options
        self._starting = True
        self._hear_signals()
        with self._step("lock", f"{installation.data_dir}") as done:
            ended = leftovers.end(installation)
            installation.remove_runtime_dir()
            installation.make_runtime_dir()
            done(f"{installation.data_dir}" + (f"; ended what a killed run left: {', '.join(ended)}" if ended else ""))
        self._record()

        with self._step("secrets", "JWT secret, Ray token") as done:
            installation.jwt_secret()
            installation.ray_token()
            overrides = options.overrides()
            given = effective(installation, overrides)
            blueprint = decide(options, given, installation.founding)
            if given.api.port:
                ports.require(given.api.host, given.api.port)
            plan = ports.choose(http=given.api.port, dashboard=given.ray.dashboard_port, seed=installation.founding.id)
            overrides = merge(overrides, {"api": {"port": plan.http}, "store": {"partitions": blueprint.partitions}})
            done("JWT secret, Ray token")

        with self._step("redis", "starting") as done:
            redis_place = RedisPlace(installation, blueprint.redis)
            server_plan = redis_place.plan()
            if server_plan is not None:
                self._manage(ManagedServer(server_plan))
            overrides = merge(overrides, redis_place.overrides())
            report = self._check_redis(effective(installation, overrides))
            done(f"{redis_place.title}, {report.version}")
        for warning in report.warnings:
            self._progress.say("warn", warning, step="redis")

        with self._step("databases", "starting") as done:
            store_place = StorePlace(installation, blueprint)
            server_plan = store_place.plan()
            if server_plan is not None:
                self._manage(ManagedServer(server_plan))
            overrides = merge(overrides, store_place.overrides())
            settings = effective(installation, overrides)
            steps = self._migrate(settings)
            done(f"{store_place.title}; {steps} migration step{'' if steps == 1 else 's'}")
        # From here on there is data: what it was made with holds for good.
        made = blueprint.store != "external"
        installation.record(
            msgspec.structs.replace(
                installation.founding,
                redis=blueprint.redis,
                store=blueprint.store,
                partitions=blueprint.partitions,
                shards=blueprint.shards if made else None,
            )
        )

        demo = demo_plan(installation, settings)
        if demo is not None:
            with self._step("model", "starting") as done:
                self._manage(ManagedServer(demo[0]))
                overrides = merge(overrides, demo[1])
                done("the demo model, because no LLM is configured (OPENAI_API_KEY or PARLOR_LLM__BASE_URL)")
        if given.llm.personas_file:
            overrides = merge(overrides, {"llm": {"personas_file": str(Path(given.llm.personas_file).absolute())}})
        settings = self._settings = effective(installation, overrides)
        # Ray's workers look for modules in the driver's directory first: it must not be one with an `api` of its own.
        os.chdir(installation.data_dir)

        with self._step("ray", "starting") as done:
            haproxy = self._start_ray(settings, plan)
            done(f"private, dashboard on port {plan.dashboard}" if self._run.private_ray else "joined")
        installation.write_settings(settings.dump_secrets())
        self._record()

        from actors import bootstrap

        with self._step("actors", "starting") as done:
            bootstrap.ensure_supervisor(settings)
            self._actors = True
            done(f"namespace {settings.ray.namespace}")

        with self._step("http", "starting") as done:
            self._ingress = Ingress(settings, haproxy=haproxy, shared=not self._run.private_ray)
            self._ingress.start()
            done(self._ingress.title)

        with self._step("ready", "waiting for /readyz"):
            self._ingress.wait_until_ready(self._check_stop)
        self._run = msgspec.structs.replace(self._run, ready=True, url=self._ingress.url, ingress=self._ingress.title)
        self._record()
        text = summary(settings, self._run, installation, durability(redis_place, store_place), demo=demo is not None)
        self._starting = False
        self._progress.say("summary", text)
        self._progress.say("ready", f"Ready at {self._ingress.url}")

    def watch(self) -> int:
        """Until a signal, or until something died that cannot be started again. Returns the exit code."""
        while not self._stop_asked.wait(_WATCH_S):
            for managed in self._servers_managed:
                try:
                    news = managed.look()
                except Refusal as refusal:
                    news = refusal.message
                if news is not None:
                    self._warn(news)
                    self._record()
            for name, ref in self._head.processes.items() if self._head else ():
                if not processes.is_alive(ref):
                    self._warn(f"Ray's {name} (pid {ref.pid}) ended; without it nothing can go on")
                    return 1
        return 0

    def stop(self, *, drain: bool) -> None:
        """Everything in reverse, each step within its time; a second signal skips what waits."""
        self._starting = False
        self._stop_asked.set()
        settings = self._settings
        if settings is not None and self._actors and drain:
            from actors import bootstrap

            seconds = settings.rooms.drain_timeout.total_seconds()
            # Rooms, then queues, then actors: each may take that long.
            bound = 3 * seconds + _DRAIN_MARGIN_S
            self._bounded("drain", lambda: bootstrap.shut_down(settings, seconds), bound)
        if self._ingress is not None and drain:
            self._bounded("http", self._ingress.stop, _SERVE_STOP_S)
        if self._head is not None:
            self._bounded("ray", ray_cluster.leave, _RAY_STOP_S)
        for managed in reversed(self._servers_managed):
            managed.server.stop()
        leftovers.end(self._installation, grace_s=1.0)
        self._installation.clear_run()
        self._installation.remove_runtime_dir()
        self._progress.say("note", "stopped", step="down")

    def _start_ray(self, settings: Settings, plan: ports.PortPlan) -> bool:
        """Returns whether HAProxy takes the requests."""
        installation = self._installation
        if settings.ray.address:
            self._progress.say(
                "warn",
                f"joining Ray at {settings.ray.address}: its authentication, ports and proxy are its own affair",
                step="ray",
            )
            self._head = ray_cluster.join(settings.ray.address, settings.ray.namespace)
            self._hear_signals()
            self._run = msgspec.structs.replace(self._run, private_ray=False)
            return os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
        binary = ray_cluster.haproxy_binary()
        command = ray_cluster.install_haproxy_command(installation, settings, binary) if binary else None
        ray_cluster.enter(ray_cluster.environment(installation, settings, plan, command))
        self._head = ray_cluster.start(installation, settings, plan)
        # Ray put its own handler in place of ours.
        self._hear_signals()
        return command is not None

    def _check_redis(self, settings: Settings) -> ServerReport:
        try:
            return asyncio.run(check_server(settings.redis))
        except ParlorError as error:
            raise Refusal(f"Redis cannot be used: {error.detail} {error.debug}".rstrip()) from error

    def _migrate(self, settings: Settings) -> int:
        from parlor_cli.migrate import apply

        report = apply(settings, lambda step: print(f"migration: {step}", flush=True))
        return sum(len(database.applied) for database in report.databases)

    def _manage(self, managed: ManagedServer) -> None:
        self._servers_managed.append(managed)
        self._record()

    def _record(self) -> None:
        """The run file says what runs now, so that a later command finds it even after a crash."""
        found = {one.plan.name: one.server.ref for one in self._servers_managed}
        if self._head is not None:
            found |= self._head.processes
            self._run = msgspec.structs.replace(
                self._run,
                ray_address=self._head.address,
                dashboard_url=self._head.dashboard_url,
                namespace=self._settings.ray.namespace if self._settings else "",
            )
        self._run = msgspec.structs.replace(self._run, processes=found)
        self._installation.write_run(self._run)

    @contextlib.contextmanager
    def _step(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Tells that a step begins, and with what the block passes on, how it ended."""
        self._check_stop()
        self._progress.say("begin", doing, step=name)
        told = doing

        def tell(text: str) -> None:
            nonlocal told
            told = text

        yield tell
        self._progress.say("done", told, step=name)

    def _check_stop(self) -> None:
        if self._stop_asked.is_set():
            raise Stopped

    def _bounded(self, name: str, act: Callable[[], None], seconds: float) -> None:
        """Runs one step of the stop in a thread: the main one keeps the time and hears signals."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - told below; the stop goes on whatever one step does
                failures.append(error)

        self._progress.say("begin", f"at most {seconds:g} s", step=name)
        began = time.monotonic()
        thread = threading.Thread(target=run, name=f"stop-{name}", daemon=True)
        thread.start()
        while thread.is_alive() and time.monotonic() - began < seconds and not self._forced.is_set():
            thread.join(0.1)
        if failures:
            self._warn(f"{name} failed: {failures[0]!r}")
        elif thread.is_alive():
            self._warn(f"{name} {'was cut short' if self._forced.is_set() else f'took longer than {seconds:g} s'}")
        else:
            self._progress.say("done", f"{time.monotonic() - began:.1f} s", step=name)

    def _warn(self, text: str) -> None:
        self._progress.say("warn", text, step="launcher")
        print(text, file=sys.stderr, flush=True)

    def _hear_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)


def run(installation: Installation, options: UpOptions, progress: Progress) -> int:
    """From start to stop; returns the exit code. The caller holds the lock."""
    launcher = Launcher(installation, options, progress)
    drain = True
    try:
        launcher.start()
        code = launcher.watch()
        drain = code == 0
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and all is stopped
        code, drain = _failed(launcher, error, progress), False
    launcher.stop(drain=drain)
    return code


def _failed(launcher: Launcher, error: Exception, progress: Progress) -> int:
    """Tells why the start, or the watch, came to an end; returns the exit code."""
    if launcher.interrupted:
        # Not always a `Stopped`: a library that was being called may have made an error of its own of it.
        return 130
    if isinstance(error, Refusal):
        progress.say("failed", error.message)
        return error.exit_code
    # A defect: told to the person, in full in the log.
    traceback.print_exception(error)
    # Ray's errors carry the whole remote traceback; what happened is on its last line.
    said = str(error).strip().splitlines()[-1:] or [""]
    progress.say("failed", f"{type(error).__name__}: {said[0]}")
    return 1


def main() -> None:
    """Reads the options, moves the output into the log, and runs."""
    options = UpOptions.from_json(sys.stdin.buffer.read())
    progress = PipeProgress(os.dup(sys.stdout.fileno()))
    code = 1
    try:
        if options.tether is not None:
            die_with(options.tether, signal.SIGTERM)
        installation = Installation.found(options.data_dir)
        with installation.locked():
            _log_to(installation.logs_dir / "launcher.log")
            code = run(installation, options, progress)
    except Refusal as refusal:
        progress.say("failed", refusal.message)
        code = refusal.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    # A step that did not end in time still has its thread, and Ray its own: nothing of it may hold up the end.
    os._exit(code)


def _log_to(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("ab") as log, open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


if __name__ == "__main__":
    main()
