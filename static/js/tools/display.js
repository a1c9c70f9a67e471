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

/** Mirror and comparison of the two videos in `stage`, and their controls. */
export class Display {
  mirror = make("button", { type: "button", class: "quiet", "aria-pressed": "false" });
  compare = make("select", { "aria-label": t("tools.compare") });
  /** Lies over the videos; the camera is left of it, the result right. */
  split = make("input", { type: "range", class: "split", min: 0, max: 100, step: 1 });
  #stage;
  #shelf;
  #shown;

  /** @param {HTMLElement} stage @param {Shelf} shelf */
  constructor(stage, shelf) {
    this.#stage = stage;
    this.#shelf = shelf;
    this.#shown = remembered(shelf);
    this.mirror.onclick = () => this.#set({ mirror: !this.#shown.mirror });
    this.compare.onchange = () => this.#set({ compare: /** @type {Mode} */ (this.compare.value) });
    this.split.oninput = () => this.#set({ split: this.split.valueAsNumber });
    this.name();
    this.#set({});
  }

  /** Says it all in the language in use. */
  name() {
    this.mirror.textContent = t("tools.mirror");
    this.compare.setAttribute("aria-label", t("tools.compare"));
    this.compare.replaceChildren(
      ...MODES.map((mode) => make("option", { value: mode }, t(`tools.compare.${mode}`))),
    );
    this.compare.value = this.#shown.compare;
    this.split.setAttribute("aria-label", t("tools.split"));
    this.#say();
  }

  next() {
    this.#set({ compare: nextMode(this.#shown.compare) });
  }

  /** @param {Partial<Shown>} change */
  #set(change) {
    this.#shown = { ...this.#shown, ...change };
    const { mirror, compare, split } = this.#shown;
    this.#stage.dataset.compare = compare;
    this.#stage.toggleAttribute("data-mirror", mirror);
    this.#stage.style.setProperty("--split", String(split / 100));
    this.mirror.setAttribute("aria-pressed", String(mirror));
    this.compare.value = compare;
    this.split.valueAsNumber = split;
    this.split.hidden = compare !== "slider";
    this.#say();
    try {
      this.#shelf?.setItem(KEY, JSON.stringify(this.#shown));
    } catch {
      // Full or forbidden: it lives as long as the page.
    }
  }

  #say() {
    this.split.setAttribute("aria-valuetext", t("tools.split.value", { percent: this.#shown.split }));
  }
}

/** The screen of a phone stays on while there is something to see. Browsers take the lock away from hidden pages. */
export class WakeLock {
  #wanted = false;
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
    } else if (!held && !document.hidden) {
      this.#lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null; // an empty battery says no
      if (!this.#wanted) this.want(false); // it came too late
    }
  }
}

/** @param {HTMLElement} element @param {HTMLVideoElement} video what an iPhone can show alone */
export async function toggleFullScreen(element, video) {
  if (document.fullscreenElement) return document.exitFullscreen();
  if (element.requestFullscreen) return element.requestFullscreen();
  /** @type {any} */ (video).webkitEnterFullscreen?.();
}

export function hasPictureInPicture() {
  return document.pictureInPictureEnabled === true;
}

/** @param {HTMLVideoElement} video that plays */
export async function togglePictureInPicture(video) {
  if (document.pictureInPictureElement) return document.exitPictureInPicture();
  await video.requestPictureInPicture();
}
