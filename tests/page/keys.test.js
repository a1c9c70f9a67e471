// Shortcuts do nothing while somebody types, and leave alone what belongs to the browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf } from "../../static/js/keys.js";

const press = (key, more = {}) => ({
  key,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  repeat: false,
  ...more,
});
const focus = (tag) => ({ matches: (selectors) => selectors.split(", ").includes(tag) });

test("a key is a shortcut where nobody types", () => {
  assert.equal(keyOf(press("M"), focus("body")), "m");
  assert.equal(keyOf(press("m"), focus("button")), "m");
  assert.equal(keyOf(press("m"), null), "m");
  for (const tag of ["input", "select", "textarea"]) assert.equal(keyOf(press("m"), focus(tag)), null);
});

test("a space presses what has the focus", () => {
  assert.equal(keyOf(press(" "), focus("body")), " ");
  for (const tag of ["button", "summary", "a", "[role=status]"])
    assert.equal(keyOf(press(" "), focus(tag)), null);
});

test("the browser's own keys stay its own", () => {
  for (const more of ["ctrlKey", "altKey", "metaKey", "repeat", "defaultPrevented"]) {
    assert.equal(keyOf(press("m", { [more]: true }), null), null);
  }
  assert.equal(keyOf(press("Escape"), null), null);
});
