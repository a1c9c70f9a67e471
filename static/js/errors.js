// What goes wrong on the page's side, in the same shape as the server's errors: a code, what happened, what to do.
// Pure. A Problem speaks English, as the server's do; `words` has it in the language in use.

import { asProblem } from "./protocol.js";
import { english, language, said } from "./texts.js";

/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./texts.js").Values} Values */

/** DOMException names of getUserMedia that have a text of their own. */
const CAMERA_ERRORS = [
  "NotAllowedError",
  "SecurityError",
  "NotFoundError",
  "NotReadableError",
  "AbortError",
  "OverconstrainedError",
];

/** @param {string} code @param {boolean} [retryable] @param {Values} [values] @returns {Problem} */
function problem(code, retryable = false, values = {}) {
  const message = english(`problem.${code}`, values) ?? "";
  const fix = english(`problem.${code}.fix`, values) ?? "";
  return { code, message, fix, fields: [], retryable, values };
}

/**
 * A problem in the language in use. Where that is not the server's own, a text by its code comes first, and what
 * exactly the server said after it.
 * @param {Problem} problem
 * @returns {{ message: string, fix: string, detail: string }}
 */
export function words({ code, message, fix, values }) {
  const translated = language() === "en" ? undefined : said(`problem.${code}`, values);
  if (translated === undefined) return { message, fix, detail: "" };
  const translatedFix = said(`problem.${code}.fix`, values);
  const ours = values !== undefined; // nothing in it that the translation does not say
  return { message: translated, fix: translatedFix ?? fix, detail: ours ? "" : message };
}

/** @param {unknown} error what getUserMedia threw */
export function cameraProblem(error) {
  const name = error instanceof Error ? error.name : "";
  return problem(`camera/${CAMERA_ERRORS.includes(name) ? name : "Error"}`);
}

/** @param {"screen-denied" | "screen-ended" | "screen" | "no-file" | "file"} what */
export function sourceProblem(what) {
  return problem(`source/${what}`);
}

/** Whether the test card would help. @param {Problem} problem */
export function isCameraProblem({ code }) {
  return code.startsWith("camera/") || code.startsWith("source/");
}

/** @param {{ origin: string, port: string }} location */
export function insecureProblem({ origin, port }) {
  return problem("camera/insecure_context", false, {
    origin,
    local: `http://localhost${port && `:${port}`}`,
  });
}

/** @param {string} origin */
export function unreachableProblem(origin) {
  return problem("unreachable", true, { origin });
}

export function unsupportedProblem() {
  return problem("unsupported");
}

export function lostProblem() {
  return problem("lost", true);
}

/** What a source threw; our own are Problems already. @param {unknown} error */
export function thrownProblem(error) {
  if (!(error instanceof Error)) return asProblem(error);
  return CAMERA_ERRORS.includes(error.name) ? cameraProblem(error) : unknownProblem(error);
}

/** Something that nobody thought of. @param {unknown} error */
export function unknownProblem(error) {
  return problem("page", false, { reason: String(error) });
}

/** The server answered, but no picture or message ever came through. */
export function noLinkProblem() {
  return problem("ice_failed", true);
}

/** As `noLinkProblem`, of the WebSocket that was tried in its place. */
export function noSocketProblem() {
  return problem("ws_failed", true);
}

/** @param {boolean} shared whether it was a screen, which people stop to share */
export function sourceEndedProblem(shared) {
  return shared ? sourceProblem("screen-ended") : problem("camera/ended");
}

export function newerServerProblem() {
  return problem("protocol_version");
}
