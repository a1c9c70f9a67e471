// The messages that page and server exchange on the DataChannel `control` and on `/ws`: encode, decode and their shapes.
// Pure: no DOM, no network. The contract is version 1; a newer server says so in its first `status`.

export const PROTOCOL = 1;

/** @typedef {Record<string, unknown>} Settings values by setting name, any subset of them */
/** @typedef {"queued" | "loading" | "running" | "passthrough" | "degraded" | "no_input" | "draining" | "closed"} ServerState */
/** @typedef {{ stage: string, done: number, total: number, unit: string, eta_s: number | null }} Progress */
/** @typedef {{ p50: number | null, p95: number | null }} Percentiles */

/**
 * @typedef {object} Status
 * @property {number} protocol
 * @property {string} session_id
 * @property {ServerState} state
 * @property {string} [view_id]
 * @property {number | null} [place] in line, from 1
 * @property {number | null} [wait_s] about how long that takes
 * @property {string | null} [reason]
 * @property {string | null} [message]
 * @property {number | null} [retry_in_s]
 * @property {Progress | null} [progress]
 * @property {string} pipeline
 * @property {string[]} pipelines
 * @property {string | null} [device]
 * @property {string | null} [model]
 * @property {string[]} [models]
 * @property {Settings} settings
 * @property {number} settings_version
 * @property {string[]} [notes]
 */

/**
 * @typedef {object} Applied
 * @property {number} version
 * @property {Settings} settings
 * @property {string[]} changed
 * @property {string[]} rebuilding
 * @property {string[]} notes
 */

/**
 * What the page reads of the server's `stats`.
 * @typedef {object} ServerStats
 * @property {Record<string, Percentiles>} stages_ms
 * @property {number} fps_in
 * @property {number} fps_out
 * @property {Record<string, number>} dropped
 */

/** On `/ws`, before the binary message it describes. @typedef {{ timings_ms: Record<string, number> }} ProcessedFrame */

/** @typedef {{ field: string, message: string }} FieldProblem */

/**
 * What went wrong, in the server's shape; the page's own errors use it too.
 * @typedef {object} Problem
 * @property {string} code
 * @property {string} message what happened
 * @property {string} fix what to do
 * @property {FieldProblem[]} fields
 * @property {boolean} retryable
 * @property {import("./texts.js").Values} [values] of a problem of the page's own: what its texts are filled with
 */

/**
 * @typedef {{ type: "status", data: Status, id?: string }
 *   | { type: "settings_applied", data: Applied, id?: string }
 *   | { type: "error", data: Problem, id?: string }
 *   | { type: "stats", data: ServerStats, id?: string }
 *   | { type: "processed_frame", data: ProcessedFrame, id?: string }
 *   | { type: "pong", data: { t: number, server_time: number }, id?: string }
 *   | { type: "stats_subscribed", data: { interval_s: number | null }, id?: string }} ServerMessage
 */

/**
 * @param {string} type
 * @param {Record<string, unknown>} data
 * @param {string} [id] echoed by the server in its reply
 */
export function encode(type, data, id) {
  return JSON.stringify({ type, data, id }); // which leaves out what is undefined
}

/**
 * @param {unknown} text
 * @returns {ServerMessage | null} null for whatever is not an envelope; additions to the protocol are free
 */
export function decode(text) {
  if (typeof text !== "string") return null;
  try {
    const message = JSON.parse(text);
    const envelope = isObject(message) && typeof message.type === "string" && isObject(message.data);
    return envelope ? /** @type {ServerMessage} */ (message) : null;
  } catch {
    return null;
  }
}

/**
 * Any answer of the server as a Problem, whatever of it is missing.
 * @param {unknown} body
 * @returns {Problem}
 */
export function asProblem(body) {
  const given = isObject(body) ? body : {};
  return {
    code: String(given.code ?? "internal"),
    message: String(given.message ?? given.detail ?? given.title ?? "The server could not do this."),
    fix: String(given.fix ?? ""),
    fields: Array.isArray(given.fields) ? given.fields : [],
    retryable: given.retryable === true,
    ...(isObject(given.values) && { values: given.values }),
  };
}

/**
 * The setting that a problem's field belongs to: `prompts.0.text` is about `prompts`.
 * @param {string} field
 */
export function settingOf(field) {
  return field.split(".", 1)[0] ?? field;
}

/** @param {unknown} value @returns {value is Record<string, any>} */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
