// How pictures are shown is remembered, and odd storage changes nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { nextMode, remembered } from "../../static/js/tools/display.js";

const DEFAULT = { mirror: false, compare: "side", split: 50 };

for (const [kept, shown] of [
  [null, DEFAULT],
  ["{", DEFAULT],
  ["3", DEFAULT],
  ['{"mirror":1,"compare":"no","split":101}', DEFAULT],
  ['{"mirror":true,"compare":"slider","split":0}', { mirror: true, compare: "slider", split: 0 }],
]) {
  test(`remembered: ${kept}`, () =>
    assert.deepEqual(remembered({ getItem: () => kept, setItem() {} }), shown));
}

test("one key goes round the ways to compare", () => {
  assert.deepEqual(["side", "slider", "result"].map(nextMode), ["slider", "result", "side"]);
});
