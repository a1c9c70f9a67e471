// One press helps where something on this side can: each cause has its remedies in their order, and then none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { remedy } from "../../static/js/remedies.js";

const SIDE = { minimum: 256, step: 64 };
const VGA = { width: 640, height: 480 };
const running = (settings, pipelines = ["diffusion", "neural-style", "effects", "identity"]) => ({
  state: "running",
  reason: null,
  settings: { pipeline: "diffusion", steps: 2, width: 512, height: 512, ...settings },
  pipelines,
});
const slow = (settings, pipelines) =>
  remedy(running(settings, pipelines), "concern.slow", VGA, SIDE)?.settings;

test("a slow painter gets fewer steps, then smaller pictures, then the quickest pipeline, then nothing", () => {
  assert.deepEqual(slow({}), { steps: 1 });
  assert.deepEqual(slow({ steps: 1 }), { width: 384, height: 384 });
  assert.deepEqual(slow({ steps: 1, width: 384, height: 320 }), { width: 256, height: 256 });
  assert.deepEqual(slow({ pipeline: "neural-style", width: 256, height: 256 }), { pipeline: "effects" });
  assert.equal(slow({ pipeline: "neural-style", width: 256, height: 256 }, ["neural-style"]), undefined);
  assert.equal(slow({ pipeline: "effects", width: 256, height: 256 }), undefined);
});

test("steps are offered only where a model walks them, a size only where one is painted", () => {
  assert.deepEqual(slow({ pipeline: "effects" }), { width: 384, height: 384 });
  assert.equal(slow({ pipeline: "identity" }), undefined);
});

test("a network that loses gets smaller pictures, there and then back", () => {
  const lossy = (camera) => remedy(running({}), "concern.loss", camera, SIDE);
  assert.deepEqual(lossy(VGA).size, { width: 320, height: 240 });
  assert.deepEqual(lossy({ width: 320, height: 240 }).settings, { width: 384, height: 384 });
  assert.deepEqual(lossy(null).settings, { width: 384, height: 384 });
});

test("a slow camera is asked for less, as far as there is less", () => {
  const found = (camera) => remedy(running({}), "concern.camera", camera, SIDE);
  assert.deepEqual(found({ width: 1920, height: 1080 }).size, { width: 960, height: 540 });
  assert.equal(found({ width: 639, height: 480 }), null);
  assert.equal(found(null), null);
});

test("what the server says comes first, and what only it can mend has no button", () => {
  const said = (state, reason = null) =>
    remedy({ ...running({}), state, reason }, "concern.slow", VGA, SIDE)?.act;
  assert.equal(said("no_input"), "reopen");
  assert.equal(said("passthrough", "apply_failed"), "reset");
  assert.equal(said("passthrough", "worker_restarting"), undefined);
  assert.equal(said("degraded", "model_load_failed"), undefined);
  assert.equal(remedy(running({}), null, VGA, SIDE), null);
});
