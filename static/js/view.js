// The fixed parts of the page: videos, state line, buttons, errors, numbers. It shows what it is told and decides
// nothing; `main.js` connects it with the client.

import { find, make, setText } from "./dom.js";
import { isCameraProblem, words } from "./errors.js";
import { tryingFor } from "./session.js";
import { sparkline } from "./stats.js";
import { describe, icon, painter, progressText } from "./status.js";
import { t } from "./texts.js";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").Status} Status */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./source.js").Choice} Choice */

const LONG_MS = 5_000; // a try that takes longer is told how long
const CHART = { points: 60, width: 120, height: 28 };

export class View {
  camera = find("camera", HTMLVideoElement);
  result = find("result", HTMLVideoElement);
  start = find("start", HTMLButtonElement);
  source = find("source", HTMLSelectElement);
  retry = find("retry", HTMLButtonElement);
  mend = find("remedy-do", HTMLButtonElement);
  again = find("again", HTMLButtonElement);
  useCard = find("use-card", HTMLButtonElement);
  startCard = find("start-card", HTMLButtonElement);
  copy = find("copy", HTMLButtonElement);
  withPrompt = find("with-prompt", HTMLInputElement);
  reset = find("reset", HTMLButtonElement);
  form = find("form", HTMLFormElement);
  figures = find("figures", HTMLElement);
  signin = find("signin", HTMLFormElement);
  token = find("token", HTMLInputElement);
  #stage = find("stage", HTMLElement);
  #state = find("state", HTMLElement);
  #said = find("said", HTMLElement);
  #painter = find("painter", HTMLElement);
  #trouble = find("trouble", HTMLElement);
  /** @type {Problem | null} */
  #problem = null;
  #running = false;

  constructor() {
    // The tiles take the result's shape, and the camera tile shows the part of the picture that is painted.
    this.result.onresize = () => {
      const { videoWidth, videoHeight } = this.result;
      if (videoWidth) this.#stage.style.setProperty("--shape", `${videoWidth} / ${videoHeight}`);
    };
  }

  /**
   * @param {Client} client
   * @param {object} more
   * @param {boolean} more.seen whether a picture of this connection has been shown
   * @param {boolean} more.locked whether the server asked for a token before anything was started
   * @param {ReturnType<typeof import("./source.js").kindOf>} more.asked what is asked for as source
   * @param {string} more.concern what keeps a running picture from being good; empty: nothing
   * @param {string} more.remedy what the button that helps says; empty: there is none
   */
  render({ session, status, source }, { seen, locked, asked, concern, remedy }) {
    const running = session.phase !== "idle" && session.phase !== "failed";
    this.#running = running;
    this.start.textContent = t(running ? "stop" : "start");
    this.start.classList.toggle("running", running);
    this.#stage.dataset.fit = String(status?.settings.fit ?? "crop");
    if (this.camera.srcObject !== source) this.camera.srcObject = source;
    if (!running) this.result.srcObject = null;
    if (session.phase === "waiting") this.result.pause(); // else the last picture goes black with its connection

    let { name, tone, word, text } = describe(session, status, seen, locked, asked);
    if (name === "live" && concern) [name, tone, text] = ["degraded", "warn", concern];
    const before = this.#stage.dataset.state;
    this.#stage.dataset.state = name;
    this.#stage.dataset.asked = asked;
    this.start.classList.toggle("primary", name !== "error" && name !== "signin"); // which have one of their own
    if (name === "error" && before !== name && document.fullscreenElement) {
      document.exitFullscreen().catch(() => {}); // it shows the videos alone, and nothing of the error
    }
    this.#state.dataset.tone = tone;
    setText("state-icon", icon(tone));
    setText("state-word", word);
    setText("state-text", text);
    if (!remedy && document.activeElement === this.mend) this.#said.focus(); // the button is about to go
    find("remedy", HTMLElement).hidden = !remedy;
    setText("remedy-do", remedy);
    const overWs = running && session.via === "ws";
    find("badge", HTMLElement).hidden = !overWs;
    find("badge-hint", HTMLElement).hidden = !overWs;
    this.#showPainter(status);
    this.#showProgress(status);
    this.tick(session, performance.now());
    this.signin.hidden = name !== "signin";
    find("offer-card", HTMLElement).hidden = name !== "idle";
    if (name === "signin" && before !== name) this.token.focus();
    if (name === "error") this.trouble(session.problem);
    else if (name === "signin" || session.phase !== "live") this.trouble(null);
    if (name === "error" && before !== name) find("trouble-message", HTMLElement).focus();
  }

  /** Beside the state line, not in it: nobody wants each second read out. @param {Session} session @param {number} now */
  tick(session, now) {
    const { phase, deadline, attempt } = session;
    const waiting = phase === "waiting" && deadline !== null;
    find("countdown", HTMLElement).hidden = !waiting;
    if (waiting) {
      const seconds = Math.max(0, Math.ceil((deadline - now) / 1000));
      setText("countdown-text", t("state.reconnecting.countdown", { number: attempt + 1, seconds }));
    }
    const trying = tryingFor(session, now);
    find("long", HTMLElement).hidden = trying < LONG_MS;
    setText("long", t("state.connecting.long", { seconds: Math.floor(trying / 1000) }));
  }

  putFiguresBelowVideo() {
    find("place-panels", HTMLElement).before(this.figures);
  }

  /** @param {Problem | null} problem */
  trouble(problem) {
    this.#problem = problem;
    this.#trouble.hidden = problem === null;
    if (problem === null) return;
    const { message, fix, detail } = words(problem);
    setText("trouble-message", message);
    setText("trouble-fix", fix);
    setText("trouble-detail", detail);
    setText("trouble-code", problem.code);
    const fields = problem.fields.map(({ field, message }) => make("li", {}, `${field}: ${message}`));
    find("trouble-fields", HTMLElement).replaceChildren(...fields);
    this.useCard.hidden = !isCameraProblem(problem);
    this.again.hidden = this.#running && !isCameraProblem(problem); // what runs was not ended by it
    this.copy.textContent = t("trouble.copy");
    find("details", HTMLElement).hidden = true;
  }

  /** To be copied by hand. @param {string} text */
  showDetails(text) {
    const area = find("details", HTMLTextAreaElement);
    area.hidden = false;
    area.value = text;
    area.select();
  }

  /** What is shown as an error, if anything. */
  get problem() {
    return this.#problem;
  }

  /** In another language. */
  retell() {
    this.trouble(this.#problem);
  }

  /** @param {string} text empty: nothing to say */
  notice(text) {
    setText("notice", text);
    find("notice", HTMLElement).hidden = text === "";
  }

  /** @param {string} text */
  tokenError(text) {
    setText("token-error", text);
  }

  /** @param {Choice[]} choices @param {string} chosen */
  sources(choices, chosen) {
    this.source.replaceChildren(...choices.map(({ value, label }) => make("option", { value }, label)));
    this.source.value = choices.some(({ value }) => value === chosen) ? chosen : (choices[0]?.value ?? "");
  }

  /** @param {string} fps @param {string} latency @param {[name: string, value: string][]} rows */
  numbers(fps, latency, rows) {
    setText("fps", fps);
    setText("latency", latency);
    const body = find("parts", HTMLElement);
    while (body.children.length > rows.length) body.lastElementChild?.remove();
    rows.forEach(([name, value], index) => {
      const row = body.children[index] ?? make("tr", {}, make("th", { scope: "row" }), make("td"));
      if (!row.parentElement) body.append(row);
      const texts = [name, value];
      [...row.children].forEach((cell, column) => {
        if (cell.textContent !== texts[column]) cell.textContent = texts[column] ?? "";
      });
    });
  }

  /** @param {number[]} latencies milliseconds, one a second, oldest first */
  chart(latencies) {
    const { points, width, height } = CHART;
    const recent = latencies.slice(-points);
    const line = document.querySelector("#chart-line");
    line?.setAttribute("points", sparkline(recent, points, width, height - 2));
    const whole = recent.map(Math.round);
    const now = whole.at(-1);
    const text =
      now === undefined
        ? t("stats.chart.empty")
        : t("stats.chart", { low: Math.min(...whole), high: Math.max(...whole), now });
    const title = document.querySelector("#chart-title");
    if (title) title.textContent = text;
  }

  /** @param {Status | null} status */
  #showPainter(status) {
    this.#painter.hidden = status === null;
    if (status) this.#painter.textContent = painter(status);
  }

  /** @param {Status | null} status */
  #showProgress(status) {
    const progress = status?.progress;
    find("progress", HTMLElement).hidden = !progress;
    if (!progress) return;
    const bar = find("progress-bar", HTMLProgressElement);
    if (progress.total > 0) {
      bar.max = progress.total;
      bar.value = progress.done;
    } else {
      bar.removeAttribute("value"); // moving, without an end in sight
    }
    setText("progress-text", progressText(progress));
  }
}
