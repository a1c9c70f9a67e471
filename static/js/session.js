// The connect state machine: phase and event in, new phase and one effect out. Pure: time and chance are arguments.
// `client.js` feeds it events and carries out the effects; nothing else decides when to connect, wait or give up.

import { noLinkProblem, noSocketProblem } from "./errors.js";

/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {"idle" | "asking" | "connecting" | "live" | "waiting" | "failed"} Phase */
/** @typedef {"none" | "open_source" | "connect" | "disconnect" | "close"} Effect `close` also lets the camera go */
/** @typedef {"webrtc" | "ws"} Via how the pictures travel */

/**
 * @typedef {object} Session
 * @property {Phase} phase
 * @property {Via} via the next Start begins with the best again
 * @property {boolean} fallback whether `ws` may take the place of a WebRTC link that cannot be opened
 * @property {number} attempt tries since the connection was last live
 * @property {boolean} proven has been live since Start: then it is worth trying for ever
 * @property {number | null} deadline when `tick` is due, in milliseconds
 * @property {Problem | null} problem why it waits or has failed
 */

/**
 * @typedef {{ type: "start", via?: Via, fallback?: boolean }
 *   | { type: "stop" | "source_opened" | "connected" | "tick" | "retry" }
 *   | { type: "source_failed" | "ended", problem: Problem }
 *   | { type: "lost", problem: Problem, retryInMs?: number | null }} SessionEvent
 */

export const CONNECT_LIMIT_MS = 12_000; // from the offer to the first status; a link that works is open within two
export const FIRST_WAIT_MS = 1_000;
export const LONGEST_WAIT_MS = 15_000;
export const UNPROVEN_TRIES = 3; // a server that never worked is reported soon; one that did is waited for

/** @type {Session} */
export const IDLE = {
  phase: "idle",
  via: "webrtc",
  fallback: true,
  attempt: 0,
  proven: false,
  deadline: null,
  problem: null,
};

/**
 * @param {Session} session
 * @param {SessionEvent} event
 * @param {number} now milliseconds
 * @param {number} chance 0..1, spreads the reconnects of many pages
 * @returns {{ session: Session, effect: Effect }} an event that means nothing in this phase changes nothing
 */
export function step(session, event, now, chance) {
  const { phase } = session;
  switch (event.type) {
    case "start": {
      if (phase !== "idle" && phase !== "failed") break;
      const { via = "webrtc", fallback = true } = event;
      return { session: { ...IDLE, phase: "asking", via, fallback }, effect: "open_source" };
    }
    case "stop":
      return { session: IDLE, effect: "close" };
    case "source_opened":
      if (phase === "asking") return connect(session, now);
      break;
    case "source_failed":
    case "ended":
      if (phase === "idle" || phase === "failed") break;
      return fail(session, event.problem);
    case "connected":
      if (phase !== "connecting") break;
      return {
        session: { ...session, phase: "live", attempt: 0, proven: true, deadline: null, problem: null },
        effect: "none",
      };
    case "lost":
      if (phase === "connecting" || phase === "live") {
        return lost(session, event.problem, now, chance, event.retryInMs);
      }
      break;
    case "retry":
      if (phase === "waiting") return connect(session, now);
      break;
    case "tick":
      if (session.deadline === null || now < session.deadline) break;
      if (phase === "waiting") return connect(session, now);
      return lost(session, session.via === "ws" ? noSocketProblem() : noLinkProblem(), now, chance);
  }
  return { session, effect: "none" };
}

/**
 * How long the try that is under way has taken, in milliseconds; 0 in any other phase.
 * @param {Session} session @param {number} now
 */
export function tryingFor({ phase, deadline }, now) {
  return phase === "connecting" && deadline !== null ? now - (deadline - CONNECT_LIMIT_MS) : 0;
}

/** @param {Session} session @param {number} now @returns {{ session: Session, effect: Effect }} */
function connect(session, now) {
  return {
    session: {
      ...session,
      phase: "connecting",
      attempt: session.attempt + 1,
      deadline: now + CONNECT_LIMIT_MS,
    },
    effect: "connect",
  };
}

/**
 * A blocked link is not waited for where another way is left; everything else is, as far as it can get better.
 * @param {Session} session @param {Problem} problem @param {number} now @param {number} chance
 * @param {number | null} [retryInMs]
 * @returns {{ session: Session, effect: Effect }}
 */
function lost(session, problem, now, chance, retryInMs) {
  if (problem.code === "ice_failed" && session.via === "webrtc" && session.fallback) {
    return connect({ ...session, via: "ws", attempt: 0 }, now);
  }
  return wait(session, problem, now, chance, retryInMs);
}

/**
 * Doubling waits, spread by a quarter either way so that the pages of a restarted server do not return at once.
 * @param {Session} session @param {Problem} problem @param {number} now @param {number} chance
 * @param {number | null} [retryInMs] the server's own wish; a server that has one is worth waiting for
 * @returns {{ session: Session, effect: Effect }}
 */
function wait(session, problem, now, chance, retryInMs = null) {
  const hopeless = !session.proven && session.attempt >= UNPROVEN_TRIES && retryInMs === null;
  if (!problem.retryable || hopeless) return fail(session, problem);
  const doubled = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.max(0, session.attempt - 1));
  const pause = retryInMs ?? doubled * (0.75 + chance / 2);
  return { session: { ...session, phase: "waiting", deadline: now + pause, problem }, effect: "disconnect" };
}

/** @param {Session} session @param {Problem} problem @returns {{ session: Session, effect: Effect }} */
function fail(session, problem) {
  return { session: { ...session, phase: "failed", deadline: null, problem }, effect: "close" };
}
