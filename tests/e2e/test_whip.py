"""The WHIP and WHEP clients that others wrote, in a real Chromium: they publish, watch and leave."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route

from run import ROOT
from tests.e2e.chromium import EXECUTABLE, Server, until
from tests.e2e.conftest import NewPage

MODULES = ROOT / "node_modules"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
    pytest.mark.skipif(not (MODULES / "whip-whep").exists(), reason="npm packages are not installed"),
]

SERVER = ("--pipeline", "identity")
FILES = {  # what the page imports, and the package's file behind it
    "whip.js": "whip-whep/whip.js",
    "whep.js": "whip-whep/whep.js",
    "eyevinn.js": "@eyevinn/whip-web-client/dist/whip-client.modern.js",
}
COMMON = {"events": ["events.js"], "sdp-transform": ["grammar.js", "parser.js", "writer.js", "index.js"]}

STREAM = """
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = canvas.getContext("2d");
  let count = 0;
  setInterval(() => { context.fillStyle = `hsl(${count++} 80% 50%)`; context.fillRect(0, 0, 320, 240); }, 33);
  const stream = canvas.captureStream(30);
"""
WATCH = """
  const { WHEPClient } = await import("/npm/whep.js");
  const viewer = new RTCPeerConnection();
  viewer.addTransceiver("video", { direction: "recvonly" });
  const video = Object.assign(document.createElement("video"), { id: "watched", muted: true, autoplay: true });
  document.body.append(video);
  viewer.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); };
  const watching = new WHEPClient();
  await watching.view(viewer, watch);
"""
WHIP_WHEP = f"""async () => {{
  {STREAM}
  const {{ WHIPClient }} = await import("/npm/whip.js");
  const peer = new RTCPeerConnection();
  peer.addTransceiver(stream.getVideoTracks()[0], {{ direction: "sendonly" }});
  const links = [];
  const plain = window.fetch;
  window.fetch = async (...request) => {{
    const response = await plain(...request);
    links.push(response.headers.get("Link"));
    return response;
  }};
  const publishing = new WHIPClient();
  await publishing.publish(peer, new URL("/whip?pipeline=identity", location).href);
  const watch = new URL(/<([^>]*)>; rel="alternate"/.exec(links[0])[1], location).href;
  {WATCH}
  window.leave = async () => {{ await watching.stop(); await publishing.stop(); }};
}}"""
EYEVINN = f"""async () => {{
  {STREAM}
  const {{ WHIPClient }} = await import("/npm/eyevinn.js");
  const links = [];
  const plain = window.fetch;
  window.fetch = async (...request) => {{
    const response = await plain(...request);
    if (response.status === 201) links.push(response.headers.get("Link"));
    return response;
  }};
  const publishing = new WHIPClient({{ endpoint: new URL("/whip", location).href, opts: {{ timeout: 2000 }} }});
  await publishing.setIceServersFromEndpoint();
  await publishing.ingest(stream);
  while (!links.length) await new Promise((resolve) => setTimeout(resolve, 20));
  const watch = new URL(/<([^>]*)>; rel="alternate"/.exec(links[0])[1], location).href;
  {WATCH}
  window.leave = async () => {{ await watching.stop(); await publishing.destroy(); }};
}}"""


@pytest.fixture
def page(new_page: NewPage, server: Server) -> Page:
    page = new_page()
    page.route("**/npm/*", serve)
    page.goto(server.url)
    return page


def serve(route: Route) -> None:
    """A package's file as a module of the page's own origin; the two that are no modules are made into one each."""
    name = route.request.url.rpartition("/")[2]
    if name in FILES:
        text = (MODULES / FILES[name]).read_text()
        text = re.sub(r'from"([\w-]+)"', r'from"/npm/\1"', text)
    else:
        folder = next(MODULES.glob(f"{name}/lib"), MODULES / name)
        parts = [
            f"files['./{file[:-3]}'] = (module, exports) => {{ {(folder / file).read_text()} }};"
            for file in COMMON[name]
        ]
        text = f"""
          const files = {{}}, made = {{}};
          const require = (name) => {{
            if (!made[name]) {{ made[name] = {{ exports: {{}} }}; files[name](made[name], made[name].exports); }}
            return made[name].exports;
          }};
          {" ".join(parts)}
          const all = require("./{COMMON[name][-1][:-3]}");
          export const {{ EventEmitter, write, parse }} = all;
        """
    route.fulfill(body=text, content_type="text/javascript")


@pytest.mark.parametrize("client", [WHIP_WHEP, EYEVINN], ids=["whip-whep", "eyevinn"])
def test_a_client_publishes_another_watches_and_both_leave(page: Page, client: str) -> None:
    answers: list[tuple[str, int]] = []
    page.on("response", lambda answer: answers.append((answer.request.method, answer.status)))
    page.evaluate(client)
    played = "document.getElementById('watched').getVideoPlaybackQuality().totalVideoFrames"
    until("the painted video plays", lambda: page.evaluate(played) > 30)
    page.evaluate("leave()")
    until("both have left", lambda: answers.count(("DELETE", 200)) == 2)
    assert [answer for answer in answers if answer[1] >= 400] == []
