// The length of a WebM recording is written into its head, twice at the same place, and odd files stay as they are.

import assert from "node:assert/strict";
import { test } from "node:test";
import { withDuration } from "../../static/js/tools/webm.js";

const UNKNOWN = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const HEADER = [0x1a, 0x45, 0xdf, 0xa3, 0x84, 0x42, 0x86, 0x81, 0x01];
const SCALE = [0x2a, 0xd7, 0xb1, 0x83, 0x0f, 0x42, 0x40]; // a millisecond
const CLUSTER = [0x1f, 0x43, 0xb6, 0x75, ...UNKNOWN, 0xe7, 0x81, 0x00];

function webm(info, segmentSize = UNKNOWN, rest = CLUSTER) {
  const whole = [0x15, 0x49, 0xa9, 0x66, 0x80 | info.length, ...info];
  return Uint8Array.from([...HEADER, 0x18, 0x53, 0x80, 0x67, ...segmentSize, ...whole, ...rest]);
}

/** The ticks that stand as Duration, wherever that is. */
function ticks(file) {
  const at = file.findIndex((byte, i) => byte === 0x44 && file[i + 1] === 0x89 && file[i + 2] === 0x88);
  return at < 0 ? null : new DataView(file.buffer, file.byteOffset).getFloat64(at + 3);
}

test("a file without a length gets one, and nothing else changes", () => {
  const timed = withDuration(webm(SCALE), 61_500);
  assert.equal(ticks(timed), 61_500);
  assert.deepEqual([...timed.slice(-CLUSTER.length)], CLUSTER);
  assert.deepEqual([...timed.slice(0, 21)], [...webm(SCALE).slice(0, 21)]);
});

test("each length takes the same room, so that the second can be written over the first", () => {
  const [start, end] = [withDuration(webm(SCALE), 0), withDuration(webm(SCALE), 3_600_000)];
  assert.equal(start.length, end.length);
  assert.equal(ticks(end), 3_600_000);
});

test("a length that is there already, of any size, is replaced", () => {
  const short = [0x44, 0x89, 0x84, 0, 0, 0, 0];
  for (const info of [
    [...short, ...SCALE],
    [...SCALE, ...short],
    withDuration(webm(SCALE), 7).slice(33, 51),
  ]) {
    const timed = withDuration(webm([...info]), 9);
    assert.equal(ticks(timed), 9);
    assert.equal(timed.length, withDuration(webm(SCALE), 1).length);
  }
});

test("ticks of another length are counted", () => {
  assert.equal(ticks(withDuration(webm([0x2a, 0xd7, 0xb1, 0x83, 0x01, 0x86, 0xa0]), 50)), 500); // 0.1 ms each
});

test("what is not understood stays as it is", () => {
  const bounded = webm(SCALE, [0x01, 0, 0, 0, 0, 0, 0, 30]);
  const cut = webm(SCALE).slice(0, 30);
  const noInfo = Uint8Array.from([...HEADER, 0x18, 0x53, 0x80, 0x67, ...UNKNOWN, ...CLUSTER]);
  for (const odd of [bounded, cut, noInfo, new Uint8Array(), new Uint8Array(64), Uint8Array.from(HEADER)]) {
    assert.equal(withDuration(odd, 5), odd);
  }
});

test("random bytes never throw", () => {
  let state = 1;
  const next = () => {
    state = (state * 48271) % 2147483647;
    return state & 255;
  };
  for (let round = 0; round < 2000; round++) {
    const file = webm(SCALE);
    for (let hits = 0; hits < 4; hits++) file[next() % file.length] = next();
    assert.ok(withDuration(file, 5).length >= file.length);
  }
});
