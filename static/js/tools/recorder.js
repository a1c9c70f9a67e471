// Records a stream into a file: to disk as it grows where the browser can, otherwise in memory up to a limit.
// One Recorder is one recording. It ends with `stop`, with its stream, with an error or at its limit, whatever comes
// first; `finished` then tells what became of it. No DOM.

import { isFull, PIECE_MS, VIDEO_BITS_PER_SECOND } from "./recording.js";
import { withDuration } from "./webm.js";

/** @typedef {import("./recording.js").Format} Format */

/**
 * @typedef {object} Result
 * @property {"stopped" | "full" | "failed"} reason
 * @property {Blob | null} file null where it lies on disk already
 */

/** @typedef {Pick<FileSystemWritableFileStream, "write" | "close">} Disk */

export class Recorder {
  bytes = 0;
  /** @type {Promise<Result>} */
  finished;
  #recorder;
  #format;
  #disk;
  /** @type {Result["reason"]} */
  #reason = "stopped";
  /** @type {Blob | null} the first piece, which says how long the file is */
  #head = null;
  /** @type {Blob[]} */
  #pieces = [];
  #started = performance.now();
  #length = 0;
  /** @type {Promise<unknown>} each write waits for the one before */
  #writing = Promise.resolve();

  /** @param {MediaStream} stream @param {Format} format @param {Disk | null} disk throws where it cannot be recorded */
  constructor(stream, format, disk) {
    this.#format = format;
    this.#disk = disk;
    this.#recorder = new MediaRecorder(stream, {
      mimeType: format.mimeType,
      videoBitsPerSecond: VIDEO_BITS_PER_SECOND,
    });
    this.#recorder.ondataavailable = ({ data }) => this.#take(data);
    this.#recorder.onerror = () => this.#end("failed");
    this.finished = new Promise((resolve) => {
      this.#recorder.onstop = () => resolve(this.#finish());
    });
    this.#recorder.start(PIECE_MS);
  }

  /** @param {number} now milliseconds since it began */
  elapsed(now) {
    return this.#recorder.state === "inactive" ? this.#length : now - this.#started;
  }

  stop() {
    this.#end("stopped");
  }

  /** @param {Result["reason"]} reason */
  #end(reason) {
    if (this.#recorder.state === "inactive") return;
    this.#reason = reason;
    this.#recorder.stop();
  }

  /** @param {Blob} piece */
  #take(piece) {
    this.#length = performance.now() - this.#started;
    if (piece.size === 0) return;
    this.bytes += piece.size;
    this.#head ??= piece;
    if (this.#disk) this.#write(piece === this.#head ? this.#timed(0) : piece);
    else {
      this.#pieces.push(piece);
      if (isFull(this.bytes)) this.#end("full");
    }
  }

  /** @returns {Promise<Result>} */
  async #finish() {
    const first = this.#timed(this.#length);
    if (!this.#disk) {
      const file = new Blob([await first, ...this.#pieces.slice(1)], { type: this.#recorder.mimeType });
      this.#pieces = [];
      return { reason: this.#reason, file: this.#head ? file : null };
    }
    this.#write(first, 0);
    await this.#writing;
    await this.#disk.close().catch(() => this.#fail());
    return { reason: this.#reason, file: null };
  }

  /** The first piece, with the length of the whole where its format has a place for it. @param {number} ms @returns {Promise<Blob>} */
  async #timed(ms) {
    const head = this.#head ?? new Blob();
    if (this.#format.extension !== "webm") return head;
    return new Blob([withDuration(new Uint8Array(await head.arrayBuffer()), ms)]);
  }

  /** @param {Blob | Promise<Blob>} piece @param {number} [position] the end, if left out */
  #write(piece, position) {
    this.#writing = this.#writing
      .then(async () => {
        const data = await piece;
        await this.#disk?.write(position === undefined ? data : { type: "write", position, data });
      })
      .catch(() => this.#fail());
  }

  /** A full or vanished disk ends the recording; what was written stays. */
  #fail() {
    this.#end("failed");
    this.#reason = "failed";
  }
}
