// Inputs, with as much of a DOM as they need.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeWidget } from "../../static/js/widgets.js";

globalThis.document = { createElement: () => ({ setAttribute() {}, append() {} }) };

test("a slider stays where it is moved, whatever other settings make of it meanwhile", () => {
  const emitted = [];
  const property = { widget: "range", minimum: 0, maximum: 1, step: 0.01, stops: { diffusion: 50 } };
  const slider = makeWidget(
    property,
    {},
    (value) => emitted.push(value),
    () => "",
  );
  const [input] = slider.parts;
  slider.set(0.5);
  slider.adapt("effects", 2);
  input.valueAsNumber = 0.8;
  input.oninput();
  slider.adapt("effects", 2); // as with each message of the server
  assert.equal(input.valueAsNumber, 0.8);
  slider.adapt("diffusion", 2);
  assert.equal(input.valueAsNumber, 40);
  assert.deepEqual(emitted, [0.8]);
});
