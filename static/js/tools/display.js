// How the pictures are shown: mirrored, compared, full screen, in a window of their own, on a screen that stays awake.
// Nothing here changes a pixel that is sent, recorded or saved.

import { make } from "../dom.js";
import { t } from "../texts.js";

/** @typedef {"side" | "slider" | "result"} Mode */
/** @typedef {{ mirror: boolean, compare: Mode, split: number }} Shown `split`: percent of the width that is camera */
/** @typedef {Pick<Storage, "getItem" | "setItem"> | null} Shelf */

const KEY = "live-diffusion.shown";
/** @type {Mode[]} */
export const MODES = ["side", "slider", "result"];

/** What was chosen before; whatever else lies in the storage is as nothing. @param {Shelf} shelf @returns {Shown} */
export function remembered(shelf) {
  let kept = null;
  try {
    kept = JSON.parse(shelf?.getItem(KEY) ?? "null");
  } catch {
    // Unreadable: as if nothing had been chosen.
  }
  const split = Number(kept?.split ?? 50);
  return {
    mirror: kept?.mirror === true,
    compare: MODES.includes(kept?.compare) ? kept.compare : "side",
    split: split >= 0 && split <= 100 ? split : 50,
  };
}

/** @param {Mode} mode */
export function nextMode(mode) {
  return /** @type {Mode} */ (MODES[(MODES.indexOf(mode) + 1) % MODES.length]);
}

/** Mirror and comparison of the two videos, and their controls. @param {import("../page.js").Page} page */
export function addDisplay(page) {
  const { tiles, video } = page.places;
  let shown = remembered(page.storage);
  const mirror = make("button", { type: "button", class: "quiet", id: "mirror" });
  const options = MODES.map((value) => make("option", { value }));
  const compare = make("select", { id: "compare" }, ...options);
  const compareLabel = make("label", { for: "compare" });
  // Lies over the videos: the camera is left of it, the result right.
  const split = make("input", { type: "range", class: "split", id: "split", min: 0, max: 100, step: 1 });
  tiles.append(split);
  video.append(mirror, make("span", { class: "keep" }, compareLabel, compare));

  /** @param {Partial<Shown>} change */
  function set(change) {
    shown = { ...shown, ...change };
    tiles.dataset.layout = shown.compare;
    tiles.toggleAttribute("data-mirror", shown.mirror);
    tiles.style.setProperty("--split", String(shown.split / 100));
    mirror.setAttribute("aria-pressed", String(shown.mirror));
    compare.value = shown.compare;
    split.valueAsNumber = shown.split;
    split.hidden = shown.compare !== "slider";
    split.setAttribute("aria-valuetext", t("tools.split.value", { percent: shown.split }));
    try {
      page.storage?.setItem(KEY, JSON.stringify(shown));
    } catch {
      // Full or forbidden: it lives as long as the page.
    }
  }
  const turn = () => set({ mirror: !shown.mirror });
  mirror.onclick = turn;
  compare.onchange = () => set({ compare: /** @type {Mode} */ (compare.value) });
  split.oninput = () => set({ split: split.valueAsNumber });
  page.keys.add("m", () => t("tools.mirror"), turn);
  page.keys.add(
    "c",
    () => t("tools.compare"),
    () => set({ compare: nextMode(shown.compare) }),
  );
  page.onLanguage(() => {
    mirror.textContent = t("tools.mirror");
    compareLabel.textContent = t("tools.compare");
    split.setAttribute("aria-label", t("tools.split"));
    options.forEach((option) => {
      option.textContent = t(`tools.compare.${/** @type {Mode} */ (option.value)}`);
    });
    set({});
  });
}

/** The screen of a phone stays on while there is something to see. Browsers take the lock away from hidden pages. */
export class WakeLock {
  #wanted = false;
  #asking = false;
  /** @type {WakeLockSentinel | null} */
  #lock = null;

  constructor() {
    document.addEventListener("visibilitychange", () => this.want(this.#wanted));
  }

  /** @param {boolean} wanted */
  async want(wanted) {
    this.#wanted = wanted;
    const held = this.#lock !== null && !this.#lock.released;
    if (!wanted) {
      this.#lock?.release().catch(() => {});
      this.#lock = null;
    } else if (!held && !this.#asking && !document.hidden) {
      this.#asking = true;
      this.#lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null; // an empty battery says no
      this.#asking = false;
      if (!this.#wanted) this.want(false); // it came too late
    }
  }
}

/** @param {HTMLElement} element @param {HTMLVideoElement & { webkitEnterFullscreen?: () => void }} video what an iPhone can show alone */
export function toggleFullScreen(element, video) {
  const refused = () => {}; // as without a fresh click
  if (document.fullscreenElement) document.exitFullscreen().catch(refused);
  else if (element.requestFullscreen) element.requestFullscreen().catch(refused);
  else video.webkitEnterFullscreen?.();
}

/** @param {HTMLVideoElement} video that plays */
export function togglePictureInPicture(video) {
  const refused = () => {}; // as without a picture
  if (document.pictureInPictureElement) document.exitPictureInPicture().catch(refused);
  else video.requestPictureInPicture?.().catch(refused);
}
