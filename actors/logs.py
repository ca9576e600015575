"""Logs: one JSON object a line on standard error, where Ray collects them; never a message's text, never a token."""

from __future__ import annotations

import logging
import sys

import structlog

from parlor.settings import LogSettings, Settings


def observe(settings: Settings, actor: str) -> None:
    """The logs and the traces of one actor's process."""
    configure_logs(settings.log, actor)
    if settings.traces.url:
        # Slow to import, and not needed without a collector.
        from actors.traces import trace_to

        trace_to(settings.traces, actor)


def configure_logs(settings: LogSettings, actor: str) -> None:
    """For one actor's process; ``actor`` is written into each line."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.format == "json" else structlog.dev.ConsoleRenderer()
    )

    def name_actor(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        # Not a context variable: tasks that Ray makes for an actor's methods do not have those of its constructor.
        event["actor"] = actor
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            name_actor,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Neither sys.stderr nor print: in a replica Serve has put its own in their places, with a buffer of 1,000 lines
        # that are written elsewhere.
        logger_factory=structlog.WriteLoggerFactory(sys.__stderr__),
        cache_logger_on_first_use=True,
    )
