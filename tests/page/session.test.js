// The connect state machine: every way from Start to a picture, and every way it can go wrong.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FIRST_PAUSE_MS, LONGEST_PAUSE_MS } from "../../static/js/backoff.js";
import { CONNECT_LIMIT_MS, IDLE, step, tryingFor, UNPROVEN_TRIES } from "../../static/js/session.js";

const MIDDLE = 0.5; // the chance that spreads nothing
const lost = { code: "lost", message: "gone", fix: "", fields: [], retryable: true };
const refused = { ...lost, code: "no_video", retryable: false };

/** Plays events one after another, at given times; the last session and all effects. */
function play(events, from = IDLE) {
  let session = from;
  const effects = [];
  for (const { at = 0, ...event } of events) {
    const next = step(session, event, at, MIDDLE);
    session = next.session;
    if (next.effect !== "none") effects.push(next.effect);
  }
  return { session, effects };
}

const toAnswer = [{ type: "start" }, { type: "source_opened" }, { type: "answered" }];
const toLive = [...toAnswer, { type: "connected" }];

test("start asks for the camera, then connects, then is live", () => {
  const { session, effects } = play(toLive);
  assert.deepEqual(effects, ["open_source", "connect"]);
  assert.equal(session.phase, "live");
  assert.equal(session.deadline, null);
});

test("stop lets everything go, from any phase", () => {
  for (let events = 0; events <= toLive.length; events++) {
    const { session, effects } = play([...toLive.slice(0, events), { type: "stop" }]);
    assert.deepEqual(session, IDLE);
    assert.equal(effects.at(-1), "close");
  }
});

test("a refused camera is told and nothing is left open", () => {
  const { session, effects } = play([{ type: "start" }, { type: "source_failed", problem: refused }]);
  assert.deepEqual([session.phase, session.problem], ["failed", refused]);
  assert.equal(effects.at(-1), "close");
  assert.equal(play([{ type: "start" }], session).session.phase, "asking");
});

test("a lost connection is tried again for ever, with doubling waits up to a limit", () => {
  let { session } = play(toLive);
  const waits = [];
  let now = 0;
  for (let i = 0; i < 8; i++) {
    session = play([{ type: "lost", problem: lost, at: now }], session).session;
    assert.equal(session.phase, "waiting");
    waits.push(session.deadline - now);
    now = session.deadline;
    const again = play([{ type: "tick", at: now }], session);
    assert.deepEqual(again.effects, ["connect"]);
    session = again.session;
  }
  assert.deepEqual(
    waits.slice(0, 4),
    [1, 1, 2, 4].map((times) => times * FIRST_PAUSE_MS),
  );
  assert.equal(waits.at(-1), LONGEST_PAUSE_MS);
});

test("chance spreads the waits by a quarter either way", () => {
  const live = play(toLive).session;
  const event = { type: "lost", problem: lost };
  assert.equal(step(live, event, 0, 0).session.deadline, 0.75 * FIRST_PAUSE_MS);
  assert.equal(step(live, event, 0, 1).session.deadline, 1.25 * FIRST_PAUSE_MS);
});

test("a tick before its time changes nothing", () => {
  const waiting = play([...toLive, { type: "lost", problem: lost }]).session;
  assert.equal(step(waiting, { type: "tick" }, waiting.deadline - 1, MIDDLE).session, waiting);
});

const tooLong = { type: "tick", at: CONNECT_LIMIT_MS };
const blocked = { type: "lost", problem: { ...lost, code: "ice_failed" } };

test("a link that cannot be opened gives way to the other one at once", () => {
  for (const event of [tooLong, blocked]) {
    const { session, effects } = play([...toAnswer, event]);
    assert.deepEqual([session.phase, session.via, session.attempt], ["connecting", "ws", 1]);
    assert.equal(effects.at(-1), "connect");
  }
});

test("without another way it is waited for, and named as a blocked link", () => {
  const { session, effects } = play([{ type: "start", fallback: false }, ...toAnswer.slice(1), tooLong]);
  assert.deepEqual([session.phase, session.via, session.problem.code], ["waiting", "webrtc", "ice_failed"]);
  assert.equal(effects.at(-1), "disconnect");
});

test("the other way is kept while it lasts, and the best tried first once it is lost", () => {
  const ws = play([...toAnswer, blocked, { type: "connected" }]).session;
  assert.deepEqual([ws.phase, ws.via], ["live", "ws"]);
  const gone = play([{ type: "lost", problem: lost }], ws).session;
  assert.deepEqual([gone.phase, gone.via], ["waiting", "webrtc"]);
  const again = play([{ type: "retry" }, blocked], gone).session;
  assert.deepEqual([again.phase, again.via], ["connecting", "ws"]);
});

test("the other way is named when it is blocked too, and forgotten with the next start", () => {
  const { session } = play([...toAnswer, blocked, { type: "answered" }, tooLong]);
  assert.deepEqual([session.phase, session.via, session.problem.code], ["waiting", "ws", "ws_failed"]);
  assert.equal(play([{ type: "stop" }, { type: "start" }], session).session.via, "webrtc");
});

test("a browser without WebRTC never tries it", () => {
  const { session } = play([
    { type: "start", via: "ws" },
    ...toLive.slice(1),
    { type: "lost", problem: lost },
  ]);
  assert.deepEqual([session.phase, session.via], ["waiting", "ws"]);
});

test("a link that was open once is not blocked: no other way for it, however a try fails", () => {
  for (const tries of [[blocked], [{ type: "answered" }, tooLong], [tooLong]]) {
    const { session } = play([...toLive, { type: "lost", problem: lost }, { type: "retry" }, ...tries]);
    assert.deepEqual([session.phase, session.via], ["waiting", "webrtc"]);
  }
});

test("a server that answers nothing is not called a blocked link", () => {
  const { session } = play([...toLive.slice(0, 2), { ...tooLong, origin: "http://painter" }]);
  assert.deepEqual([session.phase, session.via, session.problem.code], ["waiting", "webrtc", "unreachable"]);
  assert.match(session.problem.message, /http:\/\/painter/);
});

test("a try tells how long it has taken", () => {
  const { session } = play(toLive.slice(0, 2));
  assert.equal(tryingFor(session, 6000), 6000);
  assert.equal(tryingFor(play([{ type: "connected" }], session).session, 6000), 0);
});

test("a server that never worked is given up after a few tries", () => {
  let session = play(toLive.slice(0, 2)).session;
  for (let tries = 1; tries < UNPROVEN_TRIES; tries++) {
    session = play([{ type: "lost", problem: lost }, { type: "retry" }], session).session;
    assert.equal(session.phase, "connecting");
  }
  assert.equal(play([{ type: "lost", problem: lost }], session).session.phase, "failed");
});

test("a server that says when to come back is waited for", () => {
  let session = play(toLive.slice(0, 2)).session;
  for (let tries = 0; tries < 3 * UNPROVEN_TRIES; tries++) {
    session = play([{ type: "lost", problem: lost, retryInMs: 5000 }], session).session;
    assert.deepEqual([session.phase, session.deadline], ["waiting", 5000]);
    session = play([{ type: "retry" }], session).session;
  }
});

test("what cannot get better is not tried again", () => {
  assert.equal(play([...toLive, { type: "lost", problem: refused }]).session.phase, "failed");
  assert.equal(play([...toLive, { type: "ended", problem: lost }]).session.phase, "failed");
});

test("late news of a connection that was given up changes nothing", () => {
  for (const event of [{ type: "connected" }, { type: "lost", problem: lost }, { type: "source_opened" }]) {
    assert.deepEqual(play([event]), { session: IDLE, effects: [] });
  }
});
