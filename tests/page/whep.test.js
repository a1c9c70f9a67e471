// A viewer's pauses between its tries, and what it says of a refusal.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pause } from "../../static/js/backoff.js";
import { causeOf, Whep } from "../../static/js/whep.js";

test("pauses double up to fifteen seconds, spread by a quarter, and the server's wish wins", () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 99].map((attempt) => pause(attempt, 0.5)),
    [1000, 1000, 2000, 4000, 8000, 15000, 15000],
  );
  assert.deepEqual([pause(2, 0), pause(2, 1)], [1500, 2500]);
  assert.equal(pause(5, 0.5, 3000), 3000);
});

test("a refusal is told by its kind", () => {
  assert.deepEqual([401, 403, 429, 503, 404, 500].map(causeOf), [
    "unauthorized",
    "unauthorized",
    "full",
    "full",
    "offline",
    "offline",
  ]);
});

test("each try asks for the TURN servers anew", async (t) => {
  const [configurations, waits] = [[], []];
  globalThis.RTCPeerConnection = class {
    iceGatheringState = "complete";
    addTransceiver() {}
    addEventListener() {}
    setConfiguration = ({ iceServers }) => configurations.push(iceServers);
    async setLocalDescription() {}
    close() {}
  };
  t.mock.method(globalThis, "fetch", async () => new Response("", { status: 503 }));
  let asked = 0;
  const onState = (state) => state === "waiting" && waits.shift()();
  const waiting = () => new Promise((resolve) => waits.push(resolve));
  const iceServers = async () => [{ urls: `turn:${++asked}` }];
  const whep = new Whep("http://127.0.0.1/whep/x", { onStream() {}, onState }, { iceServers });
  const first = waiting();
  whep.start();
  await first;
  const second = waiting();
  whep.retryNow();
  await second;
  whep.stop();
  assert.deepEqual(
    configurations.flat().map(({ urls }) => urls),
    ["turn:1", "turn:2"],
  );
});
