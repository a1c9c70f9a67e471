// Which source is sent, and the change to another one while a session runs. A choice may be overtaken, by a newer one
// or by Stop, while the browser still asks for it: then what it opens is closed, for a camera must never be on unseen.

import { closeStream } from "./client.js";

/** @typedef {(choice: string, inUse?: MediaStream | null) => Promise<MediaStream>} OpenSource */

export class SourceSwitch {
  /** What is being sent. */
  sent = "";
  /** What was chosen last, also where it could not be opened. */
  wanted = "";
  #client;
  #open;
  #asked = 0;

  /** @param {Pick<import("./client.js").Client, "source" | "replaceSource">} client @param {OpenSource} open */
  constructor(client, open) {
    this.#client = client;
    this.#open = open;
  }

  /** For the start of a session. Throws a Problem. @param {string} choice */
  async open(choice) {
    const { current } = this.#ask(choice);
    const stream = await this.#open(choice);
    if (current()) this.sent = choice;
    return stream;
  }

  /**
   * In place of what is sent; without a session nothing. Throws a Problem, and what was sent before goes on.
   * @param {string} choice
   */
  async swap(choice) {
    const before = this.#client.source;
    if (before === null) return;
    const { current } = this.#ask(choice);
    try {
      const stream = await this.#open(choice, before);
      if (!current()) return closeStream(stream);
      await this.#client.replaceSource(stream);
      this.sent = choice;
    } catch (error) {
      if (!current()) return;
      // A phone has one camera at a time, so the one before was let go for this.
      if (this.#client.source?.getVideoTracks()[0]?.readyState === "ended") await this.#reopen(current);
      throw error;
    }
  }

  /** @param {() => boolean} current */
  async #reopen(current) {
    const stream = await this.#open(this.sent).catch(() => null);
    if (stream && !current()) return closeStream(stream);
    if (stream) await this.#client.replaceSource(stream);
  }

  /** @param {string} choice */
  #ask(choice) {
    const mine = ++this.#asked;
    this.wanted = choice;
    return { current: () => mine === this.#asked };
  }
}
