"""Where a backup is, as the audit log has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor_cli.backup import named

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("place", "noted"),
    [
        ("/backups/monday", "/backups/monday"),
        ("file:///backups/a%20day", "file:///backups/a%20day"),
        ("s3://bucket/monday", "s3://bucket/monday"),
        ("s3://key:hunter2@bucket/monday?secret_access_key=hunter2", "s3://bucket/monday"),
        ("az://account/a?sig=hunter2@x://y", "az://account/a"),
        ("s3://" + "b" * 300, "s3://" + "b" * 250),
    ],
)
def test_a_place_is_written_down_without_credentials(place: str, noted: str) -> None:
    assert named(place) == noted


def test_a_path_is_written_down_whole() -> None:
    assert named("monday") == str(Path("monday").absolute())
