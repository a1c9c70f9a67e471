// What a recording is: its format, its name, what is said of it, when it has to end. Pure; `recorder.js` does it.

import { decimal } from "../texts.js";

export const PIECE_MS = 1_000; // between two pieces of the file: what a crash of the browser costs at most
export const MOST_MEMORY_BYTES = 512 * 1024 * 1024; // where the file cannot go to disk as it grows
export const VIDEO_BITS_PER_SECOND = 8_000_000; // above what the server sends, so that little is lost once more

/** @typedef {{ mimeType: string, extension: "mp4" | "webm" }} Format */

/** What is understood by most programs first. @type {Format[]} */
const FORMATS = [
  { mimeType: "video/mp4;codecs=avc3.42E01F", extension: "mp4" }, // avc3: the picture may change its size
  { mimeType: "video/mp4;codecs=avc1.42E01F", extension: "mp4" },
  { mimeType: "video/mp4", extension: "mp4" },
  { mimeType: "video/webm;codecs=vp9", extension: "webm" },
  { mimeType: "video/webm;codecs=vp8", extension: "webm" },
  { mimeType: "video/webm", extension: "webm" },
];

/** @param {(mimeType: string) => boolean} isSupported @returns {Format | null} null: this browser cannot record */
export function chooseFormat(isSupported) {
  return FORMATS.find(({ mimeType }) => isSupported(mimeType)) ?? null;
}

/** @param {number} bytes held in memory */
export function isFull(bytes) {
  return bytes >= MOST_MEMORY_BYTES;
}

/** "1:02:03", "2:03". @param {number} ms */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (/** @type {number} */ value) => String(value % 60).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60)];
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** "3.4 MB". @param {number} bytes */
export function sizeText(bytes) {
  return bytes >= 1e9 ? `${decimal(bytes / 1e9, 2)} GB` : `${decimal(bytes / 1e6, 1)} MB`;
}

/** "live-diffusion-2026-11-24-091500.mp4", in local time. @param {Date} date @param {string} extension */
export function fileName(date, extension) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join("");
  return `live-diffusion-${day}-${time}.${extension}`;
}
