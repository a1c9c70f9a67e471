// A look is a set of settings that can be handed on: by a link, in a file of presets, inside a snapshot. What comes in
// that way is a stranger's: here it is reduced to settings that the schema knows, each with a value that it allows.
// Pure. The server checks once more, and has the last word.

import { isObject } from "../protocol.js";
import { mostPrompts } from "../widgets.js";

/** @typedef {import("../protocol.js").Settings} Settings */
/** @typedef {import("../controls.js").Schema} Schema */
/** @typedef {import("../widgets.js").Property} Property */
/** @typedef {{ name: string, settings: Settings }} Preset */

export const KEYWORD = "live-diffusion"; // of the text inside a snapshot
export const MOST_FILE_BYTES = 256 * 1024; // of a file of presets: a hundred with all their texts
export const MOST_PICTURE_BYTES = 32 * 1024 * 1024; // of a snapshot that is dropped on the page
export const MOST_PRESETS = 100;
export const LONGEST_NAME = 60;
/** Short names in links. @type {Record<string, string>} */
const ALIASES = { strength: "denoising_strength", negative: "negative_prompt", glide: "glide_frames" };

/**
 * What of `raw` are settings with allowed values, and the names of the rest.
 * @param {Schema} schema @param {unknown} raw
 * @returns {{ settings: Settings, refused: string[] }}
 */
export function clean(schema, raw) {
  /** @type {Settings} */
  const settings = {};
  const refused = [];
  for (const [name, value] of Object.entries(isObject(raw) ? raw : {})) {
    const property = Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    const taken = property && allowed(property, value);
    if (taken === undefined) refused.push(name.slice(0, LONGEST_NAME));
    else settings[name] = taken;
  }
  if (settings.prompts) delete settings.prompt; // one message has one of the two
  return { settings, refused };
}

/** @param {Property} property @param {unknown} value @returns {unknown} undefined: not allowed */
function allowed(property, value) {
  const { type, minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = property;
  if (property.widget === "prompts") return value === null ? null : blend(property, value);
  if (property.enum) return property.enum.includes(/** @type {string} */ (value)) ? value : undefined;
  if (type === "boolean") return typeof value === "boolean" ? value : undefined;
  if (type === "string") return text(value, property.maxLength);
  if (typeof value !== "number" || !(value >= minimum && value <= maximum)) return undefined;
  return type === "integer" && !Number.isInteger(value) ? undefined : value;
}

/** @param {unknown} value @param {number} [longest] */
function text(value, longest = 1000) {
  if (typeof value !== "string" || value.length > longest) return undefined;
  return value.replace(/[\p{Cc}\p{Cs}]+/gu, " "); // neither control characters nor halves of a pair
}

/** @param {Property} property @param {unknown} value */
function blend(property, value) {
  if (!Array.isArray(value) || value.length === 0 || value.length > mostPrompts(property)) return undefined;
  const parts = value.map((part) => {
    const words = text(part?.text);
    const weight = part?.weight ?? 1;
    return words !== undefined && typeof weight === "number" && weight >= 0 && weight <= 10
      ? { text: words, weight }
      : null;
  });
  return parts.every((part) => part !== null) && parts.some(({ weight }) => weight > 0) ? parts : undefined;
}

/**
 * Settings in the fragment of an address, as they stand there: `#prompt=fox&strength=0.5`.
 * @param {string} fragment with or without its #
 * @returns {Record<string, unknown> | null} null where it holds none
 */
export function fromFragment(fragment) {
  const entries = [...new URLSearchParams(fragment.replace(/^#/, ""))];
  if (!entries.some(([, value]) => value !== "")) return null;
  return Object.fromEntries(entries.map(([name, value]) => [ALIASES[name] ?? name, parsed(name, value)]));
}

/** A prompt of digits is a prompt. @param {string} name @param {string} value */
function parsed(name, value) {
  if (name === "prompt" || name === "negative" || name === "negative_prompt") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** @param {Settings} settings */
export function toFragment(settings) {
  const short = new Map(Object.entries(ALIASES).map(([alias, name]) => [name, alias]));
  const entries = Object.entries(settings).map(([name, value]) => [
    short.get(name) ?? name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return `#${new URLSearchParams(entries)}`;
}

/** The settings that differ from what the server starts with. @param {Schema} schema @param {Settings} settings */
export function changedOnly(schema, settings) {
  return Object.fromEntries(
    Object.entries(settings).filter(([name, value]) => {
      const property = schema.properties[name];
      return property && JSON.stringify(value) !== JSON.stringify(property.default);
    }),
  );
}

/** @param {Preset[]} presets @returns {string} a file of them */
export function toFile(presets) {
  return `${JSON.stringify({ format: "live-diffusion presets", version: 1, presets }, null, 2)}\n`;
}

/**
 * @param {Schema} schema @param {string} content
 * @returns {Preset[] | null} null: no file of presets. Presets without a usable setting are left out
 */
export function fromFile(schema, content) {
  const file = json(content);
  if (content.length > MOST_FILE_BYTES || !isObject(file) || !Array.isArray(file.presets)) return null;
  return presetsOf(schema, file.presets);
}

/** @param {Schema} schema @param {unknown[]} list @returns {Preset[]} */
export function presetsOf(schema, list) {
  return list
    .slice(0, MOST_PRESETS)
    .map((raw) => ({
      name: text(isObject(raw) ? raw.name : null, LONGEST_NAME)?.trim() ?? "",
      settings: clean(schema, isObject(raw) ? raw.settings : null).settings,
    }))
    .filter(({ name, settings }) => name !== "" && Object.keys(settings).length > 0);
}

/** What lies inside a snapshot. @param {Settings} settings @param {string} made of what painter, in words */
export function toSnapshot(settings, made) {
  return JSON.stringify({ version: 1, made, settings });
}

/** @param {Schema} schema @param {string | null} content @returns {Settings | null} null: no snapshot of ours */
export function fromSnapshot(schema, content) {
  const snapshot = json(content ?? "");
  if (!isObject(snapshot)) return null;
  const { settings } = clean(schema, snapshot.settings);
  return Object.keys(settings).length > 0 ? settings : null;
}

/** @param {string} content @returns {unknown} undefined for what is no JSON */
function json(content) {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}
