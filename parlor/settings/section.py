"""What every section of the settings is: frozen, and strict about the names of its fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """A section; the docstring under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """pydantic takes `port = true` for 1."""
        if isinstance(value, bool) and "bool" not in str(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError(f"a value is expected, not {str(value).lower()}")
        return value


def in_order(section: BaseModel, least: str, most: str) -> None:
    """Raises ``ValueError`` when the one field is above the other."""
    low, high = getattr(section, least), getattr(section, most)
    if low > high:
        raise ValueError(f"{least} is {low}, which is more than {most}, {high}")
