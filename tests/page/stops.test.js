// Strength in stops: each stop is the strength at which a diffusion model begins one entry earlier.

import assert from "node:assert/strict";
import { test } from "node:test";
import { stopOf, strengthOf } from "../../static/js/stops.js";

const STOPS = 49;

test("each stop is its own nearest", () => {
  for (let stop = 0; stop <= STOPS; stop++) assert.equal(stopOf(strengthOf(stop, STOPS), STOPS, 0), stop);
});

test("several steps leave no room for the least strengths", () => {
  assert.equal(stopOf(0, STOPS, 3), 3);
  assert.equal(stopOf(1, STOPS, 3), STOPS);
});
