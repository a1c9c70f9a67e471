"""The pages and their files: `/`, `/view/{view_id}` and `/static/`. What is not to be had is decided by aiohttp's own
static resource, which lets nobody out of the folder; a page's name never comes from a request.
"""

from __future__ import annotations

from aiohttp import web

from webrtc_server.protocol.error_codes import Code
from webrtc_server.static_files import static_dir
from webrtc_server.web.routes import HTML, Answer, Content, Operation, Tag, routes_of

PAGE = {
    200: Answer("The page.", Content(HTML)),
    206: Answer("The part of it that Range names.", Content(HTML)),
    304: Answer("As the client has it."),
}
FILES = Operation(  # aiohttp's own resource, not a handler of ours
    "file",
    "GET",
    "/static/{file}",
    "A file of the page",
    tag=Tag.PAGES,
    gives={
        200: Answer("The file.", Content("*/*")),
        206: Answer("The part of it that Range names.", Content("*/*")),
        304: Answer("As the client has it."),
        404: Answer("There is no such file."),  # aiohttp's own answer, which has no body
    },
)


class Pages:
    def __init__(self) -> None:
        """Raises FileNotFoundError where the files are missing."""
        self._folder = static_dir()

    def routes(self) -> list[web.AbstractRouteDef]:
        return [*routes_of(self), web.static("/static", self._folder, follow_symlinks=False)]

    @Operation("page", "GET", "/", "The page", tag=Tag.PAGES, gives=PAGE)
    async def page(self, request: web.Request) -> web.FileResponse:
        return self.file("index.html")

    @Operation(
        "viewerPage",
        "GET",
        "/view/{view_id}",
        "The page that shows a session's video",
        tag=Tag.PAGES,
        gives=PAGE,
        errors=(Code.NOT_FOUND,),
        patterns={"view_id": "[A-Za-z0-9_-]{1,64}"},
    )
    async def viewer(self, request: web.Request) -> web.FileResponse:
        """It knows no session: it is the same page for each, and waits for one that is not here yet."""
        return self.file("view.html")

    def file(self, name: str) -> web.FileResponse:
        return web.FileResponse(self._folder / name, headers={"Cache-Control": "no-cache"})
