// Which sources there are to choose from, and what a camera is asked for until it agrees.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ANY_CAMERA,
  BACK,
  choices,
  FRONT,
  shownChoice,
  standsIn,
  TEST_CARD,
  wishes,
} from "../../static/js/source.js";

const camera = (deviceId, label = "") => ({ kind: "videoinput", deviceId, label });
const values = (devices, abilities) => choices(devices, abilities).map(({ value }) => value);
const DESK = { phone: false, screen: true, file: true };

test("cameras first, then what needs none", () => {
  const devices = [camera("a", "Cam"), camera("b"), { kind: "audioinput", deviceId: "c", label: "Mic" }];
  assert.deepEqual(values(devices, DESK), ["a", "b", "screen", "video-file", "test-card"]);
  assert.deepEqual(
    choices(devices, DESK)
      .map(({ label }) => label)
      .slice(0, 2),
    ["Cam", "Camera 2"],
  );
});

test("before the permission there is one nameless camera", () => {
  assert.deepEqual(values([camera("")], DESK).slice(0, 1), [ANY_CAMERA]);
  assert.deepEqual(values([], { ...DESK, screen: false }), [ANY_CAMERA, "video-file", "test-card"]);
});

test("a phone has a front and a back", () => {
  const phone = { phone: true, screen: false, file: true };
  assert.deepEqual(values([], phone).slice(0, 2), [FRONT, BACK]);
  assert.deepEqual(values([camera("a"), camera("b")], phone).slice(0, 4), [FRONT, BACK, "a", "b"]);
  assert.deepEqual(values([camera("a")], phone).slice(0, 2), ["a", "video-file"]);
  assert.deepEqual(values([camera("a")], { ...phone, file: false }), ["a", "test-card"]);
});

test("a camera that refuses is asked for less, in the end any will do", () => {
  const [all, itself, any, ...more] = wishes("a");
  assert.deepEqual(itself, { deviceId: { exact: "a" } });
  assert.deepEqual(all, { ...all, ...itself, frameRate: { ideal: 30 } });
  assert.deepEqual([any, more], [{}, []]);
  assert.deepEqual(wishes(BACK)[1], { facingMode: "environment" });
  assert.deepEqual(wishes(ANY_CAMERA), [
    { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
    {},
  ]);
});

test("the list names the camera that is really used, and a stand-in is told", () => {
  const used = (choice, deviceId) => [shownChoice(choice, deviceId), standsIn(choice, deviceId)];
  assert.deepEqual(used("a", "a"), ["a", false]);
  assert.deepEqual(used("gone", "b"), ["b", true]);
  assert.deepEqual(used(ANY_CAMERA, "b"), ["b", false]);
  assert.deepEqual(used("a", undefined), ["a", false]);
  for (const choice of [FRONT, TEST_CARD]) assert.deepEqual(used(choice, "x"), [choice, false]);
});
