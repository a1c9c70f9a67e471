// The page names all its modules beforehand, so that a browser fetches them at once and not one import after another.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const STATIC = new URL("../../static/", import.meta.url);

/** Every module that `url` imports at its start, directly or not. */
async function imports(url, found = new Set()) {
  const text = await readFile(url, "utf8");
  for (const [, name] of text.matchAll(/^(?:import|export) [^;]*?from "([^"]+)";/gms)) {
    const next = new URL(name, url).href;
    if (found.has(next)) continue;
    found.add(next);
    await imports(new URL(next), found);
  }
  return found;
}

test("what main.js imports is preloaded, and nothing else", async () => {
  const page = await readFile(new URL("index.html", STATIC), "utf8");
  const named = [...page.matchAll(/<link rel="modulepreload" href="([^"]+)">/g)].map(([, href]) => href);
  const needed = [...(await imports(new URL("js/main.js", STATIC)))].map((url) =>
    url.replace(STATIC.href, "static/"),
  );
  assert.deepEqual(named.sort(), needed.sort());
});
