"""What WHIP and WHEP share over HTTP: an SDP offer is posted, answered by 201 with a Location, and followed by
candidates (RFC 9725, draft-ietf-wish-whep). Called by their two handlers.
"""

from __future__ import annotations

from aiohttp import web

from webrtc_server.limits import JSON_BYTES
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.whip import EXAMPLE_FRAGMENT, EXAMPLE_OFFER, SDP_TYPE, TRICKLE_TYPE, entity_tag, links
from webrtc_server.rtc.reach import IceServers
from webrtc_server.web.body import ANY, preconditions, read_text
from webrtc_server.web.routes import Answer, Content

# For the documents.
OFFER = Content(SDP_TYPE, example=EXAMPLE_OFFER)
VIEW_OFFER = Content(SDP_TYPE, example=EXAMPLE_OFFER.replace("sendonly", "recvonly"))
FRAGMENT = Content(TRICKLE_TYPE, example=EXAMPLE_FRAGMENT)
LINK = 'A STUN or TURN server each, `rel="ice-server"` (RFC 9725 section 4.6).'
OPTIONS = Answer("What can be posted.", headers={"Accept-Post": f"`{SDP_TYPE}`", "Link": LINK})
HEADERS = {
    "Location": "Where to end it.",
    "ETag": "Of the ICE session, for the If-Match of PATCH.",
    "Accept-Patch": f"`{TRICKLE_TYPE}`",
    "Link": LINK,
}
TAKEN = Answer("The candidates are taken.")
ICE_SESSION = "The ETag of the ICE session. Clients in use leave it out, and may."
CANDIDATE_ERRORS = (Code.NOT_FOUND, Code.PRECONDITION_FAILED, Code.NO_ICE_RESTART)


def options(servers: IceServers) -> web.Response:
    response = web.Response(status=204, headers={"Accept-Post": SDP_TYPE, "Allow": "OPTIONS, POST"})
    return _with_links(response, servers)


def created(location: str, sdp: str, servers: IceServers) -> web.Response:
    """The answer to an offer; the last part of `location` is the secret of what was made."""
    tag = entity_tag(location.rpartition("/")[2])
    headers = {"Location": location, "ETag": f'"{tag}"', "Accept-Patch": TRICKLE_TYPE}
    return _with_links(web.Response(status=201, text=sdp, content_type=SDP_TYPE, headers=headers), servers)


async def take_candidates(request: web.Request, resource_id: str) -> web.Response:
    """Raises ClientError, `no_ice_restart` for what says by its If-Match that it is no candidate but a new ICE session
    (RFC 9725 section 4.3.3, which quotes the star). Without one it passes for candidates, which are not needed."""
    if any(tag.value == ANY for tag in request.if_match or ()):
        raise ClientError(Code.NO_ICE_RESTART)
    tags = preconditions(request)
    if tags is not None and entity_tag(resource_id) not in tags:
        raise ClientError(Code.PRECONDITION_FAILED)
    await read_text(request, TRICKLE_TYPE, JSON_BYTES)
    return web.Response(status=204)


def _with_links(response: web.Response, servers: IceServers) -> web.Response:
    response.headers["Cache-Control"] = "no-store"  # a TURN password in it is made for this answer
    for link in links(servers):
        response.headers.add("Link", link)
    return response
