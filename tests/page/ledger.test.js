// What the controls show after each answer of the server.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Ledger } from "../../static/js/ledger.js";

const FIRST = { prompt: "fox", steps: 1, seed: 2 };
let ledger;

beforeEach(() => {
  ledger = new Ledger();
  ledger.status({ settings: FIRST, settings_version: 1 }, true);
});

const applied = (version, settings, changed = []) => ({
  version,
  settings,
  changed,
  rebuilding: [],
  notes: [],
});
const problem = (...fields) => ({
  code: "invalid_settings",
  message: "no",
  fix: "",
  fields,
  retryable: false,
});

test("a confirmation names what is in force, with its version", () => {
  const id = ledger.send({ prompt: "owl" });
  const { values, done } = ledger.applied(applied(2, { ...FIRST, prompt: "owl" }, ["prompt"]), id);
  assert.deepEqual([values.prompt, done, ledger.version], ["owl", ["prompt"], 2]);
});

test("a value still on its way is not overwritten by an older confirmation", () => {
  const first = ledger.send({ prompt: "o" });
  ledger.send({ prompt: "owl" });
  const { values, done } = ledger.applied(applied(2, { ...FIRST, prompt: "o" }, ["prompt"]), first);
  assert.equal("prompt" in values, false);
  assert.deepEqual(done, []);
});

test("one confirmation answers all messages before it, for the server merges under load", () => {
  ledger.send({ seed: 3 });
  ledger.send({ seed: 4 });
  const last = ledger.send({ steps: 2 });
  const { values, done } = ledger.applied(
    applied(2, { ...FIRST, seed: 4, steps: 2 }, ["seed", "steps"]),
    last,
  );
  assert.deepEqual(values, { ...FIRST, seed: 4, steps: 2 });
  assert.deepEqual(done.sort(), ["seed", "steps"]);
});

test("a change by someone else is shown too", () => {
  const { values, done } = ledger.applied(applied(2, { ...FIRST, seed: 9 }, ["seed"]));
  assert.deepEqual([values.seed, done], [9, ["seed"]]);
});

test("a message that changes no value is confirmed all the same", () => {
  const id = ledger.send({ seed: 2 });
  assert.deepEqual(ledger.applied(applied(1, FIRST), id).done, ["seed"]);
});

test("a refusal gives the old values back, and the text for each field", () => {
  const id = ledger.send({ steps: 9, seed: 5 });
  const refused = ledger.refused(problem({ field: "steps", message: "at most 4" }), id);
  assert.deepEqual(refused, { values: { steps: 1, seed: 2 }, messages: { steps: "at most 4" } });
});

test("a refusal leaves a newer value that is on its way", () => {
  const id = ledger.send({ steps: 9 });
  ledger.send({ steps: 3 });
  assert.deepEqual(ledger.refused(problem(), id).values, {});
});

test("an error about something else is no refusal", () => {
  assert.equal(ledger.refused(problem()), null);
  assert.equal(ledger.refused(problem(), "other"), null);
});

test("a new connection voids what was asked on the old one", () => {
  ledger.send({ seed: 3 });
  assert.deepEqual(ledger.status({ settings: FIRST, settings_version: 1 }, true), FIRST);
});
