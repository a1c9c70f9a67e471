// Runs one session against the server: carries out what `session.js` decides, with a real camera, peer and clock.
// No DOM; the page is its first user. Only `onChange` and the other hooks speak to the outside.

import { cameraEndedProblem, newerServerProblem } from "./errors.js";
import { Peer } from "./peer.js";
import { asProblem, decode, encode, PROTOCOL } from "./protocol.js";
import { IDLE, step } from "./session.js";
import { endSession, getIceServers, postOffer, ServerError } from "./signalling.js";
import { closeSource } from "./source.js";

/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").ServerMessage} ServerMessage */
/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./protocol.js").Status} Status */

/**
 * @typedef {object} ClientHooks
 * @property {() => Settings} settings what a new connection is to start with
 * @property {(problem: Problem) => void} onSettingsRefused the offer is sent once more with what `settings` then says
 * @property {() => void} onChange phase, status or source is another now
 * @property {(message: ServerMessage, first: boolean) => void} onMessage `first`: of this connection
 * @property {(stream: MediaStream) => void} onResult
 */

export class Client {
  session = IDLE;
  /** @type {Status | null} the last one of this connection */
  status = null;
  /** @type {MediaStream | null} what is being sent */
  source = null;
  #clientId;
  #hooks;
  /** @type {() => Promise<MediaStream>} */
  #openSource = async () => new MediaStream();
  /** @type {Peer | null} */
  #peer = null;
  /** @type {string | null} */
  #sessionId = null;
  #attempt = new AbortController(); // aborted as soon as its connection is given up
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} clientId lets a reload take over the place of the page before @param {ClientHooks} hooks */
  constructor(clientId, hooks) {
    this.#clientId = clientId;
    this.#hooks = hooks;
  }

  /** @param {() => Promise<MediaStream>} openSource throws a Problem */
  start(openSource) {
    this.#openSource = openSource;
    this.#dispatch({ type: "start" });
  }

  stop() {
    this.#dispatch({ type: "stop" });
  }

  retryNow() {
    this.#dispatch({ type: "retry" });
  }

  /** @param {MediaStream} stream is sent from now on; the one before is let go */
  async replaceSource(stream) {
    const old = this.source;
    this.#useSource(stream);
    const [track] = stream.getVideoTracks();
    if (track) await this.#peer?.replaceTrack(track);
    closeSource(old);
  }

  /**
   * @param {string} type @param {Record<string, unknown>} data @param {string} [id]
   * @returns {boolean} false where there is no connection
   */
  send(type, data, id) {
    return this.#peer?.send(encode(type, data, id)) ?? false;
  }

  getStats() {
    return this.#peer?.getStats() ?? null;
  }

  /** @param {import("./session.js").SessionEvent} event */
  #dispatch(event) {
    const now = performance.now();
    const { session, effect } = step(this.session, event, now, Math.random());
    this.session = session;
    clearTimeout(this.#timer);
    if (session.deadline !== null) {
      // Timers may fire a little early; the millisecond keeps the tick from coming before its deadline.
      this.#timer = setTimeout(() => this.#dispatch({ type: "tick" }), session.deadline - now + 1);
    }
    this.#hooks.onChange(); // before the connection goes: a page may keep its last picture
    if (effect === "open_source") this.#open();
    if (effect === "connect") this.#connect();
    if (effect === "disconnect") this.#disconnect();
    if (effect === "close") this.#close();
  }

  async #open() {
    const attempt = this.#renew();
    try {
      Peer.assertSupported();
      const stream = await this.#openSource();
      if (attempt.aborted) return closeSource(stream);
      this.#useSource(stream);
      this.#dispatch({ type: "source_opened" });
    } catch (problem) {
      if (!attempt.aborted) this.#dispatch({ type: "source_failed", problem: asProblem(problem) });
    }
  }

  async #connect() {
    const attempt = this.#renew();
    try {
      const iceServers = await getIceServers(attempt);
      const track = this.source?.getVideoTracks()[0];
      if (attempt.aborted || !track) return;
      const peer = new Peer(track, iceServers, {
        onMessage: (text) => this.#receive(text),
        onResult: this.#hooks.onResult,
        onLost: (problem) => this.#dispatch({ type: "lost", problem }),
      });
      this.#peer = peer;
      const answer = await this.#exchange(await peer.offer(), attempt);
      if (attempt.aborted) return endSession(answer.session_id);
      this.#sessionId = answer.session_id;
      await peer.accept(answer);
    } catch (error) {
      if (attempt.aborted) return;
      const known = error instanceof ServerError;
      const problem = known ? error.problem : asProblem({ message: String(error) });
      this.#dispatch({ type: "lost", problem, retryInMs: known ? error.retryInMs : null });
    }
  }

  /** @param {string} sdp @param {AbortSignal} signal */
  async #exchange(sdp, signal) {
    const offer = () => ({ sdp, settings: this.#hooks.settings(), clientId: this.#clientId });
    try {
      return await postOffer(offer(), signal);
    } catch (error) {
      if (!(error instanceof ServerError && error.problem.code === "invalid_settings")) throw error;
      this.#hooks.onSettingsRefused(error.problem);
      return await postOffer(offer(), signal);
    }
  }

  /** @param {unknown} text */
  #receive(text) {
    const message = decode(text);
    if (!message) return;
    if (message.type !== "status") {
      if (message.type === "settings_applied") this.#followSettings(message.data);
      return this.#hooks.onMessage(message, false);
    }
    const first = this.status === null;
    this.status = message.data;
    this.#hooks.onMessage(message, first);
    if (message.data.protocol > PROTOCOL) {
      this.#dispatch({ type: "ended", problem: newerServerProblem() });
    } else if (message.data.state === "closed") {
      this.#closedByServer(message.data);
    } else if (first) {
      this.#dispatch({ type: "connected" });
    } else {
      this.#hooks.onChange();
    }
  }

  /**
   * Settings change the status without a new one. What it said of the painter is not about another painter.
   * @param {import("./protocol.js").Applied} applied
   */
  #followSettings({ settings, version, changed }) {
    if (!this.status) return;
    const other = changed.includes("pipeline") && this.status.state === "running";
    this.status = {
      ...this.status,
      settings,
      settings_version: version,
      pipeline: String(settings.pipeline),
      message: other ? "" : this.status.message,
    };
    this.#hooks.onChange();
  }

  /** A server that stops for a restart wants the page back; a session ended for a reason of its own does not. @param {Status} status */
  #closedByServer({ reason, message, retry_in_s }) {
    const retryable = !reason || reason === "draining";
    const problem = { ...asProblem({ code: reason ?? "closed", message }), retryable };
    if (retryable) this.#dispatch({ type: "lost", problem, retryInMs: retry_in_s && retry_in_s * 1000 });
    else this.#dispatch({ type: "ended", problem });
  }

  /** @param {MediaStream} stream */
  #useSource(stream) {
    this.source = stream;
    // `ended` comes only when the device goes away, never from our own stop().
    stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      if (this.source === stream) this.#dispatch({ type: "ended", problem: cameraEndedProblem() });
    });
    this.#hooks.onChange();
  }

  /** @returns {AbortSignal} of the attempt that starts now; the one before is over */
  #renew() {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    return this.#attempt.signal;
  }

  #disconnect() {
    this.#attempt.abort();
    this.#peer?.close();
    this.#peer = null;
    this.status = null;
    this.#hooks.onChange();
  }

  #close() {
    closeSource(this.source);
    this.source = null;
    if (this.#sessionId !== null) endSession(this.#sessionId);
    this.#sessionId = null;
    this.#disconnect();
  }
}
