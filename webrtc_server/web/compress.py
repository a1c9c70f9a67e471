"""The page's texts travel compressed: a third of the bytes, for phones and far-away servers."""

from __future__ import annotations

from pathlib import PurePosixPath

from aiohttp import web
from aiohttp.typedefs import Handler

TEXTS = ("", ".js", ".css", ".svg", ".json")  # of addresses, a page has none; pictures are compressed already


@web.middleware
async def compress_files(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only whole files: a range of a compressed file is a range of something else (RFC 9110 section 14.1.2).

    Large ones have a .gz beside them, which `FileResponse` takes for all who take gzip. For those who take deflate only
    nothing is packed: it would be the large ones, each time.
    """
    response = await handler(request)
    is_text = PurePosixPath(request.path).suffix in TEXTS
    if is_text and isinstance(response, web.FileResponse) and "Range" not in request.headers:
        if "gzip" in request.headers.get("Accept-Encoding", "").lower():
            response.enable_compression()
        response.headers["Vary"] = "Accept-Encoding"
    return response
