// What the page says of the state: phase of the connection and the server's status in, one state, icon, word and
// sentence out. Pure.

import { words } from "./errors.js";
import { duration, language, said, t } from "./texts.js";

/** @typedef {import("./protocol.js").Status} Status */
/** @typedef {import("./protocol.js").Progress} Progress */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {"calm" | "busy" | "good" | "warn" | "bad"} Tone */
/** @typedef {"idle" | "asking" | "connecting" | "loading" | "live" | "degraded" | "reconnecting" | "queued" | "draining" | "signin" | "error"} Name */
/** @typedef {{ name: Name, tone: Tone, word: string, text: string }} StateLine */

const ICONS = { calm: "○", busy: "◐", good: "●", warn: "▲", bad: "✕" };

/** State is told by shape and word; colour only repeats it. @param {Tone} tone */
export function icon(tone) {
  return ICONS[tone];
}

/**
 * @param {Session} session
 * @param {Status | null} status the last one of this connection
 * @param {boolean} seen whether a picture of this connection has been shown: before that nothing is live
 * @param {boolean} locked whether the server asked for a token before anything was started
 * @param {"camera" | "screen" | "file" | "card"} asked what is asked for as source
 * @returns {StateLine}
 */
export function describe(session, status, seen = true, locked = false, asked = "camera") {
  switch (session.phase) {
    case "idle":
      if (locked) return line("signin", "warn", t("state.signin"), t("state.signin.text"));
      return line("idle", "calm", t("state.idle"), t("state.idle.text"));
    case "asking":
      return line("asking", "busy", t("state.asking"), t(`state.asking.${asked}`));
    case "connecting": {
      const text = session.via === "ws" ? t("state.connecting.ws") : t("state.connecting.text");
      return line("connecting", "busy", t("state.connecting"), text);
    }
    case "waiting": {
      const word = session.proven ? t("state.reconnecting") : t("state.waiting");
      return line("reconnecting", "warn", word, session.problem ? words(session.problem).message : "");
    }
    case "failed":
      if (session.problem?.code === "unauthorized") {
        return line("signin", "warn", t("state.signin"), t("state.signin.text"));
      }
      return line("error", "bad", t("state.error"), t("state.error.text"));
    case "live":
      if (!status) return line("connecting", "busy", t("state.connecting"), t("state.connecting.word"));
      return describeServer(status, seen);
  }
}

/** @param {Status} status @param {boolean} seen @returns {StateLine} */
function describeServer(status, seen) {
  const { state } = status;
  // The server speaks English: in another language the page's own words are better than its.
  const own = t(`state.${state}.text`);
  const cause = state === "degraded" && status.message ? `${own} (${status.message})` : own;
  const text = (language() === "en" && status.message) || cause;
  switch (state) {
    case "queued":
      return line("queued", "busy", t("state.queued"), queuedText(status));
    case "loading":
      return line("loading", "busy", t("state.loading"), text);
    case "running":
      if (!seen) return line("connecting", "busy", t("state.connecting"), t("state.connecting.picture"));
      return line("live", "good", t("state.running"), text);
    case "draining":
      return line("draining", "warn", t("state.draining"), drainingText(status));
    case "closed":
      return line("error", "bad", t("state.closed"), text);
    default:
      return line("degraded", "warn", t(`state.${state}`), text);
  }
}

/** @param {Status} status */
function queuedText({ place, wait_s }) {
  const text = place ? t("state.queued.place", { place }) : t("state.queued.text");
  return wait_s == null ? text : `${text} ${t("state.queued.wait", { time: duration(wait_s) })}`;
}

/** @param {Status} status */
function drainingText({ retry_in_s }) {
  const text = t("state.draining.text");
  return retry_in_s == null ? text : `${text} ${t("state.draining.time", { time: duration(retry_in_s) })}`;
}

/** @param {Name} name @param {Tone} tone @param {string} word @param {string} text @returns {StateLine} */
function line(name, tone, word, text) {
  return { name, tone, word, text };
}

/**
 * "Download: 1.2 of 2.4 GB, about 40 s left"; a total of 0 is not known.
 * @param {Progress} progress
 */
export function progressText({ stage, done, total, unit, eta_s }) {
  if (total === 0) return t("progress.unknown", { stage: title(stage) });
  const [scale, name] = unit === "bytes" ? byteScale(total) : [1, unit];
  const amount = (/** @type {number} */ value) => Math.round((value / scale) * 10) / 10;
  const values = { stage: title(stage), done: amount(done), total: amount(total), unit: name };
  const progress = t("progress.known", values).trimEnd();
  return eta_s == null ? progress : t("progress.left", { progress, time: duration(eta_s) });
}

/** @param {number} bytes @returns {[scale: number, name: string]} */
function byteScale(bytes) {
  if (bytes >= 1e9) return [1e9, "GB"];
  return bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
}

/**
 * "neural-style" becomes "Neural style".
 * @param {string} name
 */
export function title(name) {
  const words = name.replace(/[-_]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A unit of the settings schema. @param {string} unit */
export function unitName(unit) {
  return said(`unit.${unit}`) ?? unit;
}

/**
 * Which painter runs where: "Neural style (CPU)", "Diffusion sd-turbo (NVIDIA H100)".
 * @param {Status} status
 */
export function painter({ pipeline, device, model }) {
  const name = model && pipeline === "diffusion" ? `${title(pipeline)} ${model}` : title(pipeline);
  if (!device) return name;
  return `${name} (${device.toLowerCase() === "cpu" ? "CPU" : device})`;
}
