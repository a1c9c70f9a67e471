// The gallery: a dialog of looks to pick from. Presets, the user's own ones, and, for painters without a text model, each
// style and effect by itself. Its list and its one picture are fetched when it is opened for the first time.

import { addDialog } from "../dialogs.js";
import { make } from "../dom.js";
import { t } from "../texts.js";

/** @typedef {import("../protocol.js").Settings} Settings */
/** @typedef {import("./library.js").Library} Library */
/** @typedef {{ group: "preset" | "style" | "effect", key: string, prompt: string }} Look */
/** @typedef {{ columns: number, rows: number, looks: Look[] }} Index of static/looks/looks.json */

const INDEX = new URL("../../looks/looks.json", import.meta.url);

/**
 * @param {import("../page.js").Page} page @param {HTMLElement} place for its button
 * @param {Library} library @param {(settings: Settings) => void} pick
 */
export function addGallery(page, place, library, pick) {
  const { button, dialog, body } = addDialog(place, () => t("tools.looks"), page);
  dialog.classList.add("gallery");
  button.id = "looks";
  /** @type {Promise<Index> | null} */
  let index = null;
  button.onclick = async () => {
    index ??= fetch(INDEX).then((response) => response.json());
    try {
      draw(await index);
    } catch {
      index = null; // the next time may be better
      body.replaceChildren(make("p", {}, t("tools.looks.failed")), own());
    }
    dialog.showModal();
  };

  /** @param {Settings} settings */
  function choose(settings) {
    dialog.close();
    pick(settings);
  }

  /** @param {Index} index */
  function draw({ columns, rows, looks }) {
    const byName = page.settings().pipeline !== "diffusion";
    const section = (/** @type {Look["group"]} */ group) => {
      const tiles = looks.flatMap((look, number) => {
        if (look.group !== group) return [];
        return [
          make(
            "li",
            {},
            tile(look, `${part(number % columns, columns)} ${part(Math.floor(number / columns), rows)}`),
          ),
        ];
      });
      return make(
        "section",
        {},
        make("h3", {}, t(`tools.looks.${group}`)),
        make("ul", { class: "looks" }, ...tiles),
      );
    };
    const part = (/** @type {number} */ at, /** @type {number} */ of) =>
      `${of > 1 ? (100 * at) / (of - 1) : 0}%`;
    const tile = (/** @type {Look} */ { group, key, prompt }, /** @type {string} */ position) => {
      const thumb = make("span", { class: "thumb", "aria-hidden": "true" });
      thumb.style.backgroundPosition = position;
      thumb.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
      const words =
        group === "preset" ? t(/** @type {import("../texts.js").Key} */ (`preset.${key}`)) : prompt;
      const look = make(
        "button",
        { type: "button", class: "look", title: prompt },
        thumb,
        make("span", { lang: group !== "preset" && "en" }, words),
      );
      look.onclick = () => choose({ prompt });
      return look;
    };
    body.replaceChildren(section("preset"), own(), ...(byName ? [section("style"), section("effect")] : []));
  }

  function own() {
    const list = make("ul", { class: "own" });
    const section = make("section", {}, make("h3", {}, t("tools.looks.own")), list);
    const redraw = () => {
      section.hidden = library.presets.length === 0;
      list.replaceChildren(...library.presets.map(({ name, settings }) => row(name, settings)));
    };
    const row = (/** @type {string} */ name, /** @type {Settings} */ settings) => {
      const use = make("button", { type: "button", class: "own-look" }, name);
      use.onclick = () => choose(settings);
      const label = t("tools.looks.remove", { name });
      const remove = make(
        "button",
        { type: "button", class: "quiet", "aria-label": label, title: label },
        "✕",
      );
      const item = make("li", { class: "row" }, use, remove);
      remove.onclick = () => {
        const at = [...list.children].indexOf(item);
        library.remove(name);
        redraw();
        const next = list.children[Math.min(at, list.children.length - 1)];
        (next?.querySelector("button") ?? body.querySelector("button"))?.focus();
      };
      return item;
    };
    redraw();
    return section;
  }
}
