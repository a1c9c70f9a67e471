// Keyboard shortcuts: single keys, which do nothing while somebody types, and can be turned off (WCAG 2.1.4).
// `keyOf` decides, without a DOM of its own; `Keys` listens.

/** @typedef {{ key: string, title: () => string, action: () => void }} Shortcut */

const KEPT = "live-diffusion.keys";
const TYPING = "input, select, textarea, [contenteditable]";
// A space presses them; the last has the focus when a button went, and who pressed that twice means nothing by it.
const PRESSING = "button, summary, a, input, select, textarea, [role=status]";

/**
 * The shortcut's key that an event is, or null where it is none.
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey" | "repeat" | "defaultPrevented">} event
 * @param {{ matches(selectors: string): boolean } | null} target what has the focus
 */
export function keyOf({ key, ctrlKey, altKey, metaKey, repeat, defaultPrevented }, target) {
  if (ctrlKey || altKey || metaKey || repeat || defaultPrevented) return null;
  if (target?.matches(key === " " ? PRESSING : TYPING)) return null;
  return key.length === 1 ? key.toLowerCase() : null;
}

export class Keys {
  /** @type {Shortcut[]} in the order of the list that is shown */
  shortcuts = [];
  #storage;
  #on;

  /** @param {Pick<Storage, "getItem" | "setItem"> | null} storage */
  constructor(storage) {
    this.#storage = storage;
    this.#on = storage?.getItem(KEPT) !== "off";
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  get on() {
    return this.#on;
  }

  set on(on) {
    this.#on = on;
    this.#storage?.setItem(KEPT, on ? "on" : "off");
  }

  /** @param {string} key one character, small @param {() => string} title @param {() => void} action */
  add(key, title, action) {
    this.shortcuts.push({ key, title, action });
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (!this.#on || document.querySelector("dialog[open]")) return;
    const key = keyOf(event, event.target instanceof Element ? event.target : null);
    const shortcut = this.shortcuts.find((each) => each.key === key);
    if (!shortcut) return;
    event.preventDefault();
    shortcut.action();
  }
}
