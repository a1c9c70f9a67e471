// The latency is a sum of measured parts, each over the last second only.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bitrates,
  CALM,
  concern,
  lasting,
  latencyParts,
  losses,
  read,
  sparkline,
  worryOn,
} from "../../static/js/stats.js";

const report = (at, frames, bytes) => [
  { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.02 },
  { type: "candidate-pair", nominated: false, currentRoundTripTime: 9 },
  {
    type: "outbound-rtp",
    kind: "video",
    totalEncodeTime: frames * 0.006,
    framesEncoded: frames,
    bytesSent: 2 * bytes,
  },
  {
    type: "inbound-rtp",
    kind: "video",
    totalProcessingDelay: frames * 0.01,
    framesDecoded: frames,
    packetsLost: frames / 30,
    packetsReceived: (frames / 30) * 99,
    bytesReceived: bytes,
    timestamp: at,
  },
];
const before = read(report(1000, 30, 0));
const now = read(report(2000, 60, 125_000));
const stats = (stages_ms) => ({ stages_ms, fps_in: 0, fps_out: 0, dropped: {} });

test("the parts in their order, in milliseconds", () => {
  const server = stats({
    waited: { p50: 2, p95: 3 },
    pipeline: { p50: 30, p95: 40 },
    server: { p50: 35, p95: 50 },
  });
  const parts = latencyParts(before, now, server).map(({ key, ms }) => [key, Math.round(ms)]);
  assert.deepEqual(parts, [
    ["stats.encoding", 6],
    ["stats.network", 20],
    ["stats.waited", 2],
    ["stats.pipeline", 30],
    ["stats.server", 3],
    ["stats.receiving", 10],
  ]);
});

test("what was not measured is left out, not guessed", () => {
  assert.deepEqual(latencyParts(now, now, stats({ server: { p50: null, p95: null } })).length, 1);
  assert.deepEqual(latencyParts(read([]), read([]), null), []);
});

test("browsers without a processing delay give its two halves", () => {
  const half = {
    type: "inbound-rtp",
    kind: "video",
    jitterBufferDelay: 2,
    totalDecodeTime: 1,
    framesDecoded: 10,
  };
  assert.equal(read([half]).received.seconds, 3);
});

test("bits a second from bytes and milliseconds", () => {
  assert.deepEqual(bitrates(before, now), { up: 2000, down: 1000 });
  assert.equal(bitrates(now, now), null);
});

test("loss is that of the time between two readings", () => {
  assert.equal(losses(before, now).down, 0.01);
  assert.equal(losses(now, now).down, null);
  const remote = { type: "remote-inbound-rtp", kind: "video", fractionLost: 0.25 };
  assert.equal(losses(read([]), read([remote])).up, 0.25);
});

test("what is worth a word: a network that loses, a camera or a server that is slow", () => {
  const server = (fps_in, fps_out) => ({ stages_ms: {}, fps_in, fps_out, dropped: {} });
  const good = { loss: 0.01, cameraFps: 30, server: server(30, 8) };
  assert.equal(concern(good), null);
  assert.equal(concern({ loss: null, cameraFps: null, server: null }), null);
  assert.deepEqual(concern({ ...good, loss: 0.04 }), { key: "concern.loss", values: { percent: 4 } });
  assert.equal(concern({ ...good, cameraFps: 8 }).key, "concern.camera");
  assert.equal(concern({ ...good, server: server(30, 3) }).key, "concern.slow");
  assert.equal(concern({ ...good, server: server(0, 0) }), null);
});

test("the sparkline ends at the right, and its highest value touches the top", () => {
  assert.equal(sparkline([50, 100], 3, 20, 10), "10.0,5.0 20.0,0.0");
  assert.equal(sparkline([], 3, 20, 10), "");
});

test("a worry comes after five bad readings, says the same while it lasts, and goes after five good ones", () => {
  const loss = (percent) => ({ key: "concern.loss", values: { percent } });
  const after = (readings, from = CALM) => readings.reduce(worryOn, from);
  const four = after([4, 5, 6, 7].map(loss));
  assert.equal(lasting(four), null);
  assert.equal(lasting(after([null, loss(8)], four)), null); // not in a row
  const five = after([loss(8)], four);
  assert.deepEqual(lasting(five), loss(4));
  assert.deepEqual(lasting(after([loss(9), null, null, null, null], five)), loss(4));
  assert.deepEqual(lasting(after([null, null, null, null, loss(9), null], five)), loss(4));
  assert.equal(lasting(after([null, null, null, null, null], five)), null);
  const slow = { key: "concern.slow", values: {} };
  assert.deepEqual(lasting(after(Array(9).fill(slow), five)), slow);
});
