// The user's own presets and prompts: they outlive the page, stay bounded, and ↑ and ↓ walk through them as in a shell.

import assert from "node:assert/strict";
import { test } from "node:test";
import { History, Library, MOST_PROMPTS, nameOf } from "../../static/js/tools/library.js";
import { LONGEST_NAME, MOST_PRESETS } from "../../static/js/tools/looks.js";

const SCHEMA = {
  properties: { seed: { type: "integer", minimum: 0, maximum: 9999, default: 2, widget: "seed" } },
};
const preset = (name, seed) => ({ name, settings: { seed } });

function memory(content = {}) {
  return {
    getItem: (key) => content[key] ?? null,
    setItem(key, value) {
      content[key] = value;
    },
  };
}

test("presets outlive the page; one of the same name is replaced, the newest is first", () => {
  const shelf = memory();
  const library = new Library(SCHEMA, shelf);
  library.add([preset("a", 1)]);
  library.add([preset("b", 2)]);
  library.add([preset("a", 3)]);
  library.remove("b");
  assert.deepEqual(new Library(SCHEMA, shelf).presets, [preset("a", 3)]);
});

test("there is an end to them", () => {
  const library = new Library(SCHEMA, memory());
  for (let seed = 0; seed <= MOST_PRESETS; seed++) library.add([preset(`${seed}`, seed)]);
  assert.equal(library.presets.length, MOST_PRESETS);
  assert.equal(library.presets.at(-1)?.name, "1");
});

test("storage that is broken, full or forbidden harms nobody", () => {
  const full = {
    getItem: () => "{",
    setItem() {
      throw new Error("quota");
    },
  };
  for (const shelf of [
    full,
    null,
    memory({ "live-diffusion.presets": '[{"name":"x"}]', "live-diffusion.history": "[3]" }),
  ]) {
    const library = new Library(SCHEMA, shelf);
    assert.deepEqual(library.presets, []);
    library.add([preset("a", 1)]);
    assert.equal(library.presets.length, 1);
    const history = new History(shelf);
    assert.deepEqual(history.prompts, []);
    history.add("fox");
    assert.deepEqual(history.prompts, ["fox"]);
  }
});

test("a starred look is named by its words, and not endlessly", () => {
  assert.equal(nameOf({ prompt: " fox " }), "fox");
  assert.equal(nameOf({ prompt: "fox", prompts: [{ text: "owl" }, { text: "ink" }] }), "owl + ink");
  assert.equal(nameOf({}), "Untitled");
  assert.equal(nameOf({ prompt: "x".repeat(LONGEST_NAME + 1) }).length, LONGEST_NAME);
});

test("prompts outlive the page, each once, the oldest go", () => {
  const shelf = memory();
  const history = new History(shelf);
  for (let i = 0; i <= MOST_PROMPTS; i++) history.add(`${i}`);
  history.add("7");
  history.add("  ");
  const kept = new History(shelf).prompts;
  assert.equal(kept.length, MOST_PROMPTS);
  assert.deepEqual([kept[0], kept.at(-1)], ["1", "7"]);
});

test("up and down walk through the prompts and back to what was being written", () => {
  const history = new History(memory());
  for (const prompt of ["a", "b"]) history.add(prompt);
  assert.equal(history.forward(), null);
  assert.equal(history.back("draft"), "b");
  assert.equal(history.back("b"), "a");
  assert.equal(history.back("a"), null);
  assert.equal(history.forward(), "b");
  assert.equal(history.forward(), "draft");
  assert.equal(history.walking, false);
});

test("up skips the prompt that is shown already", () => {
  const history = new History(memory());
  for (const prompt of ["a", "b"]) history.add(prompt);
  assert.equal(history.back("b"), "a");
  history.leave();
  assert.equal(history.back("x"), "b");
});
