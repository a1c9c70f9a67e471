// What one press can do about a picture that is not as good as it could be: what the server says and what the page has
// measured in, the one remedy that helps most out. Pure; `main.js` carries it out.

import { title } from "./status.js";

/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./texts.js").Key} Key */
/** @typedef {import("./texts.js").Values} Values */
/** @typedef {{ width: number, height: number }} Size in pixels */
/** @typedef {{ minimum?: number, step?: number }} Range of a side of the result */

/**
 * `settings` are changed as if the user had done it, `camera` is what it is asked for from now on, `reopen` opens the
 * source anew, `reset` goes back to the server's defaults.
 * @typedef {{ key: Key, values?: Values }
 *   & ({ act: "settings", settings: Settings } | { act: "camera", size: Size } | { act: "reopen" | "reset" })} Remedy
 */

const SMALLEST_CAMERA = 320; // pixels of its width: what is smaller shows as blocks

/**
 * @param {Pick<import("./protocol.js").Status, "state" | "reason" | "settings" | "pipelines">} status
 * @param {Key | null} concern what keeps a running picture from being good, of `stats.js`
 * @param {Size | null} camera what it sends; null where the source cannot be asked for less
 * @param {Range} side
 * @returns {Remedy | null} null where nothing on this side helps
 */
export function remedy({ state, reason, settings, pipelines }, concern, camera, side) {
  if (state === "no_input") return { key: "remedy.reopen", act: "reopen" };
  if (state === "passthrough" && reason === "apply_failed") return { key: "settings.reset", act: "reset" };
  if (state !== "running") return null;
  switch (concern) {
    case "concern.loss":
      return smallerCamera(camera) ?? smallerResult(settings, side);
    case "concern.camera":
      return smallerCamera(camera);
    case "concern.slow":
      return oneStep(settings) ?? smallerResult(settings, side) ?? effects(settings, pipelines);
    default:
      return null;
  }
}

/** @param {Size | null} camera @returns {Remedy | null} */
function smallerCamera(camera) {
  if (camera === null || camera.width / 2 < SMALLEST_CAMERA) return null;
  const size = { width: Math.round(camera.width / 2), height: Math.round(camera.height / 2) };
  return { key: "remedy.camera", values: { ...size }, act: "camera", size };
}

/** Steps are what a diffusion model spends its time on. @param {Settings} settings @returns {Remedy | null} */
function oneStep({ pipeline, steps }) {
  if (pipeline !== "diffusion" || Number(steps) <= 1) return null;
  return { key: "remedy.steps", act: "settings", settings: { steps: 1 } };
}

/** Three quarters of each side are about half of the work. @param {Settings} settings @param {Range} side @returns {Remedy | null} */
function smallerResult({ pipeline, width, height }, { minimum = 0, step = 1 }) {
  if (pipeline === "identity") return null; // it takes the camera's size
  const less = (/** @type {unknown} */ length) =>
    Math.max(minimum, step * Math.floor((0.75 * Number(length)) / step));
  const smaller = { width: less(width), height: less(height) };
  if (smaller.width === width && smaller.height === height) return null;
  return { key: "remedy.size", values: { ...smaller }, act: "settings", settings: smaller };
}

/** @param {Settings} settings @param {string[]} pipelines @returns {Remedy | null} */
function effects({ pipeline }, pipelines) {
  if (pipeline === "effects" || pipeline === "identity" || !pipelines.includes("effects")) return null;
  const values = { pipeline: title("effects") };
  return { key: "remedy.pipeline", values, act: "settings", settings: { pipeline: "effects" } };
}
