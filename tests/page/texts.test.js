// The texts: a plain one for every state of the server and every way a camera can fail, in each language.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  cameraProblem,
  insecureProblem,
  isCameraProblem,
  thrownProblem,
  unreachableProblem,
  words,
} from "../../static/js/errors.js";
import { IDLE } from "../../static/js/session.js";
import { describe, icon, painter, progressText, title } from "../../static/js/status.js";
import { bestLanguage, useLanguage } from "../../static/js/texts.js";
import { amount } from "../../static/js/widgets.js";
import de from "../../static/texts/de.js";
import en from "../../static/texts/en.js";

const LIVE = { ...IDLE, phase: "live", proven: "webrtc" };
const STATES = ["queued", "loading", "running", "passthrough", "degraded", "no_input", "draining", "closed"];

for (const state of STATES) {
  test(`state ${state} has a word, and a sentence of its own unless all is well`, () => {
    const { word, text, tone } = describe(LIVE, { state });
    assert.notEqual(word, "");
    assert.notEqual(icon(tone), undefined);
    assert.equal(text === "", state === "running");
  });
}

for (const state of ["loading", "running", "passthrough", "degraded", "no_input", "closed"]) {
  test(`state ${state} says what the server says`, () => {
    assert.equal(describe(LIVE, { state, message: "So it is." }).text, "So it is.");
  });
}

test("nothing is live before a picture has been seen", () => {
  assert.equal(describe(LIVE, { state: "running", message: "" }, false).name, "connecting");
  assert.equal(describe(LIVE, { state: "running", message: "" }, true).name, "live");
});

test("each phase has a word", () => {
  for (const phase of ["idle", "asking", "connecting", "waiting", "failed", "live"]) {
    assert.notEqual(describe({ ...IDLE, phase }, null).word, "");
  }
});

test("who waits in line is told the place", () => {
  const queued = { state: "queued", place: 2, wait_s: null };
  assert.match(describe(LIVE, queued).text, /^You are number 2 in line; .* free\.$/);
  assert.match(describe(LIVE, { ...queued, wait_s: 40 }).text, /About 40 s to wait\.$/);
  assert.match(describe(LIVE, { ...queued, wait_s: 200 }).text, /About 3 min to wait\.$/);
});

test("a server that stops says when", () => {
  assert.match(describe(LIVE, { state: "draining", retry_in_s: 20 }).text, /within 20 s\.$/);
});

test("a server that asks for a token is no error but a door", () => {
  const failed = (code) => describe({ ...IDLE, phase: "failed", problem: { code } }, null).name;
  assert.deepEqual([failed("unauthorized"), failed("no_video")], ["signin", "error"]);
});

test("progress in words", () => {
  const bytes = { stage: "download", done: 1.2e9, total: 2.4e9, unit: "bytes", eta_s: 39.2 };
  assert.equal(progressText(bytes), "Download: 1.2 of 2.4 GB, about 40 s left");
  const runs = { stage: "warm-up", done: 3, total: 5, unit: "runs", eta_s: null };
  assert.equal(progressText(runs), "Warm up: 3 of 5 runs");
  assert.equal(progressText({ ...runs, done: 0, total: 0 }), "Warm up…");
});

test("names as people write them", () => {
  assert.equal(title("neural-style"), "Neural style");
  assert.equal(painter({ pipeline: "neural-style", device: "cpu" }), "Neural style (CPU)");
  assert.equal(painter({ pipeline: "diffusion", device: "NVIDIA H100" }), "Diffusion (NVIDIA H100)");
});

for (const name of [
  "NotAllowedError",
  "NotFoundError",
  "NotReadableError",
  "OverconstrainedError",
  "AbortError",
]) {
  test(`camera error ${name} has a text of its own, and says what to do`, () => {
    const problem = cameraProblem(Object.assign(new Error("x"), { name }));
    assert.notEqual(problem.message, cameraProblem(new Error("x")).message);
    assert.equal(problem.code, `camera/${name}`);
    assert.match(problem.fix, /\w/);
    assert.equal(isCameraProblem(problem), true);
  });
}

test("an insecure page is told the address that works", () => {
  assert.match(insecureProblem({ origin: "http://pc:8000", port: "8000" }).fix, /http:\/\/localhost:8000;/);
  assert.match(insecureProblem({ origin: "http://pc", port: "" }).fix, /http:\/\/localhost;/);
});

test("what a source throws is a problem with something to do, whatever it is", () => {
  const ours = cameraProblem(new Error("x"));
  assert.deepEqual(thrownProblem(ours), ours);
  const denied = Object.assign(new Error("x"), { name: "NotAllowedError" });
  assert.equal(thrownProblem(denied).code, "camera/NotAllowedError");
  const unknown = thrownProblem(new TypeError("x is undefined"));
  assert.match(unknown.message, /x is undefined/);
  assert.match(unknown.fix, /Reload/);
});

test("what the browser asks for is named by its source", () => {
  const asking = { ...IDLE, phase: "asking" };
  const texts = ["camera", "screen", "file", "card"].map(
    (asked) => describe(asking, null, true, false, asked).text,
  );
  assert.equal(new Set(texts).size, 4);
});

test("an unreachable server is named, and tried again", () => {
  const problem = unreachableProblem("http://pc:8000");
  assert.match(problem.message, /http:\/\/pc:8000/);
  assert.equal(problem.retryable, true);
  assert.equal(isCameraProblem(problem), false);
});

const HTML = await readFile(new URL("../../static/index.html", import.meta.url), "utf8");

test("the page says before its script what its script says in English", () => {
  const said = [...HTML.matchAll(/data-t="([^"]+)"[^>]*>([^<]*)</g)];
  assert.ok(said.length > 15);
  for (const [, key, text] of said) assert.equal(text, en[key]);
  for (const [, text, key] of HTML.matchAll(/aria-label="([^"]+)" data-t-label="([^"]+)"/g)) {
    assert.equal(text, en[key]);
  }
});

test("German has every text, and fills in the same values", () => {
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, text] of Object.entries(en)) {
    assert.equal(typeof de[key], "string", key);
    assert.deepEqual(values(de[key]), values(text), key);
  }
});

test("every page problem has its texts", () => {
  const codes = Object.keys(en).filter((key) => /^problem\..*(?<!\.fix)$/.test(key));
  for (const key of codes) assert.equal(typeof en[`${key}.fix`], "string", key);
});

test("every preset has a name", async () => {
  const presets = JSON.parse(
    await readFile(new URL("../../static/looks/presets.json", import.meta.url), "utf8"),
  );
  for (const { key } of presets) assert.equal(typeof en[`preset.${key}`], "string", key);
});

test("the language is the first wish that there is", () => {
  assert.equal(bestLanguage(["fr-FR", "de-AT", "en"]), "de");
  assert.equal(bestLanguage(["fr"]), "en");
  assert.equal(bestLanguage(["__proto__"]), "en");
});

test("in German the page speaks for the server, and keeps what exactly it said", async () => {
  await useLanguage("de");
  try {
    const server = {
      code: "gpu_oom",
      message: "12 of 11 GB.",
      fix: "Take less.",
      fields: [],
      retryable: true,
    };
    assert.deepEqual(words(server), {
      message: de["problem.gpu_oom"],
      fix: "Take less.",
      detail: "12 of 11 GB.",
    });
    assert.deepEqual(words({ ...server, code: "newer_than_this_page" }).message, "12 of 11 GB.");
    const own = words(unreachableProblem("http://pc:8000"));
    assert.match(own.message, /^Der Server unter http:\/\/pc:8000 /);
    assert.equal(own.detail, "");
    assert.equal(describe(LIVE, { state: "running", message: "English." }).text, "");
    const limited = describe(LIVE, { state: "degraded", message: "No pipeline could be loaded." });
    assert.match(limited.text, /eingeschränkt.*No pipeline could be loaded/);
    const bytes = { stage: "download", done: 1.2e9, total: 2.4e9, unit: "bytes", eta_s: null };
    assert.equal(progressText(bytes), "Download: 1,2 von 2,4 GB");
    assert.equal(amount(0.5, 0.01, ""), "0,50");
  } finally {
    await useLanguage("en");
  }
});
