// What a tool of the page is given, and where it may put its parts. A tool is a function of a `Page`, listed in
// `main.js`; it keeps its own elements and texts, and speaks to the rest through this and nothing else.

import { find } from "./dom.js";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./protocol.js").Settings} Settings */

/**
 * @typedef {object} Page
 * @property {Client} client its events tell of everything that happens
 * @property {import("./keys.js").Keys} keys
 * @property {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} storage null where the browser forbids it
 * @property {Places} places
 * @property {() => Settings} settings as in force, or as they will be with the next Start
 * @property {(patch: Settings) => void} change as if the user had moved the controls
 * @property {(text: string) => void} notice a line that is read out; empty takes it away
 * @property {(problem: import("./protocol.js").Problem | null) => void} trouble
 * @property {() => void} start as the button Start
 * @property {(relabel: () => void) => void} onLanguage called now, and after each change of language
 */

/** @typedef {(page: Page) => void} Tool */

/**
 * @typedef {object} Places containers to append to; an empty one takes no room
 * @property {HTMLElement} header buttons in the page's head
 * @property {HTMLElement} video buttons under the video
 * @property {HTMLElement} prompt below the prompt's field
 * @property {HTMLElement} panels below the video's numbers
 * @property {HTMLElement} tiles the two videos: `data-layout` says how they lie
 */

/** @param {HTMLElement} prompt @returns {Places} */
export function findPlaces(prompt) {
  return {
    header: find("place-header", HTMLElement),
    video: find("place-video", HTMLElement),
    panels: find("place-panels", HTMLElement),
    tiles: find("tiles", HTMLElement),
    prompt,
  };
}

/** A browser that forbids storage throws at the very name. @param {"localStorage" | "sessionStorage"} name */
export function storage(name) {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}
