// The user's own settings, kept in the browser and sent with each new connection: only what the user changed,
// so that the server's defaults hold for the rest. A browser that forbids storage costs the memory, nothing else.

import { settingOf } from "./protocol.js";

/** @typedef {import("./protocol.js").Settings} Settings */

const KEY = "live-diffusion.settings";

export class Store {
  #storage;
  /** @type {Settings} */
  #saved = {};

  /** @param {Pick<Storage, "getItem" | "setItem"> | null} storage */
  constructor(storage) {
    this.#storage = storage;
    try {
      const saved = JSON.parse(storage?.getItem(KEY) ?? "{}");
      if (typeof saved === "object" && saved !== null && !Array.isArray(saved)) this.#saved = saved;
    } catch {
      // Unreadable: as if nothing had been saved.
    }
  }

  /** @returns {Settings} */
  get saved() {
    return this.#saved;
  }

  /** @param {Settings} patch */
  put(patch) {
    const next = { ...this.#saved, ...patch };
    // The server takes a prompt or a blend of prompts, never both in one message.
    if ("prompt" in patch) delete next.prompts;
    if (patch.prompts) delete next.prompt;
    this.#write(next);
  }

  /** Forgets settings that this server does not have. @param {(name: string) => boolean} has */
  keep(has) {
    this.#write(Object.fromEntries(Object.entries(this.#saved).filter(([name]) => has(name))));
  }

  /** Forgets the settings that were refused, or all if none is named. @param {string[]} fields */
  drop(fields) {
    const refused = new Set(fields.map(settingOf));
    const named = Object.keys(this.#saved).some((name) => refused.has(name));
    if (named) this.keep((name) => !refused.has(name));
    else this.#write({});
  }

  clear() {
    this.#write({});
  }

  /** @param {Settings} saved */
  #write(saved) {
    this.#saved = saved;
    try {
      this.#storage?.setItem(KEY, JSON.stringify(saved));
    } catch {
      // Full or forbidden: the settings live as long as the page.
    }
  }
}
