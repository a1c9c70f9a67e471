// A viewer's pauses between its tries, and what it says of a refusal.

import assert from "node:assert/strict";
import { test } from "node:test";
import { causeOf, pause } from "../../static/js/whep.js";

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
