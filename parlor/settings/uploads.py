"""Files: where their bytes are, and which ones are taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from parlor.settings.section import Section
from parlor.settings.values import Text, TimeLimit, listed

_MEDIA_TYPE = r"^[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*$"


def _media_types(value: object) -> object:
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    return listed(value)


def _media_type(text: str) -> str:
    return text.strip().lower()


MediaTypes = Annotated[
    tuple[Annotated[str, AfterValidator(_media_type), Field(pattern=_MEDIA_TYPE)], ...], BeforeValidator(_media_types)
]


class FileSettings(Section):
    """Files that people send to the language model."""

    url: Text = Field(default="", pattern=r"^((file://)?/.*|(s3|gs|az)://[^/@?#]+(/[^?#]*)?)?$")
    """Where their bytes are: an absolute path of a directory (or its `file://` URL), which all machines of a cluster
    have to mount, or a bucket: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`. Its credentials,
    region and endpoint are the environment's, on every machine (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    `AWS_REGION`, `AWS_ENDPOINT`; `GOOGLE_SERVICE_ACCOUNT`; `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`).
    Empty: `files` in the data directory; in a cluster, files are then refused."""
    size_max: int = Field(default=20 * 1024 * 1024, ge=1, le=10 * 1024**3)
    """Most bytes of a file."""
    types: MediaTypes = (
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "application/pdf",
        "text/plain",
        "text/markdown",
        "text/csv",
        "application/json",
    )
    """Media types that are taken, with commas or as a JSON list. A file's type is found in its bytes;
    `application/octet-stream` is everything that is not recognised."""
    image_max: int = Field(default=5 * 1024 * 1024, ge=1, le=100 * 1024 * 1024)
    """Most bytes of an image that the language model is shown; of a larger one it is told that it is there."""
    upload_timeout: TimeLimit = timedelta(minutes=10)
    """Longest time for a file to arrive. Between two pieces of it, `PARLOR_CONNECTIONS__BODY_TIMEOUT` counts."""
    store_timeout: TimeLimit = timedelta(seconds=30)
    """Time limit of one step of the file store, such as reading a piece of a file."""
