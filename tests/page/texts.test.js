// The texts: a plain one for every state of the server and every way a camera can fail.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cameraProblem,
  insecureProblem,
  isCameraProblem,
  unreachableProblem,
} from "../../static/js/errors.js";
import { IDLE } from "../../static/js/session.js";
import { describe, icon, painter, progressText, title } from "../../static/js/status.js";

const LIVE = { ...IDLE, phase: "live", proven: true };
const STATES = ["queued", "loading", "running", "passthrough", "degraded", "no_input", "draining", "closed"];

for (const state of STATES) {
  test(`state ${state} has a word, and a sentence of its own unless all is well`, () => {
    const { word, text, tone } = describe(LIVE, { state });
    assert.notEqual(word, "");
    assert.notEqual(icon(tone), undefined);
    assert.equal(text === "", state === "running");
  });

  test(`state ${state} says what the server says`, () => {
    assert.equal(describe(LIVE, { state, message: "So it is." }).text, "So it is.");
  });
}

test("each phase has a word", () => {
  for (const phase of ["idle", "asking", "connecting", "waiting", "failed", "live"]) {
    assert.notEqual(describe({ ...IDLE, phase }, null).word, "");
  }
});

test("who waits in line is told the place", () => {
  assert.equal(describe(LIVE, { state: "queued", place: 2 }).text, "You are number 2 in line.");
});

test("progress in words", () => {
  const bytes = { stage: "download", done: 1.2e9, total: 2.4e9, unit: "bytes", eta_s: 39.2 };
  assert.equal(progressText(bytes), "Download: 1.2 of 2.4 GB, about 40 s left");
  const runs = { stage: "warm-up", done: 3, total: 5, unit: "runs", eta_s: null };
  assert.equal(progressText(runs), "Warm up: 3 of 5 runs");
  assert.equal(progressText({ ...runs, done: 0, total: 0 }), "Warm up…");
});

test("names as people write them", () => {
  assert.equal(title("neural-style"), "Neural style");
  assert.equal(painter({ pipeline: "neural-style", device: "cpu" }), "Neural style (CPU)");
  assert.equal(painter({ pipeline: "diffusion", device: "NVIDIA H100" }), "Diffusion (NVIDIA H100)");
});

for (const name of [
  "NotAllowedError",
  "NotFoundError",
  "NotReadableError",
  "OverconstrainedError",
  "AbortError",
]) {
  test(`camera error ${name} has a text of its own, and says what to do`, () => {
    const problem = cameraProblem(Object.assign(new Error("x"), { name }));
    assert.notEqual(problem.message, cameraProblem(new Error("x")).message);
    assert.equal(problem.code, `camera/${name}`);
    assert.match(problem.fix, /\w/);
    assert.equal(isCameraProblem(problem), true);
  });
}

test("an insecure page is told the address that works", () => {
  assert.match(insecureProblem({ origin: "http://pc:8000", port: "8000" }).fix, /http:\/\/localhost:8000;/);
  assert.match(insecureProblem({ origin: "http://pc", port: "" }).fix, /http:\/\/localhost;/);
});

test("an unreachable server is named, and tried again", () => {
  const problem = unreachableProblem("http://pc:8000");
  assert.match(problem.message, /http:\/\/pc:8000/);
  assert.equal(problem.retryable, true);
  assert.equal(isCameraProblem(problem), false);
});
