"""A server that speaks the calls of S3 that a file store needs, and fails on demand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from aiohttp import web

NAME = "parlor-files"
_PAGE = 2
"""Objects of one page of a list: few, so that every test has several."""


class Bucket:
    """``objects`` has what is there, by key. ``status`` refuses every request with it, with ``code`` as S3 says why;
    ``cut`` ends connections in the middle of what comes or goes; ``hangs`` answers nothing."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.stored_at = datetime.now(UTC).replace(microsecond=0)
        self.asked: list[str] = []
        self.parts: dict[str, dict[int, bytes]] = {}
        """Uploads in parts that are not complete."""
        self.status, self.code = 0, ""
        self.fails_puts = False
        """Whether ``status`` refuses uploads only."""
        self.cut = False
        self.hangs = False
        self.url = ""
        self._released = asyncio.Event()

    def age(self, hours: int) -> None:
        self.stored_at -= timedelta(hours=hours)

    def release(self) -> None:
        self._released.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.method)
        if self.hangs:
            await self._released.wait()
        if self.cut:
            await request.content.readany()
            if request.transport is not None:
                request.transport.abort()
        if self.status and (not self.fails_puts or request.method in ("PUT", "POST")):
            return web.Response(status=self.status, text=f"<Error><Code>{self.code}</Code></Error>")
        key = request.match_info["key"].removeprefix("/")
        match request.method:
            case "PUT":
                return self._put(key, request, await request.read())
            case "GET" if "list-type" in request.query:
                return self._list(request)
            case "GET" | "HEAD":
                return self._get(key, request)
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case "POST":
                return self._post(key, request, (await request.read()).decode())
        return web.Response(status=405)

    def _put(self, key: str, request: web.Request, data: bytes) -> web.Response:
        if upload := request.query.get("uploadId"):
            self.parts[upload][int(request.query["partNumber"])] = data
        else:
            self.objects[key] = data
        return web.Response(headers={"ETag": '"e"'})

    def _get(self, key: str, request: web.Request) -> web.Response:
        data = self.objects.get(key)
        if data is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        headers = {"ETag": '"e"', "Last-Modified": self.stored_at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if found is None:
            return web.Response(body=data, headers=headers)
        start, stop = int(found[1]), min(int(found[2]) + 1, len(data))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:stop], headers=headers)

    def _list(self, request: web.Request) -> web.Response:
        after = request.query.get("continuation-token", "")
        keys = [key for key in sorted(self.objects) if key.startswith(request.query["prefix"]) and key > after]
        page = keys[:_PAGE]
        more = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if len(keys) > _PAGE else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{self.stored_at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>e</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in page
        )
        truncated = str(bool(more)).lower()
        text = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{contents}</ListBucketResult>"
        return web.Response(text=text, content_type="application/xml")

    def _post(self, key: str, request: web.Request, body: str) -> web.Response:
        if "delete" in request.query:
            keys = re.findall(r"<Key>(.*?)</Key>", body)
            for each in keys:
                self.objects.pop(each, None)
            deleted = "".join(f"<Deleted><Key>{each}</Key></Deleted>" for each in keys)
            return web.Response(text=f"<DeleteResult>{deleted}</DeleteResult>", content_type="application/xml")
        if "uploads" in request.query:
            upload = f"u{len(self.parts)}"
            self.parts[upload] = {}
            told = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return web.Response(text=told, content_type="application/xml")
        parts = self.parts.pop(request.query["uploadId"])
        self.objects[key] = b"".join(parts[number] for number in sorted(parts))
        told = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        return web.Response(text=told, content_type="application/xml")


@asynccontextmanager
async def serving(bucket: Bucket) -> AsyncIterator[Bucket]:
    application = web.Application(client_max_size=2**30)
    application.router.add_route("*", f"/{NAME}{{key:.*}}", bucket.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bucket.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield bucket
    finally:
        bucket.release()
        await runner.cleanup()
