"""What `parlor up` prints when it is ready: addresses, and a first conversation."""

from __future__ import annotations

from parlor.settings import Settings
from parlor_cli import model_check
from parlor_cli.bearer import FIRST_ACCOUNT, sign
from parlor_cli.installation import Installation, RunFile


def summary(settings: Settings, run: RunFile, installation: Installation, durability: str, *, demo: bool) -> str:
    """Several lines, for the terminal only: they contain a token of the first account."""
    token = sign(settings, installation.data_dir, FIRST_ACCOUNT)
    model = model_check.title(settings)
    if demo:
        model = "demo model (set OPENAI_API_KEY or PARLOR_LLM__BASE_URL for a real one)"
    rows = [
        ("Web page", f"{run.url}/#token={token}"),
        ("API docs", f"{run.url}/docs"),
        ("Health", f"{run.health_url or run.url}/readyz"),
        ("Ray dashboard", run.dashboard_url or "none"),
    ]
    if run.private_ray and run.dashboard_url:
        rows.append(("  its token", installation.ray_token()))
    rows += [
        ("Ingress", run.ingress),
        ("LLM", model),
        ("Durability", durability),
        ("Data, logs", f"{installation.data_dir}, {installation.logs_dir}"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = ["", *(f"  {name:<{width}}  {value}" for name, value in rows), ""]
    lines += [
        "  A first conversation:",
        "",
        f"    TOKEN={token}",
        f'    ROOM=$(curl -s -X POST {run.url}/v1/rooms -H "Authorization: Bearer $TOKEN" \\',
        "      -H 'Content-Type: application/json' -d '{}' | sed 's/.*\"room_id\": *\"\\([^\"]*\\)\".*/\\1/')",
        f'    curl -N {run.url}/v1/rooms/$ROOM/messages -H "Authorization: Bearer $TOKEN" \\',
        "      -H 'Content-Type: application/json' -H 'Accept: text/event-stream' -d '{\"content\": \"Hello!\"}'",
        "",
    ]
    return "\n".join(lines)
