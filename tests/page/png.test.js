// Text in PNG files: what is written is read again, any reader takes it, and strangers' files do no harm.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { crc32, MOST_TEXT_BYTES, textOf, withText } from "../../static/js/tools/png.js";

const bytes = (text) => new TextEncoder().encode(text);

function chunk(type, data) {
  const whole = new Uint8Array(data.length + 12);
  const view = new DataView(whole.buffer);
  view.setUint32(0, data.length);
  whole.set(bytes(type), 4);
  whole.set(data, 8);
  view.setUint32(whole.length - 4, crc32(whole.subarray(4, -4)));
  return whole;
}

function png(...extra) {
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const header = chunk("IHDR", Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0));
  const data = chunk("IDAT", deflateSync(Uint8Array.of(0, 0)));
  return Uint8Array.from([signature, header, ...extra, data, chunk("IEND", [])].flatMap((part) => [...part]));
}

test("the checksum is that of the standard", () => assert.equal(crc32(bytes("123456789")), 0xcbf43926));

test("a text comes out as it went in, whatever its letters", () => {
  const marked = withText(png(), "live-diffusion", '{"prompt":"Füchse 🦊"}');
  assert.equal(textOf(marked, "live-diffusion"), '{"prompt":"Füchse 🦊"}');
  assert.equal(textOf(marked, "live-diffusio"), null);
  assert.equal(marked.length, png().length + 12 + "live-diffusion".length + 5 + 25);
});

test("the picture itself stays as it was", () => {
  const marked = withText(png(), "k", "text");
  const added = 12 + 1 + 5 + 4;
  assert.deepEqual([...marked.subarray(0, 33), ...marked.subarray(33 + added)], [...png()]);
});

test("what is no PNG gets no text and has none", () => {
  for (const other of [new Uint8Array(), bytes("GIF89a"), png().subarray(0, 20)]) {
    assert.throws(() => withText(other, "k", "text"), TypeError);
    assert.equal(textOf(other, "k"), null);
  }
});

test("a damaged, compressed, cut or oversized text is none", () => {
  const good = withText(png(), "k", "text");
  const damaged = good.slice();
  damaged[33 + 8 + 7] ^= 1;
  const cut = good.slice(0, 33 + 15);
  const compressed = png(chunk("iTXt", bytes("k\0\u0001\0\0\0text")));
  const unended = png(chunk("iTXt", bytes("k\0\0\0en")));
  const noText = png(chunk("iTXt", Uint8Array.of(107, 0, 0, 0, 0, 0, 0xff)));
  const large = withText(png(), "k", "x".repeat(MOST_TEXT_BYTES - 5));
  for (const file of [damaged, cut, compressed, unended, noText, large])
    assert.equal(textOf(file, "k"), null);
  const largest = withText(png(), "k", "x".repeat(MOST_TEXT_BYTES - 6));
  assert.equal(textOf(largest, "k")?.length, MOST_TEXT_BYTES - 6);
});

test("a length that points beyond the file ends the search", () => {
  const file = withText(png(), "k", "text");
  new DataView(file.buffer).setUint32(33, 0xffffffff);
  assert.equal(textOf(file, "k"), null);
});
