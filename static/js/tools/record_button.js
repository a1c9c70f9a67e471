// The button that records, its time and size, and where the file goes. `recorder.js` writes, `recording.js` decides.

import { make } from "../dom.js";
import { t } from "../texts.js";
import { save } from "./files.js";
import { Recorder } from "./recorder.js";
import { chooseFormat, clock, fileName, sizeText } from "./recording.js";

const SHOWN_EVERY_MS = 500;

/** @typedef {import("./recorder.js").Disk} Disk */
/** @typedef {import("./recording.js").Format} Format */

export class RecordButton {
  button = make("button", { type: "button", class: "quiet", id: "record", disabled: true });
  /** Not a live region: nobody wants each second read out. */
  numbers = make("span", { class: "recorded", hidden: true });
  #say;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {Recorder | null} */
  #recorder = null;
  #opening = false;

  /** @param {(text: string) => void} say tells the user */
  constructor(say) {
    this.#say = say;
    this.button.onclick = () => this.toggle();
    addEventListener("beforeunload", (event) => {
      if (this.#recorder === null) return;
      this.#recorder.stop(); // the file is whole before the page is gone, for this question takes its time
      event.preventDefault();
    });
    addEventListener("pagehide", () => this.#recorder?.stop());
    this.name();
  }

  name() {
    this.button.textContent = t(this.#recorder ? "tools.record.stop" : "tools.record");
    this.button.setAttribute("aria-pressed", String(this.#recorder !== null));
    this.button.disabled = this.#stream === null && this.#recorder === null;
  }

  /** What is to be recorded; another than before, or none, finishes the file. @param {MediaStream | null} stream */
  follow(stream) {
    if (this.#stream === stream) return;
    this.#stream = stream;
    this.#recorder?.stop();
    this.name();
  }

  async toggle() {
    if (this.#recorder) return this.#recorder.stop();
    const format = chooseFormat((type) => globalThis.MediaRecorder?.isTypeSupported(type) ?? false);
    if (format === null) return this.#say(t("tools.record.unsupported"));
    if (this.#opening) return;
    this.#opening = true;
    try {
      const name = fileName(new Date(), format.extension);
      const disk = await openDisk(name, format);
      if (disk !== "cancelled") await this.#record(name, format, disk);
    } catch (error) {
      this.#say(
        t("tools.record.refused", { reason: error instanceof Error ? error.message : String(error) }),
      );
    } finally {
      this.#opening = false;
    }
  }

  /** @param {string} name @param {Format} format @param {Disk | null} disk */
  async #record(name, format, disk) {
    if (this.#stream === null) {
      await disk?.close();
      return this.#say(t("tools.record.nothing", { name }));
    }
    const recorder = new Recorder(this.#stream, format, disk);
    this.#recorder = recorder;
    const show = () => {
      const time = clock(recorder.elapsed(performance.now()));
      this.numbers.textContent = t("tools.record.numbers", { time, size: sizeText(recorder.bytes) });
    };
    const timer = setInterval(show, SHOWN_EVERY_MS);
    show();
    this.numbers.hidden = false;
    this.name();
    recorder.finished.then(({ reason, file }) => {
      clearInterval(timer);
      this.#recorder = null;
      this.numbers.hidden = true;
      this.name();
      if (file) save(file, name);
      this.#say(t(`tools.record.${reason}`, { name, size: sizeText(recorder.bytes) }));
    });
  }
}

/**
 * @param {string} name @param {Format} format
 * @returns {Promise<Disk | null | "cancelled">} null where the browser has no way to write as it goes
 */
async function openDisk(name, format) {
  const picker = /** @type {any} */ (globalThis).showSaveFilePicker;
  if (!picker) return null;
  const types = [{ accept: { [format.mimeType.split(";", 1)[0] ?? ""]: [`.${format.extension}`] } }];
  try {
    return await (await picker({ suggestedName: name, types })).createWritable();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return "cancelled";
    return null; // forbidden here, as in a frame: memory will do
  }
}
