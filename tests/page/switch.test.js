// A camera is never on unseen: whatever overtakes a choice, what is not sent is closed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../../static/js/client.js";
import { SourceSwitch } from "../../static/js/switch.js";

/** A stream with one track that can be stopped. */
function stream(name) {
  const track = {
    readyState: "live",
    addEventListener() {},
    getSettings: () => ({}),
    stop: () => (track.readyState = "ended"),
  };
  return {
    name,
    on: () => track.readyState === "live",
    getTracks: () => [track],
    getVideoTracks: () => [track],
  };
}

/** A client that sends `a`, and a switch whose sources open when the test says so. */
function running() {
  const client = new Client({ server: "http://127.0.0.1/" });
  client.source = stream("a");
  const opening = new Map();
  const open = (choice) =>
    new Promise((resolve, reject) => {
      const opened = stream(choice);
      opening.set(choice, { opened, open: () => resolve(opened), refuse: (error) => reject(error) });
    });
  const sources = new SourceSwitch(client, open);
  sources.sent = "a";
  return { client, sources, opening };
}

test("another source takes the place of the one before, which is closed", async () => {
  const { client, sources, opening } = running();
  const a = client.source;
  const done = sources.swap("b");
  opening.get("b").open();
  await done;
  assert.deepEqual([client.source.name, sources.sent, a.on()], ["b", "b", false]);
});

test("a source that opens after Stop is closed, also after the next Start", async () => {
  const { client, sources, opening } = running();
  const stopped = sources.swap("b");
  client.source = null; // Stop
  opening.get("b").open();
  await stopped;
  assert.deepEqual([client.source, opening.get("b").opened.on()], [null, false]);

  client.source = stream("a");
  const late = sources.swap("b");
  const next = sources.open("c"); // Start
  opening.get("c").open();
  client.source = await next;
  opening.get("b").open();
  await late;
  assert.deepEqual([client.source.name, sources.sent], ["c", "c"]);
  assert.equal(opening.get("b").opened.on(), false);
});

test("of two quick choices the last one is sent, whichever opens first", async () => {
  const { client, sources, opening } = running();
  const [b, c] = [sources.swap("b"), sources.swap("c")];
  opening.get("c").open();
  await c;
  opening.get("b").open();
  await b;
  assert.deepEqual([client.source.name, sources.sent], ["c", "c"]);
  assert.equal(opening.get("b").opened.on(), false);
});

test("a refused source leaves the one before, and is remembered for another try", async () => {
  const { client, sources, opening } = running();
  const done = sources.swap("b");
  opening.get("b").refuse(new Error("no"));
  await assert.rejects(done, /no/);
  assert.deepEqual([client.source.name, client.source.on()], ["a", true]);
  assert.deepEqual([sources.sent, sources.wanted], ["a", "b"]);
});

test("a camera that was let go for one that refuses is opened again", async () => {
  const { client, sources, opening } = running();
  client.source.getTracks()[0].stop(); // as on phones
  const done = sources.swap("b");
  opening.get("b").refuse(new Error("no"));
  await new Promise(setImmediate);
  opening.get("a").open();
  await assert.rejects(done, /no/);
  assert.deepEqual([client.source.name, client.source.on(), sources.sent], ["a", true, "a"]);
});
