// The gallery: a dialog of looks to pick from. Presets, the user's own ones, and, for painters without a text model, each
// style and effect by itself. Its list and its one picture are fetched when it is opened for the first time.

import { make } from "../dom.js";
import { said, t } from "../texts.js";

/** @typedef {import("../protocol.js").Settings} Settings */
/** @typedef {import("./library.js").Library} Library */
/** @typedef {{ group: "preset" | "style" | "effect", key: string, prompt: string }} Look */
/** @typedef {{ columns: number, rows: number, looks: Look[] }} Index of static/looks/looks.json */

const INDEX = new URL("../../looks/looks.json", import.meta.url);
const GROUPS = /** @type {const} */ (["preset", "style", "effect"]);

export class Gallery {
  dialog = make("dialog", { class: "gallery", "aria-labelledby": "gallery-title" });
  #library;
  #pick;
  #own = make("ul", { class: "looks own" });
  #ownSection = make("section", {});
  /** @type {HTMLElement[]} shown for painters that know them by name only */
  #named = [];
  /** @type {Promise<Index> | null} */
  #index = null;

  /** @param {Library} library @param {(settings: Settings) => void} pick */
  constructor(library, pick) {
    this.#library = library;
    this.#pick = pick;
  }

  /** @param {boolean} byName whether the painter paints styles and effects by name */
  async open(byName) {
    this.#index ??= fetch(INDEX).then((response) => response.json());
    try {
      this.#draw(await this.#index);
    } catch {
      this.#index = null; // the next time may be better
      this.#draw({ columns: 1, rows: 1, looks: [] });
    }
    for (const section of this.#named) section.hidden = !byName;
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** @param {Index} index */
  #draw({ columns, rows, looks }) {
    const close = make("button", { type: "button", class: "quiet" }, t("dialog.close"));
    close.onclick = () => this.dialog.close();
    const head = make(
      "div",
      { class: "gallery-head" },
      make("h2", { id: "gallery-title" }, t("tools.looks")),
      close,
    );
    const sections = GROUPS.map((group) => {
      const tiles = looks.flatMap((look, number) =>
        look.group === group ? [this.#tile(look, number, columns, rows)] : [],
      );
      const list = make("ul", { class: "looks" }, ...tiles);
      return make("section", {}, make("h3", {}, t(`tools.looks.${group}`)), list);
    });
    this.#named = sections.slice(1);
    this.#ownSection.replaceChildren(make("h3", {}, t("tools.looks.own")), this.#own);
    const [presets, ...named] = sections;
    const shown = [...(presets ? [presets] : []), this.#ownSection, ...named];
    this.dialog.replaceChildren(head, ...shown);
    this.#drawOwn();
  }

  #drawOwn() {
    this.#ownSection.hidden = this.#library.presets.length === 0;
    const rows = this.#library.presets.map(({ name, settings }) => {
      const use = make("button", { type: "button", class: "own-look" }, name);
      use.onclick = () => this.#choose(settings);
      const label = t("tools.looks.remove", { name });
      const remove = make(
        "button",
        { type: "button", class: "quiet", "aria-label": label, title: label },
        "✕",
      );
      remove.onclick = () => {
        const place = [...this.#own.children].indexOf(/** @type {HTMLLIElement} */ (remove.parentElement));
        this.#library.remove(name);
        this.#drawOwn();
        const next = this.#own.children[Math.min(place, this.#own.children.length - 1)];
        (next?.querySelector("button") ?? this.dialog.querySelector("button"))?.focus();
      };
      return make("li", { class: "row" }, use, remove);
    });
    this.#own.replaceChildren(...rows);
  }

  /** @param {Look} look @param {number} number @param {number} columns @param {number} rows */
  #tile({ group, key, prompt }, number, columns, rows) {
    const thumb = make("span", { class: "thumb", "aria-hidden": true });
    const part = (/** @type {number} */ at, /** @type {number} */ of) =>
      `${of > 1 ? (100 * at) / (of - 1) : 0}%`;
    thumb.style.backgroundPosition = `${part(number % columns, columns)} ${part(Math.floor(number / columns), rows)}`;
    thumb.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    const words = group === "preset" ? (said(`preset.${key}`) ?? prompt) : prompt;
    const button = make(
      "button",
      { type: "button", class: "look", title: prompt },
      thumb,
      make("span", {}, words),
    );
    button.onclick = () => this.#choose({ prompt });
    return make("li", {}, button);
  }

  /** @param {Settings} settings */
  #choose(settings) {
    this.dialog.close();
    this.#pick(settings);
  }
}
