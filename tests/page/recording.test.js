// What is recorded how, and what is said of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { randomPrompt, randomSeed } from "../../static/js/tools/dice.js";
import {
  chooseFormat,
  clock,
  fileName,
  isFull,
  MOST_MEMORY_BYTES,
  sizeText,
} from "../../static/js/tools/recording.js";

test("MP4 where the browser can, then WebM, then nothing", () => {
  assert.equal(chooseFormat(() => true)?.extension, "mp4");
  assert.deepEqual(
    chooseFormat((type) => type.startsWith("video/webm")),
    {
      mimeType: "video/webm;codecs=vp9",
      extension: "webm",
    },
  );
  assert.equal(
    chooseFormat(() => false),
    null,
  );
});

test("the memory has an end", () => {
  assert.equal(isFull(MOST_MEMORY_BYTES - 1), false);
  assert.equal(isFull(MOST_MEMORY_BYTES), true);
});

test("time and size as people read them", () => {
  assert.deepEqual([0, 61_999, 3_723_000].map(clock), ["0:00", "1:01", "1:02:03"]);
  assert.deepEqual([0, 3_449_999, 2_000_000_000].map(sizeText), ["0.0 MB", "3.4 MB", "2.00 GB"]);
});

test("names sort by time", () => {
  assert.equal(fileName(new Date(2026, 0, 2, 3, 4, 5), "mp4"), "live-diffusion-2026-01-02-030405.mp4");
});

test("the dice fall within their words and numbers, whatever the chance", () => {
  for (const chance of [() => 0, () => 0.65, () => 0.999999]) {
    assert.match(randomPrompt(chance), /^[a-z -]+$/);
    assert.ok(randomSeed(9, chance) <= 9);
  }
  assert.notEqual(
    randomPrompt(() => 0),
    randomPrompt(() => 0.999999),
  );
});
