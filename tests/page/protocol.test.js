// Messages: what is sent is what the contract says, and nothing that comes in can break the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asProblem, decode, encode, settingOf } from "../../static/js/protocol.js";

test("an envelope has an id only where one is given", () => {
  assert.deepEqual(JSON.parse(encode("ping", { t: 1 })), { type: "ping", data: { t: 1 } });
  assert.deepEqual(JSON.parse(encode("settings", { seed: 3 }, "s1")), {
    type: "settings",
    data: { seed: 3 },
    id: "s1",
  });
});

test("a message is read, unknown additions included", () => {
  const message = { type: "status", data: { state: "running", news: 1 }, more: true };
  assert.deepEqual(decode(JSON.stringify(message)), message);
});

for (const text of [
  "",
  "{",
  "null",
  "[]",
  '"status"',
  '{"type":1,"data":{}}',
  '{"type":"status"}',
  new Blob(),
]) {
  test(`no message: ${String(text)}`, () => assert.equal(decode(text), null));
}

test("any refusal of the server becomes a problem with all its parts", () => {
  const problem = { code: "capacity", message: "Full.", fix: "Wait.", fields: [], retryable: true };
  assert.deepEqual(asProblem(problem), problem);
  const http = {
    title: "Full",
    detail: "All 4 places are taken.",
    code: "capacity",
    fix: "Wait.",
    status: 503,
  };
  assert.equal(asProblem(http).message, "All 4 places are taken.");
  for (const nothing of [null, undefined, "text", [], {}]) {
    assert.deepEqual(asProblem(nothing).fields, []);
    assert.notEqual(asProblem(nothing).message, "");
  }
});

test("a field inside a setting belongs to that setting", () => {
  assert.equal(settingOf("prompts.0.text"), "prompts");
  assert.equal(settingOf("steps"), "steps");
});
