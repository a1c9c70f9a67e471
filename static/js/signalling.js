// The HTTP side of a session: ICE servers, settings schema, offer, end. Addresses are relative to the page, so it also
// works behind a proxy that serves it under a path. Every failure is thrown as a ServerError that holds a Problem.

import { unreachableProblem } from "./errors.js";
import { asProblem } from "./protocol.js";

/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {{ sdp: string, type: "answer", session_id: string, view_id: string }} Answer */

export class ServerError extends Error {
  /** @param {Problem} problem @param {number | null} [retryInMs] */
  constructor(problem, retryInMs = null) {
    super(problem.message);
    this.problem = problem;
    this.retryInMs = retryInMs;
  }
}

/**
 * @param {{ sdp: string, settings: Settings, clientId: string }} offer
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export async function postOffer({ sdp, settings, clientId }, signal) {
  const body = JSON.stringify({ sdp, type: "offer", settings, client_id: clientId });
  const headers = { "Content-Type": "application/json" };
  return (await call("offer", { method: "POST", headers, body, signal })).json();
}

/** @param {AbortSignal} signal @returns {Promise<RTCIceServer[]>} none for a server that offers no such route */
export async function getIceServers(signal) {
  try {
    return (await (await call("api/ice", { signal })).json()).iceServers ?? [];
  } catch (error) {
    if (error instanceof ServerError && error.problem.code === "not_found") return [];
    throw error;
  }
}

/** @returns {Promise<import("./controls.js").Schema>} */
export async function getSettingsSchema() {
  return (await call("api/settings/schema", {})).json();
}

/**
 * Frees the place on the server at once. Sent even while the page is being closed; nobody waits for the answer.
 * @param {string} sessionId
 */
export function endSession(sessionId) {
  const gone = () => {}; // The server ends a silent session by itself.
  fetch(`api/sessions/${sessionId}`, { method: "DELETE", keepalive: true }).catch(gone);
}

/** @param {string} path @param {RequestInit} init */
async function call(path, init) {
  const response = await fetch(path, init).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ServerError(unreachableProblem(location.origin));
  });
  if (response.ok) return response;
  const problem = asProblem(await response.json().catch(() => ({ title: `HTTP ${response.status}` })));
  if (response.status === 404) problem.code = "not_found";
  const seconds = Number(response.headers.get("Retry-After"));
  // A proxy whose server is away answers 502 to 504 with a page of its own.
  problem.retryable ||= response.status >= 502 && response.status <= 504;
  throw new ServerError(problem, seconds > 0 ? seconds * 1000 : null);
}
