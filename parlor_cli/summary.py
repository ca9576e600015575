"""What `parlor up` prints when it is ready: addresses, and a first conversation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from parlor.settings import Settings
from parlor_cli import model_check, sign_in
from parlor_cli.bearer import FIRST_ACCOUNT, sign
from parlor_cli.installation import Installation, RunFile
from parlor_cli.refusal import Refusal

TOKEN_TTL = timedelta(hours=1)
"""Of the token for a first curl: what a start prints may be kept in logs."""


def summary(settings: Settings, run: RunFile, installation: Installation, durability: str, *, demo: bool) -> str:
    """Several lines, for the terminal only: they contain a sign-in code and a brief token of the first account."""
    token = sign(settings, installation.data_dir, FIRST_ACCOUNT, TOKEN_TTL)
    model = model_check.title(settings)
    if demo:
        model = "demo model (set OPENAI_API_KEY or PARLOR_LLM__BASE_URL for a real one)"
    rows = [
        *page_rows(settings, run.url, installation.data_dir),
        ("API docs", f"{run.url}/docs"),
        ("Health", f"{run.health_url or run.url}/readyz"),
        ("Ray dashboard", run.dashboard_url or "none"),
    ]
    if run.private_ray and run.dashboard_url:
        rows.append(("  its token", installation.ray_token()))
    if run.metrics_url:
        rows.append(("Metrics", f"{run.metrics_url} (for Prometheus)"))
    rows += [
        ("Ingress", run.ingress),
        ("LLM", model),
        ("Durability", durability),
        ("Data, logs", f"{installation.data_dir}, {installation.logs_dir}"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = ["", *(f"  {name:<{width}}  {value}" for name, value in rows), ""]
    lines += [
        "  A first conversation (the token is good for an hour; `parlor token` prints another):",
        "",
        f"    TOKEN={token}",
        f'    ROOM=$(curl -s -X POST {run.url}/v1/rooms -H "Authorization: Bearer $TOKEN" \\',
        "      -H 'Content-Type: application/json' -d '{}' | sed 's/.*\"room_id\": *\"\\([^\"]*\\)\".*/\\1/')",
        f'    curl -N {run.url}/v1/rooms/$ROOM/messages -H "Authorization: Bearer $TOKEN" \\',
        "      -H 'Content-Type: application/json' -H 'Accept: text/event-stream' -d '{\"content\": \"Hello!\"}'",
        "",
    ]
    return "\n".join(lines)


def page_rows(settings: Settings, url: str, data_dir: Path) -> list[tuple[str, str]]:
    """The page, with a code that signs the first account in, and what prints another one."""
    again = f"parlor sign-in --data-dir {data_dir}"
    try:
        address = sign_in.link(settings, url, data_dir, FIRST_ACCOUNT)
    except Refusal as refusal:
        # Everything runs: a link can be had later.
        return [("Web page", url), ("  sign in", f"{again} ({refusal.message})")]
    once = f"signs {FIRST_ACCOUNT} in, once, within {sign_in.SECONDS} s; another link: {again}"
    return [("Web page", address), ("", once)]
