// The latency is a sum of measured parts, each over the last second only.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bitrate, latencyParts, read } from "../../static/js/stats.js";

const report = (at, frames, bytes) => [
  { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.02 },
  { type: "candidate-pair", nominated: false, currentRoundTripTime: 9 },
  { type: "outbound-rtp", kind: "video", totalEncodeTime: frames * 0.006, framesEncoded: frames },
  {
    type: "inbound-rtp",
    kind: "video",
    totalProcessingDelay: frames * 0.01,
    framesDecoded: frames,
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
  const parts = latencyParts(before, now, server).map(({ label, ms }) => [label, Math.round(ms)]);
  assert.deepEqual(parts, [
    ["Encoding here", 6],
    ["Network, both ways", 20],
    ["Server", 35],
    ["Receiving and decoding here", 10],
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
  assert.equal(bitrate(before, now), 1000);
  assert.equal(bitrate(now, now), null);
});
