// What the user keeps in this browser: presets of the own, and the prompts that were used. Whatever lies in the storage
// is checked like a stranger's file; a browser that forbids storage costs the memory, nothing else. Pure but for it.

import { LONGEST_NAME, MOST_PRESETS, presetsOf } from "./looks.js";

/** @typedef {import("./looks.js").Preset} Preset */
/** @typedef {import("../controls.js").Schema} Schema */
/** @typedef {Pick<Storage, "getItem" | "setItem"> | null} Shelf */

export const MOST_PROMPTS = 50;
const LONGEST_PROMPT = 1000; // characters, as the server has it
const PRESETS = "live-diffusion.presets";
const HISTORY = "live-diffusion.history";

export class Library {
  /** @type {Preset[]} the newest first */
  presets;
  #shelf;

  /** @param {Schema} schema @param {Shelf} shelf */
  constructor(schema, shelf) {
    this.#shelf = shelf;
    this.presets = presetsOf(schema, read(shelf, PRESETS));
  }

  /** In place of one of the same name; the oldest make room. @param {Preset[]} added */
  add(added) {
    const names = new Set(added.map(({ name }) => name));
    this.#keep([...added, ...this.presets.filter(({ name }) => !names.has(name))].slice(0, MOST_PRESETS));
  }

  /** @param {string} name */
  remove(name) {
    this.#keep(this.presets.filter((preset) => preset.name !== name));
  }

  /** @param {Preset[]} presets */
  #keep(presets) {
    this.presets = presets;
    write(this.#shelf, PRESETS, presets);
  }
}

/** A name for what is starred: its prompt, or its first prompts. @param {import("../protocol.js").Settings} settings */
export function nameOf({ prompt, prompts }) {
  const parts = Array.isArray(prompts) ? prompts.map(({ text }) => text) : [prompt];
  const words = parts.filter(Boolean).join(" + ").trim() || "Untitled";
  return words.length > LONGEST_NAME ? `${words.slice(0, LONGEST_NAME - 1).replace(/\p{Cs}/gu, "")}…` : words;
}

/** The prompts that were used, and where in them the user is with ↑ and ↓. */
export class History {
  /** @type {string[]} the newest last */
  prompts;
  #shelf;
  /** @type {number | null} what is shown now; null while the user writes an own one */
  #at = null;
  #draft = "";

  /** @param {Shelf} shelf */
  constructor(shelf) {
    this.#shelf = shelf;
    this.prompts = read(shelf, HISTORY)
      .filter((prompt) => typeof prompt === "string")
      .filter((prompt) => prompt.length <= LONGEST_PROMPT)
      .slice(-MOST_PROMPTS);
  }

  get walking() {
    return this.#at !== null;
  }

  /** @param {string} prompt that is in force */
  add(prompt) {
    this.#at = null;
    if (prompt.trim() === "") return;
    this.prompts = [...this.prompts.filter((known) => known !== prompt), prompt].slice(-MOST_PROMPTS);
    write(this.#shelf, HISTORY, this.prompts);
  }

  /** @param {string} shown what stands in the field @returns {string | null} the one before; null: there is none */
  back(shown) {
    if (this.#at === null) this.#draft = shown;
    const known = this.prompts.length - (this.prompts.at(-1) === shown ? 1 : 0);
    const next = (this.#at ?? known) - 1;
    if (next < 0) return null;
    this.#at = next;
    return this.prompts[next] ?? null;
  }

  /** @returns {string | null} the one after, in the end what was being written; null: nothing after it */
  forward() {
    if (this.#at === null) return null;
    const next = this.#at + 1;
    this.#at = next < this.prompts.length ? next : null;
    return this.#at === null ? this.#draft : (this.prompts[next] ?? null);
  }

  /** The user writes: ↑ starts from the newest again. */
  leave() {
    this.#at = null;
  }
}

/** @param {Shelf} shelf @param {string} key @returns {unknown[]} */
function read(shelf, key) {
  try {
    const list = JSON.parse(shelf?.getItem(key) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** @param {Shelf} shelf @param {string} key @param {unknown[]} list */
function write(shelf, key, list) {
  try {
    shelf?.setItem(key, JSON.stringify(list));
  } catch {
    // Full or forbidden: it lives as long as the page.
  }
}
