// The fixed parts of the page: videos, state line, buttons, errors, numbers. It shows what it is told and decides
// nothing; `main.js` connects it with the client.

import { find, make } from "./dom.js";
import { isCameraProblem } from "./errors.js";
import { describe, icon, painter, progressText } from "./status.js";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./protocol.js").Problem} Problem */
/** @typedef {import("./protocol.js").Status} Status */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./source.js").Choice} Choice */

const START = "Press Start. Your picture goes to this server only, and comes back painted.";
const WAIT = "The painted picture will appear here.";

export class View {
  camera = find("camera", HTMLVideoElement);
  result = find("result", HTMLVideoElement);
  start = find("start", HTMLButtonElement);
  source = find("source", HTMLSelectElement);
  retry = find("retry", HTMLButtonElement);
  useCard = find("use-card", HTMLButtonElement);
  reset = find("reset", HTMLButtonElement);
  form = find("form", HTMLFormElement);
  #stage = find("stage", HTMLElement);
  #invitation = find("invitation", HTMLElement);
  #state = find("state", HTMLElement);
  #painter = find("painter", HTMLElement);
  #trouble = find("trouble", HTMLElement);

  constructor() {
    // The tiles take the result's shape, and the camera tile shows the part of the picture that is painted.
    this.result.onresize = () => {
      const { videoWidth, videoHeight } = this.result;
      if (videoWidth) this.#stage.style.setProperty("--shape", `${videoWidth} / ${videoHeight}`);
    };
  }

  /** @param {Session} session @param {Status | null} status @param {MediaStream | null} source */
  render(session, status, source) {
    const running = session.phase !== "idle" && session.phase !== "failed";
    this.start.textContent = running ? "Stop" : "Start";
    this.start.classList.toggle("running", running);
    this.#stage.dataset.phase = session.phase;
    this.#stage.dataset.fit = String(status?.settings.fit ?? "crop");
    if (this.camera.srcObject !== source) this.camera.srcObject = source;
    if (!running) this.result.srcObject = null;
    if (session.phase === "waiting") this.result.pause(); // else the last picture goes black with its connection
    this.#invitation.textContent = running ? WAIT : START;
    this.#invitation.hidden = this.result.srcObject !== null;

    const { tone, word, text } = describe(session, status);
    this.#state.dataset.tone = tone;
    setText("state-icon", icon(tone));
    setText("state-word", word);
    setText("state-text", text);
    find("numbers", HTMLElement).hidden = session.phase !== "live";
    this.#showPainter(status);
    this.#showProgress(status);
    this.countdown(session, performance.now());
    if (session.phase === "failed") this.trouble(session.problem);
    else if (session.phase !== "live") this.trouble(null);
  }

  /** Beside the state line, not in it: nobody wants each second read out. @param {Session} session @param {number} now */
  countdown({ phase, deadline, attempt }, now) {
    const waiting = phase === "waiting" && deadline !== null;
    find("countdown", HTMLElement).hidden = !waiting;
    if (!waiting) return;
    const seconds = Math.max(0, Math.ceil((deadline - now) / 1000));
    setText("countdown-text", `Try ${attempt + 1} in ${seconds} s.`);
  }

  /** @param {Problem | null} problem */
  trouble(problem) {
    this.#trouble.hidden = problem === null;
    if (problem === null) return;
    setText("trouble-message", problem.message);
    setText("trouble-fix", problem.fix);
    setText("trouble-code", problem.code);
    const fields = problem.fields.map(({ field, message }) => make("li", {}, `${field}: ${message}`));
    find("trouble-fields", HTMLElement).replaceChildren(...fields);
    this.useCard.hidden = !isCameraProblem(problem);
  }

  /** @param {string} text empty: nothing to say */
  notice(text) {
    setText("notice", text);
    find("notice", HTMLElement).hidden = text === "";
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
    const cells = rows.map(([name, value]) =>
      make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
    );
    find("parts", HTMLElement).replaceChildren(...cells);
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

/** Writing the same text again would make screen readers say it again. @param {string} id @param {string} text */
function setText(id, text) {
  const element = find(id, HTMLElement);
  if (element.textContent !== text) element.textContent = text;
}
