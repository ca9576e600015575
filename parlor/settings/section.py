"""What every section of the settings is: frozen, and strict about the names of its fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section; the docstring under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def in_order(section: BaseModel, least: str, most: str) -> None:
    """Raises ``ValueError`` when the one field is above the other."""
    low, high = getattr(section, least), getattr(section, most)
    if low > high:
        raise ValueError(f"{least} is {low}, which is more than {most}, {high}")
