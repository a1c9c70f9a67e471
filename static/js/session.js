// The connect state machine: phase and event in, new phase and one effect out. Pure: time and chance are arguments.
// `client.js` feeds it events and carries out the effects; nothing else decides when to connect, wait or give up.

import { pause } from "./backoff.js";
import { noLinkProblem, noSocketProblem, unreachableProblem } from "./errors.js";

/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {"idle" | "asking" | "connecting" | "live" | "waiting" | "failed"} Phase */
/** @typedef {"none" | "open_source" | "connect" | "disconnect" | "close"} Effect `close` also lets the camera go */
/** @typedef {"webrtc" | "ws"} Via how the pictures travel */

/**
 * @typedef {object} Session
 * @property {Phase} phase
 * @property {Via} via how the pictures travel now
 * @property {Via} best what this browser begins with, after a Start and after each lost `ws`
 * @property {boolean} fallback whether `ws` may take the place of a WebRTC link that cannot be opened
 * @property {number} attempt tries since the connection was last live
 * @property {boolean} answered whether the server has answered the try that is under way
 * @property {Via | null} proven by which it was live last since Start: then it is worth trying for ever
 * @property {number | null} deadline when `tick` is due, in milliseconds
 * @property {Problem | null} problem why it waits or has failed
 */

/**
 * @typedef {{ type: "start", via?: Via, fallback?: boolean }
 *   | { type: "stop" | "source_opened" | "answered" | "connected" | "retry" }
 *   | { type: "tick", origin?: string }
 *   | { type: "source_failed" | "ended", problem: Problem }
 *   | { type: "lost", problem: Problem, retryInMs?: number | null }} SessionEvent
 */

export const CONNECT_LIMIT_MS = 12_000; // from the offer to the first status; a link that works is open within two
export const UNPROVEN_TRIES = 3; // a server that never worked is reported soon; one that did is waited for

/** @type {Session} */
export const IDLE = {
  phase: "idle",
  via: "webrtc",
  best: "webrtc",
  fallback: true,
  attempt: 0,
  answered: false,
  proven: null,
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
      return { session: { ...IDLE, phase: "asking", via, best: via, fallback }, effect: "open_source" };
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
    case "answered":
      if (phase === "connecting") return { session: { ...session, answered: true }, effect: "none" };
      break;
    case "connected": {
      if (phase !== "connecting") break;
      const live = { phase: /** @type {const} */ ("live"), attempt: 0, proven: session.via };
      return { session: { ...session, ...live, deadline: null, problem: null }, effect: "none" };
    }
    case "lost":
      if (phase === "connecting") return lost(session, event.problem, now, chance, event.retryInMs);
      if (phase === "live") {
        return wait({ ...session, via: session.best }, event.problem, now, chance, event.retryInMs);
      }
      break;
    case "retry":
      if (phase === "waiting") return connect(session, now);
      break;
    case "tick":
      if (session.deadline === null || now < session.deadline) break;
      if (phase === "waiting") return connect(session, now);
      return lost(session, tooLong(session, event.origin ?? ""), now, chance);
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
      answered: false,
      attempt: session.attempt + 1,
      deadline: now + CONNECT_LIMIT_MS,
    },
    effect: "connect",
  };
}

/** Only a server that answers can be behind a blocked link. @param {Session} session @param {string} origin */
function tooLong({ answered, via }, origin) {
  if (!answered) return unreachableProblem(origin);
  return via === "ws" ? noSocketProblem() : noLinkProblem();
}

/**
 * A blocked link is not waited for where another way is left; everything else is, as far as it can get better. A
 * link that was open before is not blocked: the network is away for a moment.
 * @param {Session} session @param {Problem} problem @param {number} now @param {number} chance
 * @param {number | null} [retryInMs]
 * @returns {{ session: Session, effect: Effect }}
 */
function lost(session, problem, now, chance, retryInMs) {
  const other = session.via === "webrtc" && session.proven !== "webrtc" && session.fallback;
  if (problem.code === "ice_failed" && other) {
    return connect({ ...session, via: "ws", attempt: 0 }, now);
  }
  return wait(session, problem, now, chance, retryInMs);
}

/**
 * Fails where waiting cannot help.
 * @param {Session} session @param {Problem} problem @param {number} now @param {number} chance
 * @param {number | null} [retryInMs] the server's own wish; a server that has one is worth waiting for
 * @returns {{ session: Session, effect: Effect }}
 */
function wait(session, problem, now, chance, retryInMs = null) {
  const hopeless = !session.proven && session.attempt >= UNPROVEN_TRIES && retryInMs === null;
  if (!problem.retryable || hopeless) return fail(session, problem);
  const deadline = now + pause(session.attempt, chance, retryInMs);
  return { session: { ...session, phase: "waiting", deadline, problem }, effect: "disconnect" };
}

/** @param {Session} session @param {Problem} problem @returns {{ session: Session, effect: Effect }} */
function fail(session, problem) {
  return { session: { ...session, phase: "failed", deadline: null, problem }, effect: "close" };
}
