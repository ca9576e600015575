"""Files: upload, list, download, delete."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.byte_ranges import Unsatisfiable, is_current, range_of
from api.edge import edge_of
from api.file_schemas import FileListRequest, FileListResponse, FileResponse
from api.openapi import WITH_BODY, Responses, refusals
from api.uploads import FileName, file_of
from parlor.errors import FileNotFound, LimitReached
from parlor.files.files import Upload
from parlor.model.files import File
from parlor.model.wire import JsonForm, timestamp

PATH = "/v1/files"
FORM_MAX = 64 * 1024
"""Bytes that a form may have around its file."""

router = APIRouter(prefix=PATH, tags=["files"], route_class=AuthenticatedRoute)

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                },
            }
        },
    }
}
_BYTES: dict[str, Any] = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
_PARTIAL: Responses = {
    206: {"description": "The range", **_BYTES},
    304: {"description": "`If-None-Match` has it"},
    416: {"description": "`invalid-request`: no byte of the file is in the range"},
}


@router.post(
    "",
    status_code=201,
    response_model=FileResponse,
    responses=refusals(LimitReached, *WITH_BODY),
    openapi_extra=_FORM,
    summary="Upload",
)
async def upload_file(request: Request) -> Response:
    """One file, as the field `file` of a form. Its type is found in its bytes; types that are not taken are 415.

    An account's equal bytes are kept, and count, once; under the same name they are the file that is there already.
    """
    edge, caller = edge_of(request), caller_of(request)
    give_back = edge.limits.uploads.take(caller.session.account_id)
    try:
        async with edge.gateway.files.receive(caller.session) as incoming:
            file = await _take(request, incoming)
    finally:
        give_back()
    return answers.answer(_form(file), 201, {"Location": f"{PATH}/{file.file_id}"})


async def _take(request: Request, incoming: Upload) -> File:
    name = ""
    async with aclosing(file_of(request)) as found:
        async for part in found:
            if isinstance(part, FileName):
                name = part.name
            else:
                await incoming.write(part)
    return await incoming.keep(name)


@router.get("", response_model=FileListResponse, responses=refusals(), summary="List")
async def list_files(request: Request, query: Annotated[FileListRequest, Query()]) -> Response:
    """The account's files, newest first."""
    page = await edge_of(request).gateway.files.page(caller_of(request).session, query.limit, query.cursor)
    return answers.answer({"files": [_form(file) for file in page.files], "next_cursor": page.next_cursor})


@router.get(
    "/{file_id}",
    response_class=Response,
    responses={**refusals(FileNotFound), 200: {"description": "The bytes", **_BYTES}, **_PARTIAL},
    summary="Download",
)
async def download_file(request: Request, file_id: str) -> Response:
    """The bytes, or the `Range` of them that is asked for, always as an attachment."""
    files = edge_of(request).gateway.files
    file = await files.file(caller_of(request).session, file_id.lower())
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": _attachment(file.name),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if is_current(request, etag):
        return Response(status_code=304, headers=headers)
    try:
        asked = range_of(request, file.size, etag)
    except Unsatisfiable:
        outside = {"Content-Range": f"bytes */{file.size}"}
        raise HTTPException(416, f"The file has {file.size} bytes", outside) from None
    start, stop = asked or (0, file.size)
    headers["Content-Length"] = str(stop - start)
    if asked is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    chunks = files.read(file, start, stop)
    # Read before the answer begins, so that bytes that are not there can still be answered with a problem.
    first = await anext(chunks, b"")
    status = 200 if asked is None else 206
    return _Download(_body(first, chunks), status, headers, media_type=_content_type(file.media_type))


@router.delete("/{file_id}", status_code=204, responses=refusals(FileNotFound), summary="Delete")
async def delete_file(request: Request, file_id: str) -> Response:
    """The file is gone. Messages that name it keep its name, and say so."""
    await edge_of(request).gateway.files.delete(caller_of(request).session, file_id.lower())
    return Response(status_code=204)


class _Download(StreamingResponse):
    """Lets go of the bytes when the client has gone, however that shows."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks):
            await super().__call__(scope, receive, send)

    def __init__(self, chunks: AsyncGenerator[bytes], status: int, headers: dict[str, str], media_type: str) -> None:
        super().__init__(chunks, status, headers, media_type)
        self._chunks = chunks


async def _body(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace("\\", "_").replace('"', "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _content_type(media_type: str) -> str:
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def _form(file: File) -> JsonForm:
    return {
        "file_id": file.file_id,
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "sha256": file.sha256,
        "created_at": timestamp(file.created_at),
    }
