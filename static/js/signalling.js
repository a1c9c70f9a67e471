// The HTTP side of a server: ICE servers, settings schema, models, offer, end. Works behind a proxy that serves it
// under a path, and from pages of another origin that the server allows. Failures are thrown as a ServerError.

import { unreachableProblem } from "./errors.js";
import { asProblem } from "./protocol.js";

/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {{ sdp: string, type: "answer", session_id: string, view_id: string }} Answer */
/** @typedef {{ key: string, title: string, licence: string, notice: string, loaded: boolean }} Model */

export class ServerError extends Error {
  /** @param {Problem} problem @param {number | null} [retryInMs] */
  constructor(problem, retryInMs = null) {
    super(problem.message);
    this.problem = problem;
    this.retryInMs = retryInMs;
  }
}

/**
 * The server's token that an address brings behind its #, and what else stands there, without it.
 * @param {string} fragment with its #, or empty
 */
export function splitToken(fragment) {
  const params = new URLSearchParams(fragment.slice(1));
  const token = params.get("token") ?? "";
  params.delete("token");
  const others = String(params);
  return { token, rest: others && `#${others}` };
}

export class Server {
  /** What the server asks for where it is not open to everybody. */
  token = "";
  #base;

  /** @param {URL} base where the server's `/` is */
  constructor(base) {
    this.#base = base;
  }

  get origin() {
    return this.#base.origin;
  }

  /**
   * @param {{ sdp: string, settings: Settings, clientId: string }} offer
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  async postOffer({ sdp, settings, clientId }, signal) {
    const body = JSON.stringify({ sdp, type: "offer", settings, client_id: clientId });
    const headers = { "Content-Type": "application/json" };
    return (await this.call("offer", { method: "POST", headers, body, signal })).json();
  }

  /** @param {AbortSignal} signal @returns {Promise<RTCIceServer[]>} none for a server that offers no such route */
  async getIceServers(signal) {
    try {
      return (await (await this.call("api/ice", { signal })).json()).iceServers ?? [];
    } catch (error) {
      if (error instanceof ServerError && error.problem.code === "not_found") return [];
      throw error;
    }
  }

  /** @returns {Promise<import("./controls.js").Schema>} */
  async getSettingsSchema() {
    return (await this.call("api/settings/schema")).json();
  }

  /** @returns {Promise<Model[]>} */
  async getModels() {
    return (await (await this.call("api/models")).json()).models;
  }

  /**
   * Frees the place on the server at once. Sent even while the page is being closed; nobody waits for the answer.
   * @param {string} sessionId
   */
  endSession(sessionId) {
    const gone = () => {}; // The server ends a silent session by itself.
    this.call(`api/sessions/${sessionId}`, { method: "DELETE", keepalive: true }).catch(gone);
  }

  /**
   * What `new WebSocket` is to be given. A browser cannot send a header with it, so a token goes as a subprotocol.
   * @param {string} clientId as in an offer
   * @returns {[url: string, protocols: string[]]}
   */
  socket(clientId) {
    const url = new URL("ws", this.#base);
    url.searchParams.set("client_id", clientId);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return [url.href, this.token ? ["live-diffusion", `bearer.${base64url(this.token)}`] : []];
  }

  /**
   * Any route of the server, with the token.
   * @param {string} path without a slash before it
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} with a status below 400
   */
  async call(path, init = {}) {
    const headers = new Headers(init.headers);
    if (this.token) headers.set("Authorization", `Bearer ${this.token}`);
    const response = await fetch(new URL(path, this.#base), { ...init, headers }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new ServerError(unreachableProblem(this.origin));
    });
    if (response.ok) return response;
    // A proxy answers with a page of its own.
    const strange = { detail: `The server answered with HTTP ${response.status}.`, fix: "Try again." };
    const problem = asProblem(await response.json().catch(() => strange));
    if (response.status === 404) problem.code = "not_found";
    if (response.status === 401) problem.code = "unauthorized";
    const seconds = Number(response.headers.get("Retry-After"));
    // And with 502 to 504 where its server is away.
    problem.retryable ||= response.status >= 502 && response.status <= 504;
    throw new ServerError(problem, seconds > 0 ? seconds * 1000 : null);
  }
}

/** RFC 4648 section 5, of the text's UTF-8, without padding. @param {string} text */
export function base64url(text) {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
