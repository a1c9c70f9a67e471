"""The pages and their files: `/`, `/view/{view_id}` and `/static/`. What is not to be had is decided by aiohttp's own
static resource, which lets nobody out of the folder; a page's name never comes from a request.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from webrtc_server.static_files import static_dir


def routes() -> list[web.AbstractRouteDef]:
    """`/view/` knows no session: it is the same page for each, and waits for one that is not here yet.

    Raises FileNotFoundError where the files are missing.
    """
    folder = static_dir()

    def page(name: str) -> Handler:
        async def answer(request: web.Request) -> web.FileResponse:
            return web.FileResponse(folder / name, headers={"Cache-Control": "no-cache"})

        return answer

    return [
        web.get("/", page("index.html")),
        web.get("/view/{view_id:[A-Za-z0-9_-]{1,64}}", page("view.html")),
        web.static("/static", folder, follow_symlinks=False),
    ]
