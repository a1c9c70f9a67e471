// The viewer's page: one session's video, full window, for OBS and second screens. `?fit=cover` fills the window,
// `?ground=clear` or OBS leaves free what the video does not cover, `#token=...` is sent as Bearer.

import { find } from "./dom.js";
import { bestLanguage, language, t, useLanguage } from "./texts.js";
import { Whep } from "./whep.js";

const video = find("video", HTMLVideoElement);
const message = find("message", HTMLElement);
const query = new URLSearchParams(location.search);
const inObs = "obsstudio" in globalThis; // there every word would be on the air
const viewId = location.pathname.split("/").at(-1) ?? "";
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const wished = bestLanguage(navigator.languages);
if (wished !== "en") await useLanguage(wished).catch(() => {});
document.documentElement.lang = language();
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
  { token, iceServers: await iceServers() },
);

/** A viewer may be no one who is told of a TURN server. @returns {Promise<RTCIceServer[]>} */
async function iceServers() {
  try {
    /** @type {HeadersInit} */
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch("../api/ice", { headers });
    return response.ok ? ((await response.json()).iceServers ?? []) : [];
  } catch {
    return [];
  }
}

addEventListener("online", () => whep.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || whep.retryNow());
addEventListener("pagehide", () => whep.stop());
addEventListener("pageshow", () => whep.start());
whep.start();
