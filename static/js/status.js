// What the state line says: phase of the connection and the server's status in, one icon, word and sentence out. Pure.

/** @typedef {import("./protocol.js").Status} Status */
/** @typedef {import("./protocol.js").Progress} Progress */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {"calm" | "busy" | "good" | "warn" | "bad"} Tone */
/** @typedef {{ tone: Tone, word: string, text: string }} StateLine */

const ICONS = { calm: "○", busy: "◐", good: "●", warn: "▲", bad: "✕" };

/** State is told by shape and word; colour only repeats it. @param {Tone} tone */
export function icon(tone) {
  return ICONS[tone];
}

/**
 * @param {Session} session
 * @param {Status | null} status the last one of this connection
 * @returns {StateLine}
 */
export function describe(session, status) {
  switch (session.phase) {
    case "idle":
      return line("calm", "Ready", "Press Start to send your picture.");
    case "asking":
      return line("busy", "Camera", "Choose Allow when the browser asks for the camera.");
    case "connecting":
      return line("busy", "Connecting", "Opening the video link to the server.");
    case "waiting":
      return line("warn", session.proven ? "Reconnecting" : "Waiting", session.problem?.message ?? "");
    case "failed":
      return line("bad", "Stopped", "Nothing is being sent.");
    case "live":
      return status
        ? describeServer(status)
        : line("busy", "Connecting", "Waiting for the server's first word.");
  }
}

/** @param {Status} status @returns {StateLine} */
function describeServer(status) {
  const said = status.message ?? "";
  switch (status.state) {
    case "queued":
      return line(
        "busy",
        "In line",
        status.place ? `You are number ${status.place} in line.` : said || "Waiting for a free place.",
      );
    case "loading":
      return line("busy", "Loading", said || "The server is preparing the model.");
    case "running":
      return line("good", "Live", said);
    case "passthrough":
      return line("warn", "Unpainted", said || "Your camera picture comes back unpainted for now.");
    case "degraded":
      return line("warn", "Limited", said || "The server runs with limits.");
    case "no_input":
      return line("warn", "No picture", said || "No camera picture reaches the server.");
    case "draining":
      return line("warn", "Restarting", said || "The server is about to restart; this page will reconnect.");
    case "closed":
      return line("bad", "Closed", said || "The server ended this session.");
  }
}

/** @param {Tone} tone @param {string} word @param {string} text @returns {StateLine} */
function line(tone, word, text) {
  return { tone, word, text };
}

/**
 * "Download: 1.2 of 2.4 GB, about 40 s left"; a total of 0 is not known.
 * @param {Progress} progress
 */
export function progressText({ stage, done, total, unit, eta_s }) {
  if (total === 0) return `${title(stage)}…`;
  const [scale, name] = unit === "bytes" ? byteScale(total) : [1, unit];
  const amount = (/** @type {number} */ value) => Math.round((value / scale) * 10) / 10;
  const left = eta_s === null ? "" : `, about ${Math.ceil(eta_s)} s left`;
  return `${title(stage)}: ${amount(done)} of ${amount(total)} ${name}`.trimEnd() + left;
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

/**
 * Which painter runs where: "Neural style (CPU)".
 * @param {Status} status
 */
export function painter({ pipeline, device }) {
  if (!device) return title(pipeline);
  return `${title(pipeline)} (${device.toLowerCase() === "cpu" ? "CPU" : device})`;
}
