// How pictures are shown is remembered, and odd storage changes nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { nextMode, remembered, WakeLock } from "../../static/js/tools/display.js";

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

test("the screen's lock is asked for once, and let go also where it comes late", async () => {
  let grant;
  let asked = 0;
  const lock = {
    released: false,
    async release() {
      lock.released = true;
    },
  };
  const request = () => {
    asked += 1;
    return new Promise((resolve) => {
      grant = () => resolve(lock);
    });
  };
  globalThis.document = { hidden: false, addEventListener() {} };
  Object.defineProperty(globalThis, "navigator", { value: { wakeLock: { request } }, configurable: true });
  const awake = new WakeLock();
  awake.want(true);
  awake.want(true);
  awake.want(false);
  grant();
  await new Promise(setImmediate);
  assert.deepEqual([asked, lock.released], [1, true]);
});
