// The page: makes the parts and connects them. Each decision lies in a module of its own; here they only meet.

import { Client, randomId } from "./client.js";
import { Controls } from "./controls.js";
import { make, writeTexts } from "./dom.js";
import { isCameraProblem, thrownProblem, unknownProblem } from "./errors.js";
import { addHelp } from "./help.js";
import { Keys } from "./keys.js";
import { Ledger } from "./ledger.js";
import { addModels } from "./models.js";
import { findPlaces, storage } from "./page.js";
import { addPreferences } from "./preferences.js";
import { asProblem } from "./protocol.js";
import { remedy } from "./remedies.js";
import { ServerError, splitToken } from "./signalling.js";
import { addSoften } from "./soften.js";
import {
  kindOf,
  listSources,
  onSourcesChanged,
  openSource,
  resize,
  shownChoice,
  sizeOf,
  standsIn,
  TEST_CARD,
} from "./source.js";
import { bitrates, CALM, concern, FrameCounter, lasting, latencyParts, losses, worryOn } from "./stats.js";
import { Store } from "./store.js";
import { SourceSwitch } from "./switch.js";
import { bestLanguage, decimal, isLanguage, language, t, useLanguage } from "./texts.js";
import { addPictureTools } from "./tools/picture_tools.js";
import { addPromptTools } from "./tools/prompt_tools.js";
import { View } from "./view.js";

/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./protocol.js").ServerMessage} ServerMessage */
/** @typedef {import("./protocol.js").ServerStats} ServerStats */

const CLIENT_ID = "live-diffusion.client";
const TOKEN = "live-diffusion.token";
const LANGUAGE = "live-diffusion.language";
const STATS_INTERVAL_S = 1;
const CHARTED = 60; // readings, one a second

const view = new View();
const local = storage("localStorage");
const store = new Store(local);
const ledger = new Ledger();
const oneColumn = matchMedia("(max-width: 899px)"); // as in app.css
const frames = new FrameCounter(view.result, seen);
/** @type {import("./controls.js").Schema | null} until the server has sent it */
let schema = null;
/** @type {Controls | null} until the schema is here */
let controls = null;
/** @type {Settings} */
let defaults = {};
/** @type {string[]} settings in force, but not yet to be seen */
let rebuilding = [];
/** @type {ServerStats | null} */
let serverStats = null;
/** Whether the server asked for a token before anything was started. */
let locked = false;
/** Whether a picture of this connection has been shown. */
let pictured = false;
let worry = CALM;
/** @type {(() => void)[]} */
const relabels = [];

const client = new Client({
  token: takeToken(),
  clientId: takeClientId(),
  settings: () => store.saved,
});

const sources = new SourceSwitch(client, openSource);

/** @type {import("./page.js").Page} */
const page = {
  client,
  keys: new Keys(local),
  storage: local,
  places: findPlaces(make("div", { class: "places", role: "group" })),
  settings: () => ({ ...defaults, ...(client.status ? ledger.confirmed : store.saved) }),
  change(patch) {
    const mark = change(patch);
    controls?.show(patch);
    controls?.mark(Object.keys(patch), mark);
  },
  notice: (text) => view.notice(text),
  trouble: (problem) => view.trouble(problem),
  start,
  onLanguage(relabel) {
    relabels.push(relabel);
    relabel();
  },
};

client.addEventListener("change", () => {
  if (client.status === null) pictured = false;
  if (client.session.problem?.code === "unauthorized") refuseToken();
  render();
});
client.addEventListener("message", (event) => {
  const { message, first } = /** @type {CustomEvent<{ message: ServerMessage, first: boolean }>} */ (event)
    .detail;
  receive(message, first);
});
client.addEventListener("result", (event) => {
  view.result.srcObject = /** @type {CustomEvent<MediaStream>} */ (event).detail;
  view.result.play().catch(() => {}); // it was paused while a connection was waited for
  render();
});
client.addEventListener("refused", (event) => {
  const { fields } = /** @type {CustomEvent<import("./protocol.js").Problem>} */ (event).detail;
  store.drop(fields.map(({ field }) => field));
  const what = fields.map(({ field, message }) => `${field}: ${message}`).join("; ");
  view.notice(t("settings.saved-refused", { what }));
});

function render() {
  const shown = lasting(worry);
  const offered = remedyNow();
  view.render(client, {
    seen: pictured,
    locked,
    asked: kindOf(view.source.value),
    concern: shown ? t(shown.key, shown.values) : "",
    remedy: offered ? t(offered.key, offered.values) : "",
  });
}

function remedyNow() {
  const { status, source } = client;
  if (!status) return null;
  const side = schema?.properties.width ?? {};
  return remedy(status, lasting(worry)?.key ?? null, source && sizeOf(source, sources.sent), side);
}

async function mend() {
  const chosen = remedyNow();
  worry = CALM; // whether it helped is to be measured anew
  switch (chosen?.act) {
    case "settings":
      page.change(chosen.settings);
      break;
    case "camera":
      if (client.source) await resize(client.source, chosen.size);
      break;
    case "reopen":
      await swapSource();
      break;
    case "reset":
      reset();
  }
  render();
}

/** A picture was shown: only that is the proof that all of it works. */
function seen() {
  if (pictured || client.status === null) return;
  pictured = true;
  render();
}

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
      if (first) {
        controls?.settle();
        greet(message.data.settings);
      }
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
  if (client.session.via === "ws") return; // where the client has sent them itself, a moment ago
  const late = Object.entries(store.saved).filter(([name, value]) => !same(value, settings[name]));
  if (late.length > 0) change(Object.fromEntries(late));
}

/** @param {Settings} patch @returns {import("./controls.js").Mark} */
function change(patch) {
  store.put(patch);
  if (client.status === null) return "saved";
  view.trouble(null);
  client.set(patch, ledger.send(patch)).catch(() => {}); // `receive` hears of it too, and tells
  return "sent";
}

function reset() {
  const shown = client.status === null ? store.saved : ledger.confirmed;
  const names = Object.keys(defaults).filter((name) => name in shown && !same(defaults[name], shown[name]));
  if (names.length > 0) page.change(Object.fromEntries(names.map((name) => [name, defaults[name]])));
  store.clear();
}

async function loadSchema() {
  if (schema) return;
  let loaded;
  try {
    loaded = await client.server.getSettingsSchema();
  } catch (error) {
    if (error instanceof ServerError && error.problem.code === "unauthorized") return lock();
    return view.trouble(error instanceof ServerError ? error.problem : unknownProblem(error));
  }
  if (schema) return; // Start was pressed meanwhile, and asked for it too
  schema = loaded;
  const { properties } = schema;
  store.keep((name) => name in properties);
  defaults = Object.fromEntries(Object.entries(properties).map(([name, p]) => [name, p.default]));
  drawControls();
  addSoften(page, (name) => name in properties);
  addPromptTools(page, schema);
}

function lock() {
  locked = true;
  refuseToken();
  render();
}

/** One that was given, that is: at first there is none. */
function refuseToken() {
  if (client.server.token) view.tokenError(t("signin.wrong"));
}

function drawControls() {
  if (!schema) return;
  const values = controls?.values ?? store.saved;
  controls = new Controls(view.form, schema, change, page.places.prompt);
  controls.show(values);
  controls.notes(client.status?.notes ?? []);
  placeFigures();
}

/** In one column the prompt comes before what is measured. */
function placeFigures() {
  if (oneColumn.matches && controls) controls.putBelowPrompt(view.figures);
  else view.putFiguresBelowVideo();
}

async function drawSources(chosen = view.source.value) {
  view.sources(await listSources(), chosen);
}

/** @param {MediaStream} stream that was opened; only now the cameras have names */
function nameSource(stream) {
  const deviceId = stream.getVideoTracks()[0]?.getSettings().deviceId;
  if (standsIn(sources.sent, deviceId)) view.notice(t("source.other"));
  sources.sent = shownChoice(sources.sent, deviceId);
  drawSources(sources.sent);
}

function start() {
  view.notice("");
  view.trouble(null);
  loadSchema();
  client.start(async () => {
    const stream = await sources.open(view.source.value);
    nameSource(stream);
    return stream;
  });
}

function startOrStop() {
  const idle = client.session.phase === "idle" || client.session.phase === "failed";
  idle ? start() : client.stop();
}

/** @param {SubmitEvent} event */
async function signIn(event) {
  event.preventDefault();
  const token = view.token.value.trim();
  client.server.token = token;
  storage("sessionStorage")?.setItem(TOKEN, token);
  view.token.value = "";
  view.tokenError("");
  locked = false;
  const started = client.session.phase !== "idle";
  await loadSchema();
  if (started) start();
  render();
  if (view.signin.hidden) view.start.focus(); // the form that had the focus is gone
}

async function swapSource() {
  if (view.problem && isCameraProblem(view.problem)) view.trouble(null);
  try {
    await sources.swap(view.source.value);
    if (client.source) nameSource(client.source);
  } catch (error) {
    drawSources(sources.sent);
    view.trouble(thrownProblem(error));
  }
}

/** Out of an error: the source alone where the session goes on without it. @param {string} choice */
function tryAgain(choice) {
  view.source.value = choice;
  view.start.focus(); // the button that was pressed is about to go
  if (client.source) swapSource();
  else start();
}

/** For a report of a fault: what happened, and what was typed only where that is wished. */
async function copyDetails() {
  const { phase, via, attempt } = client.session;
  const { state, reason, pipeline, device, model } = client.status ?? {};
  const details = {
    problem: view.problem,
    session: { phase, via, attempt },
    status: client.status && { state, reason, pipeline, device, model },
    browser: navigator.userAgent,
    ...(view.withPrompt.checked && { prompt: page.settings().prompt, prompts: page.settings().prompts }),
  };
  const text = JSON.stringify(details, null, 2);
  try {
    await navigator.clipboard.writeText(text);
    view.copy.textContent = t("trouble.copied");
  } catch {
    view.showDetails(text); // a page that is not secure has no clipboard
  }
}

/** @param {import("./texts.js").Language} code */
async function chooseLanguage(code) {
  await useLanguage(code).catch(() => {}); // the server is away: the language before stays
  local?.setItem(LANGUAGE, language());
  writePage();
}

function writePage() {
  document.documentElement.lang = language();
  writeTexts(document, (key) => t(/** @type {import("./texts.js").Key} */ (key)));
  page.places.prompt.setAttribute("aria-label", t("settings.tools"));
  for (const relabel of relabels) relabel();
  drawControls();
  drawSources();
  view.retell();
  view.chart(latencies);
  render();
}

/** @type {import("./stats.js").Reading | null} */
let reading = null;
/** @type {number[]} */
let latencies = [];

async function drawNumbers() {
  const now = await client.read();
  if (!now || client.status === null) {
    reading = null;
    latencies = [];
    worry = CALM;
    view.chart(latencies);
    return view.numbers("–", "–", []);
  }
  const before = reading;
  reading = now;
  if (!before) return;
  const parts = latencyParts(before, now, serverStats);
  const sum = parts.reduce((total, { ms }) => total + ms, 0);
  latencies = [...latencies, sum].slice(-CHARTED);
  const loss = losses(before, now);
  view.numbers(`${frames.perSecond(performance.now())} fps`, `≈ ${sum.toFixed(0)} ms`, [
    ...parts.map(({ key, ms }) => /** @type {[string, string]} */ ([t(key), `${ms.toFixed(0)} ms`])),
    ...moreNumbers(before, now, loss),
  ]);
  view.chart(latencies);
  const lost = Math.max(loss.up ?? 0, loss.down ?? 0);
  worry = worryOn(worry, concern({ loss: lost, cameraFps: now.cameraFps, server: serverStats }));
  render();
}

/**
 * @param {import("./stats.js").Reading} before @param {import("./stats.js").Reading} now
 * @param {{ up: number | null, down: number | null }} loss @returns {[string, string][]}
 */
function moreNumbers(before, now, loss) {
  /** @type {[string, string][]} */
  const rows = [];
  if (serverStats) {
    const { fps_in, fps_out, dropped } = serverStats;
    rows.push([t("stats.fps"), `${fps_in.toFixed(0)}, ${fps_out.toFixed(0)}`]);
    rows.push([t("stats.dropped"), String(Object.values(dropped).reduce((sum, count) => sum + count, 0))]);
  }
  const rates = bitrates(before, now);
  if (rates) {
    rows.push([t("stats.rate-up"), `${rates.up.toFixed(0)} kbit/s`]);
    rows.push([t("stats.rate-down"), `${rates.down.toFixed(0)} kbit/s`]);
  }
  if (loss.up !== null && loss.down !== null) {
    rows.push([t("stats.loss"), `${decimal(100 * loss.up, 1)} %, ${decimal(100 * loss.down, 1)} %`]);
  }
  rows.push([t("stats.transport"), client.session.via === "ws" ? "WebSocket, JPEG" : "WebRTC"]);
  rows.push([t("stats.version"), String(ledger.version)]);
  return rows;
}

/** @param {unknown} a @param {unknown} b */
function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The server's, which may come with the address, as the terminal's QR code has it; it does not stay there. */
function takeToken() {
  const kept = storage("sessionStorage");
  const { token, rest } = splitToken(location.hash);
  if (!token) return kept?.getItem(TOKEN) ?? "";
  history.replaceState(null, "", location.pathname + location.search + rest);
  kept?.setItem(TOKEN, token);
  return token;
}

/** A link with a token that is opened where the page is already. @param {HashChangeEvent} event */
function signInByLink(event) {
  if (!splitToken(location.hash).token) return;
  event.stopImmediatePropagation(); // a look in the link is for the page that comes
  location.reload();
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

view.start.onclick = startOrStop;
view.again.onclick = () => tryAgain(client.source ? sources.wanted : view.source.value);
view.retry.onclick = () => {
  view.start.focus(); // this button goes with the wait
  client.retryNow();
};
view.mend.onclick = mend;
view.reset.onclick = reset;
view.copy.onclick = copyDetails;
view.source.onchange = () => client.source && swapSource();
view.signin.onsubmit = signIn;
view.useCard.onclick = view.startCard.onclick = () => tryAgain(TEST_CARD);
view.form.addEventListener("submit", (event) => event.preventDefault());
onSourcesChanged(() => drawSources());
oneColumn.onchange = placeFigures;
addEventListener("hashchange", signInByLink);
addEventListener("online", () => client.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || client.retryNow());
addEventListener("pagehide", () => client.stop());
setInterval(drawNumbers, 1000);
setInterval(() => view.tick(client.session, performance.now()), 500);

const kept = local?.getItem(LANGUAGE);
const wished = kept && isLanguage(kept) ? kept : bestLanguage(navigator.languages);
if (wished !== "en") await useLanguage(wished).catch(() => {});

page.keys.add(" ", () => t("keys.start"), startOrStop);
page.keys.add(
  "/",
  () => t("keys.prompt"),
  () => document.getElementById("setting-prompt")?.focus(),
);
/** The tools of the page: each adds its own parts. @type {import("./page.js").Tool[]} */
const tools = [addPictureTools, addModels, (page) => addPreferences(page, chooseLanguage), addHelp];
for (const addTool of tools) addTool(page);
writePage();
loadSchema();
