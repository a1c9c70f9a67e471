// Watches a session over WHEP (draft-ietf-wish-whep), for ever: whatever ends the picture, the next try comes, after
// pauses that grow. No page: it is given a video element's needs as callbacks. `viewer.js` and other pages use it:
//
//   new Whep("/whep/VIEW_ID", { onStream: (stream) => { video.srcObject = stream; } }).start();

import { LONGEST_PAUSE_MS, pause } from "./backoff.js";
import { gathered } from "./gathering.js";
import { read } from "./stats.js";

const CONNECT_LIMIT_MS = 15_000; // from the offer to the first frame
const STALL_LIMIT_MS = 5_000; // without a frame; the server repeats frames where nothing new is painted
const CHECK_INTERVAL_MS = 1_000;

/** @typedef {"connecting" | "live" | "waiting"} WatchState */
/** @typedef {"offline" | "unauthorized" | "full" | "lost"} Cause `offline`: nobody is on the air, or no server is there */

/**
 * @typedef {object} WhepHooks
 * @property {(stream: MediaStream) => void} onStream
 * @property {(state: WatchState, cause: Cause | null) => void} [onState]
 */

/** @param {number} status of the answer to the offer @returns {Cause} */
export function causeOf(status) {
  if (status === 401 || status === 403) return "unauthorized";
  return status === 429 || status === 503 ? "full" : "offline";
}

class Refused extends Error {
  /** @param {Response} response */
  constructor(response) {
    super(`HTTP ${response.status}`);
    this.cause = causeOf(response.status);
    const seconds = Number(response.headers.get("Retry-After"));
    this.wishedMs = seconds > 0 ? Math.min(seconds * 1000, LONGEST_PAUSE_MS) : null;
  }
}

export class Whep {
  #endpoint;
  #token;
  #hooks;
  #iceServers;
  #attempt = 0;
  #stopped = true;
  /** @type {RTCPeerConnection | null} */
  #connection = null;
  /** @type {string | null} where this viewer can be ended */
  #resource = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} the next try, or the next look at the picture */
  #timer;

  /**
   * @param {string} endpoint of the session: .../whep/VIEW_ID
   * @param {WhepHooks} hooks
   * @param {{ token?: string | null, iceServers?: () => Promise<RTCIceServer[]> }} [options] `token` is sent as Bearer;
   *   `iceServers` is asked before each try, for what a TURN server lets in expires
   */
  constructor(endpoint, hooks, { token = null, iceServers = async () => [] } = {}) {
    this.#endpoint = endpoint;
    this.#hooks = hooks;
    this.#token = token;
    this.#iceServers = iceServers;
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#connect();
  }

  /** Ends it and lets the server know. */
  stop() {
    this.#stopped = true;
    this.#leave();
  }

  /** For a page that is shown or online again. */
  retryNow() {
    if (!this.#stopped && this.#connection === null) this.#connect();
  }

  /** What was measured since the connection began, for `stats.js`; null without one. */
  async read() {
    return this.#connection && read((await this.#connection.getStats()).values());
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#attempt += 1;
    const connection = new RTCPeerConnection();
    this.#connection = connection;
    const mine = () => this.#connection === connection;
    this.#hooks.onState?.("connecting", null);
    try {
      connection.addTransceiver("video", { direction: "recvonly" });
      connection.ontrack = ({ track }) => mine() && this.#hooks.onStream(new MediaStream([track]));
      connection.onconnectionstatechange = () => {
        if (mine() && ["failed", "closed"].includes(connection.connectionState)) this.#lost("lost");
      };
      connection.setConfiguration({ iceServers: await this.#iceServers() });
      if (!mine()) return;
      await connection.setLocalDescription();
      await gathered(connection);
      const response = await this.#post(connection.localDescription?.sdp ?? "");
      const resource = response.headers.get("Location");
      const answer = { type: /** @type {const} */ ("answer"), sdp: await response.text() };
      if (!mine()) return this.#delete(resource);
      this.#resource = resource;
      await connection.setRemoteDescription(answer);
      if (mine()) this.#watch(connection, 0, performance.now() + CONNECT_LIMIT_MS);
    } catch (error) {
      if (!mine()) return;
      const refused = error instanceof Refused ? error : null;
      this.#lost(refused?.cause ?? "offline", refused?.wishedMs);
    }
  }

  /** @param {RTCPeerConnection} connection @param {number} seen frames so far @param {number} deadline for the next one */
  async #watch(connection, seen, deadline) {
    const frames = await decoded(connection);
    const now = performance.now();
    if (this.#connection !== connection) return;
    if (frames > seen && seen === 0) {
      this.#attempt = 0;
      this.#hooks.onState?.("live", null);
    }
    if (frames === seen && now >= deadline) return this.#lost("lost");
    const next = frames > seen ? now + STALL_LIMIT_MS : deadline;
    this.#timer = setTimeout(() => this.#watch(connection, frames, next), CHECK_INTERVAL_MS);
  }

  /** @param {Cause} cause @param {number | null} [wishedMs] */
  #lost(cause, wishedMs) {
    this.#leave();
    this.#hooks.onState?.("waiting", cause);
    this.#timer = setTimeout(() => this.#connect(), pause(this.#attempt, Math.random(), wishedMs));
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = null;
    this.#delete(this.#resource);
    this.#resource = null;
  }

  /** @param {string} sdp @returns {Promise<Response>} 201; throws for anything else */
  async #post(sdp) {
    const headers = { "Content-Type": "application/sdp", ...this.#authorization() };
    const signal = AbortSignal.timeout(CONNECT_LIMIT_MS);
    const response = await fetch(this.#endpoint, { method: "POST", headers, body: sdp, signal });
    if (response.status !== 201) throw new Refused(response);
    return response;
  }

  /** @param {string | null} resource */
  #delete(resource) {
    if (resource === null) return;
    const address = new URL(resource, new URL(this.#endpoint, location.href));
    const gone = () => {}; // The server ends a silent viewer by itself.
    fetch(address, { method: "DELETE", keepalive: true, headers: this.#authorization() }).catch(gone);
  }

  /** @returns {Record<string, string>} */
  #authorization() {
    return this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
  }
}

/** @param {RTCPeerConnection} connection @returns {Promise<number>} frames so far */
async function decoded(connection) {
  let frames = 0;
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "video") frames += report.framesDecoded ?? 0;
  }
  return frames;
}
