// The viewer's page: one session's video, full window, for OBS and second screens. `?fit=cover` fills the window,
// `?ground=clear` or OBS leaves free what the video does not cover, `?stats=1` shows numbers, `#token=...` is sent as
// Bearer.

import { find, setText } from "./dom.js";
import { bitrates, losses } from "./stats.js";
import { bestLanguage, decimal, language, t, useLanguage } from "./texts.js";
import { Whep } from "./whep.js";

const ICE_LIMIT_MS = 5_000; // a server that does not say its TURN servers by then is tried without

const video = find("video", HTMLVideoElement);
const message = find("message", HTMLElement);
const query = new URLSearchParams(location.search);
const inObs = "obsstudio" in globalThis; // there every word would be on the air
const viewId = location.pathname.split("/").at(-1) ?? "";
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const wished = bestLanguage(navigator.languages);
if (wished !== "en") await useLanguage(wished).catch(() => {});
document.documentElement.lang = language();
document.title = t("viewer.title");
video.setAttribute("aria-label", t("video.result"));
document.documentElement.dataset.fit = query.get("fit") === "cover" ? "cover" : "contain";
if (inObs || query.get("ground") === "clear") document.documentElement.dataset.ground = "clear";

const whep = new Whep(
  `../whep/${viewId}`,
  {
    onStream(stream) {
      video.srcObject = stream;
      video.play().catch(() => {}); // browsers let muted videos play; the next stream tries again
    },
    onState(state, cause) {
      document.documentElement.dataset.state = state;
      if (state === "waiting") video.pause(); // else the last picture goes black with its connection
      if (state === "connecting") return; // what was said still holds
      message.textContent = cause === null || inObs ? "" : t(`viewer.${cause}`);
    },
  },
  { token, iceServers },
);

/** A viewer may be no one who is told of a TURN server. @returns {Promise<RTCIceServer[]>} */
async function iceServers() {
  try {
    /** @type {HeadersInit} */
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch("../api/ice", { headers, signal: AbortSignal.timeout(ICE_LIMIT_MS) });
    return response.ok ? ((await response.json()).iceServers ?? []) : [];
  } catch {
    return [];
  }
}

/** @type {import("./stats.js").Reading | null} */
let reading = null;

async function showNumbers() {
  const before = reading;
  reading = await whep.read();
  const rates = before && reading && bitrates(before, reading);
  if (!before || !reading || !rates) return setText("stats", "");
  const frames = reading.received.count - before.received.count;
  const fps = Math.round((1000 * frames) / (reading.at - before.at));
  const { down } = losses(before, reading);
  const lost = decimal(100 * (down ?? 0), 1);
  const size = `${video.videoWidth} × ${video.videoHeight}`;
  setText(
    "stats",
    `${size} · ${fps} fps · ${rates.down.toFixed(0)} kbit/s · ${t("viewer.lost-packets", { lost })}`,
  );
}

if (query.get("stats") === "1") setInterval(showNumbers, 1000);
addEventListener("online", () => whep.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || whep.retryNow());
addEventListener("pagehide", () => whep.stop());
addEventListener("pageshow", () => whep.start());
whep.start();
