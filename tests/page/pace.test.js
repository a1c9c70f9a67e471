// Sliders send some twenty times a second, text after a pause; the last value is always sent.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { debounce, throttle } from "../../static/js/pace.js";

let sent;
const send = (value) => sent.push(value);

beforeEach((context) => {
  sent = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  return context;
});

test("a throttled slider sends the first value at once and the last one always", () => {
  const pacer = throttle(send, 50);
  for (let value = 0; value < 100; value++) {
    pacer.push(value);
    mock.timers.tick(5);
  }
  mock.timers.tick(100);
  assert.equal(sent[0], 0);
  assert.equal(sent.at(-1), 99);
  assert.ok(sent.length >= 9 && sent.length <= 12, `${sent.length} sends in 500 ms`);
});

test("after a rest the throttle is free again", () => {
  const pacer = throttle(send, 50);
  pacer.push(1);
  mock.timers.tick(1000);
  pacer.push(2);
  assert.deepEqual(sent, [1, 2]);
});

test("debounced text is sent once, after the pause", () => {
  const pacer = debounce(send, 300);
  for (const text of ["f", "fo", "fox"]) {
    pacer.push(text);
    mock.timers.tick(299);
  }
  assert.deepEqual(sent, []);
  assert.equal(pacer.waiting(), true);
  mock.timers.tick(1);
  assert.deepEqual(sent, ["fox"]);
  assert.equal(pacer.waiting(), false);
});

for (const [name, pace] of [
  ["throttle", throttle],
  ["debounce", debounce],
]) {
  test(`${name}: flush sends what waits at once and only once`, () => {
    const pacer = pace(send, 50);
    pacer.push(1);
    pacer.push(2);
    pacer.flush();
    pacer.flush();
    mock.timers.tick(1000);
    assert.equal(sent.at(-1), 2);
    assert.equal(sent.filter((value) => value === 2).length, 1);
  });

  test(`${name}: what is dropped is never sent`, () => {
    const pacer = pace(send, 50);
    pacer.push(1);
    pacer.push(2);
    pacer.drop();
    mock.timers.tick(1000);
    assert.ok(!sent.includes(2));
  });
}
