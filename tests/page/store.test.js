// The user's settings in the browser: what is kept, what is forgotten, and that bad storage harms nobody.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../static/js/store.js";

function memory(content) {
  return {
    content,
    getItem() {
      return this.content ?? null;
    },
    setItem(_, value) {
      this.content = value;
    },
  };
}

test("settings outlive the page", () => {
  const storage = memory();
  new Store(storage).put({ seed: 3, prompt: "fox" });
  assert.deepEqual(new Store(storage).saved, { seed: 3, prompt: "fox" });
});

test("a prompt and a blend of prompts are never kept together", () => {
  const store = new Store(memory());
  store.put({ prompt: "fox" });
  store.put({ prompts: [{ text: "owl", weight: 1 }] });
  assert.deepEqual(Object.keys(store.saved), ["prompts"]);
  store.put({ prompt: "fox" });
  assert.deepEqual(store.saved, { prompt: "fox" });
});

test("refused settings are forgotten, the others kept", () => {
  const store = new Store(memory());
  store.put({ seed: 3, prompts: [], steps: 9 });
  store.drop(["steps", "prompts.0.text"]);
  assert.deepEqual(store.saved, { seed: 3 });
});

test("a refusal that names none of them forgets all", () => {
  const store = new Store(memory());
  store.put({ seed: 3 });
  store.drop(["somewhere else"]);
  assert.deepEqual(store.saved, {});
});

test("settings that the server does not know are forgotten", () => {
  const store = new Store(memory('{"seed":3,"old":1}'));
  store.keep((name) => name === "seed");
  assert.deepEqual(store.saved, { seed: 3 });
});

for (const broken of [memory("{"), memory("[1]"), memory("null"), null]) {
  test(`as if nothing were saved: ${broken?.content}`, () => assert.deepEqual(new Store(broken).saved, {}));
}

test("full storage costs the memory only", () => {
  const full = {
    getItem: () => null,
    setItem() {
      throw new Error("quota");
    },
  };
  const store = new Store(full);
  store.put({ seed: 3 });
  assert.deepEqual(store.saved, { seed: 3 });
});
