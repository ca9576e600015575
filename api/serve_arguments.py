"""The arguments of the Serve application, typed: ``args`` in ``serve_config.yaml``, and the words behind `serve run`.

Each is a setting, named like its variable, in lower case and without the prefix: ``api__max_streams``. Serve builds the
model before it builds or deploys anything, so a name or a value that is wrong is said there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, create_model
from pydantic.fields import FieldInfo

from parlor.settings import Settings


def _settings() -> Iterator[tuple[str, str, FieldInfo]]:
    """Section, field, and what it is, of each setting that is in a section."""
    for section, part in Settings.model_fields.items():
        if isinstance(part.default, BaseModel):
            for field, info in type(part.default).model_fields.items():
                yield section, field, info


def _is_secret(info: FieldInfo) -> bool:
    return "SecretStr" in str(info.annotation) or isinstance(info.default, SecretStr)


def _fields() -> dict[str, Any]:
    """Without secrets, which come from the environment: Serve shows arguments in its dashboard."""
    return {
        f"{section}__{field}": (info.annotation, FieldInfo.merge_field_infos(info, default=None, default_factory=None))
        for section, field, info in _settings()
        if not _is_secret(info)
    }


_Arguments = create_model("_Arguments", __config__=ConfigDict(extra="forbid", frozen=True), **_fields())


class Arguments(_Arguments):  # type: ignore[misc, valid-type]  # made from the settings, so that each is there once
    """Settings over the environment's. Those that are not given are the environment's."""

    def sections(self) -> dict[str, dict[str, object]]:
        """What was given, as ``Configuration`` takes it: section, field, value."""
        found: dict[str, dict[str, object]] = {}
        for name in self.model_fields_set:
            section, _, field = name.partition("__")
            found.setdefault(section, {})[field] = getattr(self, name)
        return found
