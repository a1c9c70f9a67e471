// The settings as the server confirmed them, and the changes it has not answered yet. Pure.
// It numbers settings messages, and says which values and marks the controls are to show after each answer.

import { settingOf } from "./protocol.js";

/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./protocol.js").Applied} Applied */
/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").Status} Status */

export class Ledger {
  /** @type {Settings} */
  confirmed = {};
  version = 0;
  /** @type {Map<string, Settings>} message id to what it changes, oldest first */
  #pending = new Map();
  #sent = 0;

  /**
   * @param {Settings} patch
   * @returns {string} the id to send it under
   */
  send(patch) {
    const id = `s${++this.#sent}`;
    this.#pending.set(id, patch);
    return id;
  }

  /**
   * A status carries all settings; one of a new connection makes older questions void.
   * @param {Status} status
   * @param {boolean} first of its connection
   * @returns {Settings} what the controls are to show
   */
  status(status, first) {
    if (first) this.#pending.clear();
    this.#confirm(status.settings, status.settings_version);
    return this.#settled();
  }

  /**
   * @param {Applied} applied
   * @param {string} [id] answers this message and all before it: the server merges under load, and keeps the order
   * @returns {{ values: Settings, done: string[] }} what the controls are to show, and which changes are now in force
   */
  applied(applied, id) {
    const done = new Set(applied.changed);
    if (id !== undefined && this.#pending.has(id)) {
      for (const [key, patch] of this.#pending) {
        this.#pending.delete(key);
        for (const name of Object.keys(patch)) done.add(name);
        if (key === id) break;
      }
    }
    this.#confirm(applied.settings, applied.version);
    const values = this.#settled();
    return { values, done: [...done].filter((name) => name in values) };
  }

  /**
   * @param {Problem} problem
   * @param {string} [id]
   * @returns {{ values: Settings, messages: Record<string, string> } | null} the old values to show again and the text
   *   beside each field; null when the problem answers no settings message
   */
  refused(problem, id) {
    const patch = id === undefined ? undefined : this.#pending.get(id);
    if (id === undefined || patch === undefined) return null;
    this.#pending.delete(id);
    const settled = this.#settled();
    const values = Object.fromEntries(
      Object.keys(patch).flatMap((n) => (n in settled ? [[n, settled[n]]] : [])),
    );
    const messages = Object.fromEntries(problem.fields.map((f) => [settingOf(f.field), f.message]));
    return { values, messages };
  }

  /** @param {Settings} settings @param {number} version */
  #confirm(settings, version) {
    this.confirmed = settings;
    this.version = version;
  }

  /** Confirmed values, but not of controls whose newer value is still on its way. @returns {Settings} */
  #settled() {
    const moving = new Set([...this.#pending.values()].flatMap(Object.keys));
    return Object.fromEntries(Object.entries(this.confirmed).filter(([name]) => !moving.has(name)));
  }
}
