// The JavaScript client: one session against the server. It carries out what `session.js` decides, with a real camera,
// link and clock. It touches no element of a page; this project's own is its first user (docs/howto/javascript-client.md).
//
// Events: `change`  phase, status, source or way of the pictures is another now
//         `result`  `detail` is a MediaStream with the painted picture, one for each connection
//         `message` `detail` is { message, first }: whatever the server says; `first` of its connection
//         `refused` `detail` is a Problem: settings that the server does not take; what `settings()` says then is sent

import {
  lostProblem,
  newerServerProblem,
  sourceEndedProblem,
  thrownProblem,
  unknownProblem,
  unsupportedProblem,
} from "./errors.js";
import { Peer } from "./peer.js";
import { asProblem, decode, encode, PROTOCOL } from "./protocol.js";
import { IDLE, step } from "./session.js";
import { Server, ServerError } from "./signalling.js";
import { Socket } from "./socket.js";

const QUEUED_FPS = 10; // pictures a second in line, where the server shows no more and others need what it has

/** @typedef {import("./protocol.js").Applied} Applied */
/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").ServerMessage} ServerMessage */
/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./protocol.js").Status} Status */

/**
 * @typedef {object} Options
 * @property {string | URL} [server] where the server's `/` is; default: where this module came from
 * @property {string} [token] of a server that asks for one
 * @property {string} [clientId] lets a reload take over the place of the page before; default: a new one
 * @property {() => Settings} [settings] what a new connection is to start with; default: the server's own settings
 * @property {boolean} [fallback] whether JPEG over WebSocket may take the place of blocked WebRTC; default: yes
 */

/**
 * @typedef {object} LinkHooks
 * @property {(text: unknown) => void} onMessage
 * @property {(stream: MediaStream) => void} onResult
 * @property {(problem: Problem) => void} onLost
 * @property {() => void} [onOpen]
 */

/**
 * What carries pictures and messages: `Peer` or `Socket`.
 * @typedef {object} Link
 * @property {(text: string) => boolean} send
 * @property {(track: MediaStreamTrack) => Promise<void>} replaceTrack
 * @property {(fps: number | null) => void} limitRate of the pictures that are sent from now on; null for all there are
 * @property {() => Promise<import("./stats.js").Reading>} read
 * @property {() => void} close
 */

export class Client extends EventTarget {
  session = IDLE;
  /** @type {Status | null} the last one of this connection */
  status = null;
  /** @type {MediaStream | null} what is being sent */
  source = null;
  server;
  #clientId;
  #settings;
  #fallback;
  /** @type {() => Promise<MediaStream>} */
  #openSource = async () => new MediaStream();
  /** @type {Link | null} */
  #link = null;
  /** @type {string | null} */
  #sessionId = null;
  #attempt = new AbortController(); // aborted as soon as its connection is given up
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asked = 0;
  /** @type {Map<string, { resolve: (applied: Applied) => void, reject: (problem: Problem) => void }>} oldest first */
  #questions = new Map();

  /** @param {Options} [options] */
  constructor({ server, token = "", clientId = randomId(), settings = () => ({}), fallback = true } = {}) {
    super();
    // This file is served at static/js/, so the server's own root is two folders up.
    this.server = new Server(new URL(server ?? "../../", import.meta.url));
    this.server.token = token;
    this.#clientId = clientId;
    this.#settings = settings;
    this.#fallback = fallback;
  }

  /** @param {() => Promise<MediaStream>} openSource what it throws is shown as a Problem */
  start(openSource) {
    this.#openSource = openSource;
    this.#dispatch({ type: "start", via: Peer.supported ? "webrtc" : "ws", fallback: this.#fallback });
  }

  stop() {
    this.#dispatch({ type: "stop" });
  }

  /** Ends a wait for the next try; otherwise nothing. */
  retryNow() {
    this.#dispatch({ type: "retry" });
  }

  /** @param {MediaStream} stream is sent from now on, and the one before let go; where nothing is sent, it is itself */
  async replaceSource(stream) {
    const old = this.source;
    if (old === null) return closeStream(stream);
    this.#useSource(stream);
    const [track] = stream.getVideoTracks();
    try {
      if (track) await this.#link?.replaceTrack(track);
    } finally {
      closeStream(old);
    }
  }

  /**
   * Changes settings of the running session.
   * @param {Settings} patch only what is to be another
   * @param {string} [id] of the message, 1 to 64 characters
   * @returns {Promise<Applied>} once they are in force; rejects with a Problem, and nothing has changed then
   */
  set(patch, id = `c${++this.#asked}`) {
    return new Promise((resolve, reject) => {
      if (this.send("settings", patch, id)) this.#questions.set(id, { resolve, reject });
      else reject(lostProblem());
    });
  }

  /** Progress comes as `status`, a refusal as `error`. @param {string} key one of `server.getModels()` */
  loadModel(key) {
    return this.send("load_model", { model: key });
  }

  /**
   * @param {string} type @param {Record<string, unknown>} data @param {string} [id]
   * @returns {boolean} false where there is no connection
   */
  send(type, data, id) {
    return this.#link?.send(encode(type, data, id)) ?? false;
  }

  /** Measured on this side, to be compared with an earlier one by `stats.js`; null without a connection. */
  async read() {
    return (await this.#link?.read()) ?? null;
  }

  /** @param {import("./session.js").SessionEvent} event */
  #dispatch(event) {
    const now = performance.now();
    const { session, effect } = step(this.session, event, now, Math.random());
    this.session = session;
    clearTimeout(this.#timer);
    if (session.deadline !== null) {
      // Timers may fire a little early; the millisecond keeps the tick from coming before its deadline.
      this.#timer = setTimeout(
        () => this.#dispatch({ type: "tick", origin: this.server.origin }),
        session.deadline - now + 1,
      );
    }
    this.#tell("change"); // before the connection goes: a page may keep its last picture
    if (effect === "open_source") this.#open();
    if (effect === "connect") this.#connect();
    if (effect === "disconnect") this.#disconnect();
    if (effect === "close") this.#close();
  }

  /** @param {"change" | "result" | "message" | "refused"} type @param {unknown} [detail] */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async #open() {
    const attempt = this.#renew();
    try {
      if (!Peer.supported && !Socket.supported) throw unsupportedProblem();
      const stream = await this.#openSource();
      if (attempt.aborted) return closeStream(stream);
      this.#useSource(stream);
      this.#dispatch({ type: "source_opened" });
    } catch (problem) {
      if (!attempt.aborted) this.#dispatch({ type: "source_failed", problem: thrownProblem(problem) });
    }
  }

  async #connect() {
    this.#disconnect(); // a link that could not be opened is still there
    const attempt = this.#renew();
    try {
      const iceServers = await this.server.getIceServers(attempt); // of any way: it says whether we may come in
      const track = this.source?.getVideoTracks()[0];
      if (attempt.aborted || !track) return;
      if (this.session.via === "ws") {
        this.#dispatch({ type: "answered" });
        this.#openSocket(track, attempt);
      } else await this.#openPeer(track, iceServers, attempt);
    } catch (error) {
      if (attempt.aborted) return;
      const known = error instanceof ServerError;
      const problem = known ? error.problem : unknownProblem(error);
      this.#dispatch({ type: "lost", problem, retryInMs: known ? error.retryInMs : null });
    }
  }

  /** @param {MediaStreamTrack} track @param {RTCIceServer[]} iceServers @param {AbortSignal} attempt */
  async #openPeer(track, iceServers, attempt) {
    const peer = new Peer(track, iceServers, this.#hooks(attempt));
    this.#link = peer;
    const answer = await this.#exchange(await peer.offer(), attempt);
    if (attempt.aborted) return this.server.endSession(answer.session_id);
    this.#sessionId = answer.session_id;
    await peer.accept(answer);
    if (!attempt.aborted) this.#dispatch({ type: "answered" });
  }

  /** @param {MediaStreamTrack} track @param {AbortSignal} attempt */
  #openSocket(track, attempt) {
    const settings = this.#settings();
    const onOpen = () => {
      if (Object.keys(settings).length === 0) return;
      this.set(settings, "start").catch((problem) => {
        if (attempt.aborted || problem.code !== "invalid_settings") return;
        this.#tell("refused", problem);
        this.set(this.#settings()).catch(() => {}); // an error message says why
      });
    };
    this.#link = new Socket(this.server.socket(this.#clientId), track, { ...this.#hooks(attempt), onOpen });
  }

  /** @param {AbortSignal} attempt @returns {LinkHooks} that are silent once the attempt is over */
  #hooks(attempt) {
    return {
      onMessage: (text) => attempt.aborted || this.#receive(text),
      onResult: (stream) => attempt.aborted || this.#tell("result", stream),
      onLost: (problem) => attempt.aborted || this.#dispatch({ type: "lost", problem }),
    };
  }

  /** @param {string} sdp @param {AbortSignal} signal */
  async #exchange(sdp, signal) {
    const offer = () => ({ sdp, settings: this.#settings(), clientId: this.#clientId });
    try {
      return await this.server.postOffer(offer(), signal);
    } catch (error) {
      if (!(error instanceof ServerError && error.problem.code === "invalid_settings")) throw error;
      this.#tell("refused", error.problem);
      return await this.server.postOffer(offer(), signal);
    }
  }

  /** @param {unknown} text */
  #receive(text) {
    const message = decode(text);
    if (!message) return;
    if (message.type === "settings_applied") this.#followSettings(message.data);
    if (message.type === "settings_applied" || message.type === "error") this.#answer(message);
    if (message.type !== "status") return this.#tell("message", { message, first: false });
    const first = this.status === null;
    const queued = message.data.state === "queued";
    if (queued !== (this.status?.state === "queued")) this.#link?.limitRate(queued ? QUEUED_FPS : null);
    this.status = message.data;
    this.#tell("message", { message, first });
    if (message.data.protocol > PROTOCOL) {
      this.#dispatch({ type: "ended", problem: newerServerProblem() });
    } else if (message.data.state === "closed") {
      this.#closedByServer(message.data);
    } else if (first) {
      this.#dispatch({ type: "connected" });
    } else {
      this.#tell("change");
    }
  }

  /** The server merges under load and keeps the order: a confirmation is one of all questions before it too. @param {ServerMessage} message */
  #answer({ type, data, id }) {
    if (id === undefined || !this.#questions.has(id)) return;
    for (const [asked, { resolve, reject }] of this.#questions) {
      if (type === "error" && asked !== id) continue;
      this.#questions.delete(asked);
      if (type === "settings_applied") resolve(data);
      else reject(asProblem(data));
      if (asked === id) break;
    }
  }

  /**
   * Settings change the status without a new one. What it said of the painter is not about another painter.
   * @param {Applied} applied
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
    this.#tell("change");
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
    const [track] = stream.getVideoTracks();
    const shared = track?.getSettings().displaySurface !== undefined;
    // `ended` comes only when the device goes away, never from our own stop().
    track?.addEventListener("ended", () => {
      if (this.source === stream) this.#dispatch({ type: "ended", problem: sourceEndedProblem(shared) });
    });
    this.#tell("change");
  }

  /** @returns {AbortSignal} of the attempt that starts now; the one before is over */
  #renew() {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    return this.#attempt.signal;
  }

  #disconnect() {
    this.#attempt.abort();
    this.#link?.close();
    if (this.#link && this.session.via === "ws") this.#end(); // else the next offer takes over its place
    this.#link = null;
    this.status = null;
    for (const { reject } of this.#questions.values()) reject(lostProblem());
    this.#questions.clear();
    this.#tell("change");
  }

  #close() {
    closeStream(this.source);
    this.source = null;
    this.#end();
    this.#disconnect();
  }

  #end() {
    if (this.#sessionId !== null) this.server.endSession(this.#sessionId);
    this.#sessionId = null;
  }
}

/** @param {MediaStream | null} stream */
export function closeStream(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** 128 random bits; crypto.randomUUID is for secure pages only. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(
    "",
  );
}
