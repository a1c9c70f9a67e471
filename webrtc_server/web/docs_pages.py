"""The documents of the API: `/openapi.json` and `/asyncapi.json`, two pages that show the first, and the page of errors
that problems point to. The pages come with their libraries from this server, and ask no other.
"""

from __future__ import annotations

import gzip
from html import escape

from aiohttp import web

from webrtc_server.protocol.error_codes import TABLE
from webrtc_server.static_files import static_dir
from webrtc_server.web.middleware import POLICY
from webrtc_server.web.pages import PAGE
from webrtc_server.web.routes import HTML, JSON, Answer, Content, Operation, Tag

# ReDoc needs more than other pages may do: two <style> elements, by the hash of their text, and a worker of its
# own making for the search. A script still has to be a file of this server, and so has whatever makes a worker.
REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",  # none: styled-components fills it by CSSOM
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",  # perfect-scrollbar's
)
REDOC_POLICY = f"{POLICY}; style-src 'self' {' '.join(REDOC_STYLES)}; worker-src blob:"
ERRORS_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Live Diffusion: errors</title>
<h1>Errors</h1>
<dl>
{rows}
</dl>
</html>
"""


class Documents:
    def __init__(self, openapi: str, asyncapi: str) -> None:
        self._folder = static_dir()
        self._openapi = _Text(openapi)
        self._asyncapi = _Text(asyncapi)

    @Operation(
        "openapi",
        "GET",
        "/openapi.json",
        "This document",
        tag=Tag.PAGES,
        gives={200: Answer("OpenAPI 3.1.", Content(schema={"type": "object"}))},
    )
    async def openapi(self, request: web.Request) -> web.Response:
        """It is about the server and tells of no user, so it needs no token, as the pages that show it."""
        return self._openapi.answer(request)

    @Operation(
        "asyncapi",
        "GET",
        "/asyncapi.json",
        "The messages of the data channel and of `/ws`",
        tag=Tag.PAGES,
        gives={200: Answer("AsyncAPI 3.0.", Content(schema={"type": "object"}))},
    )
    async def asyncapi(self, request: web.Request) -> web.Response:
        return self._asyncapi.answer(request)

    @Operation("swagger", "GET", "/docs", "Swagger UI", tag=Tag.PAGES, gives=PAGE)
    async def swagger(self, request: web.Request) -> web.FileResponse:
        """This document, to read and to try out; Authorize takes the server's token."""
        return self._page("docs.html", POLICY)

    @Operation("redoc", "GET", "/redoc", "ReDoc", tag=Tag.PAGES, gives=PAGE)
    async def redoc(self, request: web.Request) -> web.FileResponse:
        """This document, to read."""
        return self._page("redoc.html", REDOC_POLICY)

    @Operation(
        "errors",
        "GET",
        "/docs/errors",
        "What each error means",
        tag=Tag.PAGES,
        gives={200: Answer("The page.", Content(HTML))},
    )
    async def errors(self, request: web.Request) -> web.Response:
        """Where the `type` of a problem points (RFC 9457 section 3.1.1)."""
        rows = (
            f'<dt id="{code}"><code>{code}</code>, {row.status}</dt><dd>{escape(row.message)} {escape(row.fix)}</dd>'
            for code, row in TABLE.items()
        )
        return web.Response(text=ERRORS_PAGE.format(rows="\n".join(rows)), content_type=HTML)

    def _page(self, name: str, policy: str) -> web.FileResponse:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
        return web.FileResponse(self._folder / name, headers=headers)


class _Text:
    """Compressed once, for anybody may ask."""

    def __init__(self, text: str) -> None:
        self._plain = text.encode()
        self._packed = gzip.compress(self._plain, mtime=0)

    def answer(self, request: web.Request) -> web.Response:
        packs = "gzip" in request.headers.get("Accept-Encoding", "")
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if packs:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=self._packed if packs else self._plain, headers=headers, content_type=JSON)
