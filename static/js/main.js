// The page: makes the parts and connects them. Each decision lies in a module of its own; here they only meet.

import { Client } from "./client.js";
import { Controls } from "./controls.js";
import { Ledger } from "./ledger.js";
import { asProblem } from "./protocol.js";
import { getSettingsSchema, ServerError } from "./signalling.js";
import { listSources, onSourcesChanged, openSource, TEST_CARD } from "./source.js";
import { bitrate, FrameCounter, latencyParts, read } from "./stats.js";
import { Store } from "./store.js";
import { View } from "./view.js";

/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./protocol.js").ServerMessage} ServerMessage */
/** @typedef {import("./protocol.js").ServerStats} ServerStats */

const CLIENT_ID = "live-diffusion.client";
const STATS_INTERVAL_S = 1;

const view = new View();
const store = new Store(storage("localStorage"));
const ledger = new Ledger();
const frames = new FrameCounter(view.result);
/** @type {Controls | null} until the schema is here */
let controls = null;
/** @type {Settings} */
let defaults = {};
/** @type {string[]} settings in force, but not yet to be seen */
let rebuilding = [];
/** @type {ServerStats | null} */
let serverStats = null;

const client = new Client(takeClientId(), {
  settings: () => store.saved,
  onSettingsRefused(problem) {
    store.drop(problem.fields.map(({ field }) => field));
    const what = problem.fields.map(({ field, message }) => `${field}: ${message}`).join("; ");
    view.notice(`This server did not take some of your saved settings, so it started without them. ${what}`);
  },
  onChange: () => view.render(client.session, client.status, client.source),
  onMessage: receive,
  onResult(stream) {
    view.result.srcObject = stream;
    view.render(client.session, client.status, client.source);
  },
});

/** @param {ServerMessage} message @param {boolean} first of its connection */
function receive(message, first) {
  switch (message.type) {
    case "status": {
      controls?.show(ledger.status(message.data, first));
      controls?.notes(message.data.notes ?? []);
      if (message.data.state === "running") {
        controls?.mark(rebuilding, "applied");
        rebuilding = [];
      }
      if (first) greet(message.data.settings);
      break;
    }
    case "settings_applied": {
      const { values, done } = ledger.applied(message.data, message.id);
      controls?.show(values);
      const later = new Set(message.data.rebuilding);
      rebuilding = [...new Set([...rebuilding, ...later])];
      controls?.mark([...later], "rebuilding");
      controls?.mark(
        done.filter((name) => !later.has(name)),
        "applied",
      );
      controls?.notes(message.data.notes);
      break;
    }
    case "error": {
      const problem = asProblem(message.data);
      const refused = ledger.refused(problem, message.id);
      if (refused) {
        store.put(refused.values);
        controls?.refuse(refused.values, refused.messages);
      }
      if (!refused || Object.keys(refused.messages).length === 0) view.trouble(problem);
      break;
    }
    case "stats":
      serverStats = message.data;
  }
}

/** What was changed while the offer was on its way is sent after it. @param {Settings} settings in force */
function greet(settings) {
  serverStats = null;
  client.send("subscribe_stats", { interval_s: STATS_INTERVAL_S });
  const late = Object.entries(store.saved).filter(([name, value]) => !same(value, settings[name]));
  if (late.length > 0) change(Object.fromEntries(late));
}

/** @param {Settings} patch @returns {import("./controls.js").Mark} */
function change(patch) {
  store.put(patch);
  if (client.status === null) return "saved";
  view.trouble(null);
  client.send("settings", patch, ledger.send(patch));
  return "sent";
}

function reset() {
  const shown = client.status === null ? store.saved : ledger.confirmed;
  const names = Object.keys(defaults).filter((name) => name in shown && !same(defaults[name], shown[name]));
  if (names.length > 0) {
    const mark = change(Object.fromEntries(names.map((name) => [name, defaults[name]])));
    controls?.show(defaults);
    controls?.mark(names, mark);
  }
  store.clear();
}

async function drawControls() {
  if (controls) return;
  try {
    const schema = await getSettingsSchema();
    store.keep((name) => name in schema.properties);
    defaults = Object.fromEntries(Object.entries(schema.properties).map(([name, p]) => [name, p.default]));
    controls = new Controls(view.form, schema, change);
    controls.show(store.saved);
  } catch (error) {
    view.trouble(error instanceof ServerError ? error.problem : asProblem({ message: String(error) }));
  }
}

async function drawSources() {
  const inUse = client.source?.getVideoTracks()[0]?.getSettings().deviceId;
  view.sources(await listSources(), view.source.value || inUse || "");
}

async function start() {
  view.notice("");
  drawControls();
  client.start(async () => {
    const stream = await openSource(view.source.value);
    drawSources(); // now the cameras have names
    return stream;
  });
}

async function swapSource() {
  if (client.source === null) return;
  try {
    await client.replaceSource(await openSource(view.source.value));
  } catch (error) {
    view.trouble(asProblem(error));
  }
}

/** @type {import("./stats.js").Reading | null} */
let reading = null;

async function drawNumbers() {
  const report = await client.getStats();
  if (!report || client.status === null) {
    reading = null;
    return view.numbers("–", "–", []);
  }
  const before = reading;
  reading = read(report.values());
  if (!before) return;
  const parts = latencyParts(before, reading, serverStats);
  const sum = parts.reduce((total, { ms }) => total + ms, 0);
  const kbps = bitrate(before, reading);
  /** @type {[string, string][]} */
  const rows = parts.map(({ label, ms }) => [label, `${ms.toFixed(0)} ms`]);
  if (serverStats) rows.push(["Frames a second, into the server and out", fpsPair(serverStats)]);
  if (kbps !== null) rows.push(["Result, data rate", `${kbps.toFixed(0)} kbit/s`]);
  rows.push(["Settings version", String(ledger.version)]);
  view.numbers(`${frames.perSecond(performance.now())} fps`, `≈ ${sum.toFixed(0)} ms`, rows);
}

/** @param {ServerStats} stats */
function fpsPair({ fps_in, fps_out }) {
  return `${fps_in.toFixed(0)} and ${fps_out.toFixed(0)}`;
}

/** @param {unknown} a @param {unknown} b */
function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A browser that forbids storage throws at the very name. @param {"localStorage" | "sessionStorage"} name */
function storage(name) {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}

/**
 * The same for each load of this tab, but never in two tabs at once: a duplicated tab copies the storage, so the id
 * lies there only while no page holds it.
 */
function takeClientId() {
  const kept = storage("sessionStorage");
  const id = kept?.getItem(CLIENT_ID) ?? randomId();
  kept?.removeItem(CLIENT_ID);
  addEventListener("pagehide", () => kept?.setItem(CLIENT_ID, id));
  return id;
}

/** crypto.randomUUID is for secure pages only. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(
    "",
  );
}

view.start.onclick = () => {
  const idle = client.session.phase === "idle" || client.session.phase === "failed";
  idle ? start() : client.stop();
};
view.retry.onclick = () => client.retryNow();
view.reset.onclick = reset;
view.source.onchange = swapSource;
view.useCard.onclick = () => {
  view.source.value = TEST_CARD;
  start();
};
view.form.addEventListener("submit", (event) => event.preventDefault());
onSourcesChanged(drawSources);
addEventListener("online", () => client.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || client.retryNow());
addEventListener("pagehide", () => client.stop());
setInterval(drawNumbers, 1000);
setInterval(() => view.countdown(client.session, performance.now()), 500);

view.render(client.session, client.status, client.source);
drawSources();
drawControls();
