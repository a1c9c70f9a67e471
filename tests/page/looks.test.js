// Looks that come from links, files and snapshots: a stranger's bytes become allowed settings, or nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  changedOnly,
  clean,
  fromFile,
  fromFragment,
  fromSnapshot,
  MOST_FILE_BYTES,
  MOST_PRESETS,
  toFile,
  toFragment,
  toSnapshot,
} from "../../static/js/tools/looks.js";

const SCHEMA = {
  properties: {
    pipeline: { type: "string", enum: ["effects", "identity"], default: "effects", widget: "select" },
    prompt: { type: "string", maxLength: 1000, default: "fox", widget: "textarea" },
    prompts: { anyOf: [{ maxItems: 4 }, {}], default: null, widget: "prompts" },
    denoising_strength: { type: "number", minimum: 0, maximum: 1, default: 0.8, widget: "range" },
    seed: { type: "integer", minimum: 0, maximum: 4294967295, default: 2, widget: "seed" },
    glide_frames: { type: "integer", minimum: 0, maximum: 120, default: 8, widget: "range" },
  },
};

test("good settings pass as they are", () => {
  const good = { pipeline: "identity", prompt: "owl", denoising_strength: 0.5, seed: 4294967295 };
  assert.deepEqual(clean(SCHEMA, good), { settings: good, refused: [] });
  assert.deepEqual(clean(SCHEMA, { prompts: [{ text: "a" }] }).settings, {
    prompts: [{ text: "a", weight: 1 }],
  });
});

for (const [name, value] of [
  ["pipeline", "diffusion"],
  ["prompt", 7],
  ["prompt", "x".repeat(1001)],
  ["prompts", []],
  ["prompts", Array(5).fill({ text: "a" })],
  ["prompts", [{ text: "a", weight: 0 }]],
  ["prompts", [{ text: "a", weight: 11 }]],
  ["prompts", [null]],
  ["denoising_strength", 1.01],
  ["denoising_strength", "0.5"],
  ["denoising_strength", Number.NaN],
  ["seed", 1.5],
  ["seed", -1],
  ["seed", null],
  ["nothing", 1],
  ["__proto__x", {}],
  ["constructor", {}],
]) {
  test(`refused: ${name} = ${JSON.stringify(value)?.slice(0, 40)}`, () => {
    assert.deepEqual(clean(SCHEMA, { [name]: value }), { settings: {}, refused: [name] });
  });
}

test("what is no object holds no settings, and a __proto__ in a file changes nothing", () => {
  for (const raw of [null, [], "x", 3, JSON.parse('{"__proto__": {"seed": 1}}')]) {
    assert.deepEqual(clean(SCHEMA, raw).settings, {});
  }
  assert.equal({}.seed, undefined);
});

test("control characters and halves of a pair become spaces; markup stays text", () => {
  assert.equal(clean(SCHEMA, { prompt: "a\n\u0000b\ud800" }).settings.prompt, "a b ");
  assert.equal(clean(SCHEMA, { prompt: "<img onerror=x>" }).settings.prompt, "<img onerror=x>");
});

test("a prompt and a blend never come together", () => {
  const both = { prompt: "a", prompts: [{ text: "b", weight: 2 }] };
  assert.deepEqual(clean(SCHEMA, both).settings, { prompts: [{ text: "b", weight: 2 }] });
});

test("a link says what was put into it", () => {
  const settings = {
    prompt: "42 & #more",
    denoising_strength: 0.5,
    prompts: [{ text: "ä", weight: 2 }],
    seed: 3,
  };
  assert.deepEqual(fromFragment(toFragment(settings)), settings);
  assert.deepEqual(fromFragment("#prompt=fox%20in+snow&strength=0.5&glide=3"), {
    prompt: "fox in snow",
    denoising_strength: 0.5,
    glide_frames: 3,
  });
});

test("an anchor is no link to a look", () => {
  for (const fragment of ["", "#", "#settings", "#a="]) assert.equal(fromFragment(fragment), null);
});

test("only what differs from the server's defaults is handed on", () => {
  assert.deepEqual(changedOnly(SCHEMA, { prompt: "fox", seed: 3, prompts: null, unknown: 1 }), { seed: 3 });
});

test("presets come back from their file", () => {
  const presets = [{ name: "Owl", settings: { prompt: "owl" } }];
  assert.deepEqual(fromFile(SCHEMA, toFile(presets)), presets);
});

test("a hostile file of presets gives nothing, or only what is good in it", () => {
  for (const content of [
    "",
    "{",
    "[]",
    "null",
    '{"presets": 3}',
    `{"presets":[],"x":"${"x".repeat(MOST_FILE_BYTES)}"}`,
  ]) {
    assert.equal(fromFile(SCHEMA, content), null);
  }
  const good = { name: " \u0007Owl ", settings: { prompt: "owl", evil: 1 } };
  const bad = [
    null,
    3,
    {},
    { name: "" },
    { name: 3, settings: good.settings },
    { name: "x".repeat(61), settings: good.settings },
    { name: "x", settings: { evil: 1 } },
  ];
  assert.deepEqual(fromFile(SCHEMA, JSON.stringify({ presets: [...bad, good] })), [
    { name: "Owl", settings: { prompt: "owl" } },
  ]);
  const many = Array.from({ length: MOST_PRESETS + 1 }, (_, i) => ({ name: `${i}`, settings: { seed: i } }));
  assert.equal(fromFile(SCHEMA, JSON.stringify({ presets: many }))?.length, MOST_PRESETS);
});

test("a snapshot gives its settings back, a stranger's text none", () => {
  assert.deepEqual(fromSnapshot(SCHEMA, toSnapshot({ seed: 3, evil: 1 }, "effects")), { seed: 3 });
  for (const text of [null, "", "{", "[]", '{"settings": {"seed": "3"}}'])
    assert.equal(fromSnapshot(SCHEMA, text), null);
});
