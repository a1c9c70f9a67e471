"""What holds for every request: errors as RFC 9457 problems, who may ask, and the security headers."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from webrtc_server.observe.log import get_logger
from webrtc_server.protocol.bodies import Problem
from webrtc_server.protocol.error_codes import ClientError, Code

PROBLEM = "application/problem+json"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # allowed origins fetch with CORS, which this does not hinder
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "600",
}
NO_ORIGIN_FIX = "Have the server's operator set LIVE_DIFFUSION_AUTH_TOKEN, and send that token."
HTTP_ERRORS: web.AppKey[Counter[str]] = web.AppKey("http_errors", Counter)  # by code
CORS_ORIGIN = web.RequestKey("cors_origin", str)
_BY_STATUS = {404: Code.NOT_FOUND, 405: Code.NOT_FOUND, 413: Code.TOO_LARGE}

logger = get_logger(__name__)


def problem(error: ClientError, status: int | None = None) -> web.Response:
    """RFC 9457 `application/problem+json`."""
    body = Problem.of(error, status)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.code is Code.UPGRADE_REQUIRED:
        headers["Upgrade"] = "websocket"  # RFC 9110 section 15.5.22
    return web.Response(text=body.model_dump_json(), status=body.status, content_type=PROBLEM, headers=headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ClientError as error:
        return _counted(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if error.status == 403:  # a folder of the files
            return _counted(request, ClientError(Code.NOT_FOUND))
        code = _BY_STATUS.get(error.status, Code.BAD_MESSAGE)
        response = _counted(request, ClientError(code, error.reason), error.status)
        if "Allow" in error.headers:  # of 405, which must have it (RFC 9110 section 15.5.6)
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        resource = request.match_info.route.resource  # as it was declared: a real path may hold a session's secret
        logger.exception("request failed", method=request.method, path=resource.canonical if resource else "")
        return _counted(request, ClientError(Code.INTERNAL))


def _counted(request: web.Request, error: ClientError, status: int | None = None) -> web.Response:
    request.app[HTTP_ERRORS][error.code] += 1
    return problem(error, status)


def origins(allowed: tuple[str, ...], strict: bool) -> Middleware:
    """Pages of other origins may neither open `/ws` nor change anything, but for those allowed, which may do all that
    the server's own page may (Fetch standard, CORS). Clients that send no Origin are no pages; `strict` refuses these,
    too, where nothing else says who they are.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        acts = request.method not in SAFE_METHODS or request.path == "/ws"
        if origin is None and acts and strict:
            raise ClientError(Code.ORIGIN_DENIED, "The request does not say which page it comes from.", NO_ORIGIN_FIX)
        if origin is None or _is_of(origin, request.host):
            return await handler(request)
        if "*" not in allowed and origin not in allowed:
            if acts:
                raise ClientError(Code.ORIGIN_DENIED)
            return await handler(request)
        request[CORS_ORIGIN] = origin
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=PREFLIGHT)  # browsers send it without a token: no route answers it
        return await handler(request)

    return check


def _is_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if CORS_ORIGIN in request:
        response.headers["Access-Control-Allow-Origin"] = request[CORS_ORIGIN]
        response.headers["Access-Control-Expose-Headers"] = "Accept-Patch, ETag, Link, Location, Retry-After"
        response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), "Origin")))
