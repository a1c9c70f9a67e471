// What helps to find a prompt and to keep it: gallery, dice, earlier prompts, presets of the own, links and files.
// It asks the page for the settings in force and gives it settings to use; it sends nothing itself.

import { make } from "../dom.js";
import { t } from "../texts.js";
import { randomPrompt, randomSeed } from "./dice.js";
import { pick, save } from "./files.js";
import { Gallery } from "./gallery.js";
import { History, Library, nameOf } from "./library.js";
import { changedOnly, clean, fromFile, fromFragment, MOST_FILE_BYTES, toFile, toFragment } from "./looks.js";
import { readSnapshot } from "./snapshot.js";

/** @typedef {import("../controls.js").Schema} Schema */
/** @typedef {import("../protocol.js").Settings} Settings */

/**
 * @typedef {object} Page what the tools need of it
 * @property {Schema} schema
 * @property {() => Settings} settings in force, or to be when it starts
 * @property {(settings: Settings) => void} use puts settings in force, or keeps them for the start
 * @property {(text: string) => void} say tells the user
 * @property {Pick<Storage, "getItem" | "setItem"> | null} shelf
 */

export class PromptTools {
  element = make("div", { class: "prompt-tools" });
  #page;
  #library;
  #history;
  #gallery;
  #keepSeed = make("input", { type: "checkbox", id: "keep-seed" });
  #earlier = make("select", { class: "earlier" });

  /** @param {Page} page @param {HTMLTextAreaElement | HTMLInputElement} field of the prompt */
  constructor(page, field) {
    this.#page = page;
    this.#library = new Library(page.schema, page.shelf);
    this.#history = new History(page.shelf);
    this.#gallery = new Gallery(this.#library, (settings) => this.#use(settings));
    this.#earlier.onchange = () => this.#take(this.#history.prompts.at(-this.#earlier.selectedIndex) ?? "");
    this.#walkIn(field);
    this.name();
  }

  /** Says it all in the language in use. */
  name() {
    const keep = make("label", { for: "keep-seed" }, this.#keepSeed, t("tools.seed.keep"));
    const more = make(
      "details",
      { class: "hand-on" },
      make("summary", {}, t("tools.hand-on")),
      make(
        "div",
        { class: "row wrap" },
        button(t("tools.link"), () => this.#copyLink()),
        button(t("tools.export"), () => this.#export()),
        button(t("tools.import"), async () => this.read(await pick(".json,.png,application/json,image/png"))),
      ),
      make("p", { class: "hint" }, t("tools.hand-on.hint")),
    );
    this.#earlier.setAttribute("aria-label", t("tools.earlier"));
    this.element.replaceChildren(
      make(
        "div",
        { class: "row wrap" },
        button(t("tools.looks.open"), () => this.openGallery()),
        button(t("tools.dice"), () => this.roll()),
        button(t("tools.star"), () => this.#star()),
        make("span", { class: "keep" }, keep),
      ),
      make("div", { class: "row" }, this.#earlier),
      more,
      this.#gallery.dialog,
    );
    this.#drawEarlier();
  }

  openGallery() {
    return this.#gallery.open(this.#page.settings().pipeline !== "diffusion");
  }

  /** A look by chance; the seed stays if it is to be kept. */
  roll() {
    const most = this.#page.schema.properties.seed?.maximum ?? 2 ** 32 - 1;
    const seed = this.#keepSeed.checked ? {} : { seed: randomSeed(most, Math.random) };
    this.#use({ prompt: randomPrompt(Math.random), ...seed });
  }

  /** What the address asks for, if anything. @param {string} fragment */
  open(fragment) {
    const raw = fromFragment(fragment);
    if (raw === null) return;
    const { settings, refused } = clean(this.#page.schema, raw);
    // The viewer's token, say, or an anchor with a value: nothing of it is a setting, so nothing is said of it.
    if (Object.keys(settings).length === 0) return;
    this.#use(settings);
    if (refused.length > 0) this.#page.say(t("tools.link.refused", { names: refused.join(", ") }));
  }

  /** A file that was picked or dropped on the page: presets, or a snapshot of ours. @param {File | null} file */
  async read(file) {
    if (file === null) return;
    const { schema, say } = this.#page;
    const settings = await readSnapshot(schema, file);
    if (settings) {
      this.#use(settings);
      return say(t("tools.import.snapshot"));
    }
    const presets = file.size <= MOST_FILE_BYTES ? fromFile(schema, await file.text()) : null;
    if (presets === null || presets.length === 0) return say(t("tools.import.nothing"));
    this.#library.add(presets);
    say(t("tools.import.presets", { count: presets.length }));
  }

  /** @param {Settings} settings */
  #use(settings) {
    const prompt = typeof settings.prompt === "string" ? settings.prompt : "";
    this.#remember(prompt);
    this.#page.use(settings);
  }

  /** @param {string} prompt */
  #take(prompt) {
    if (prompt) this.#use({ prompt });
  }

  #star() {
    const settings = changedOnly(this.#page.schema, this.#page.settings());
    const { prompt, prompts } = this.#page.settings();
    const look = prompts ? { prompts } : { prompt };
    const name = nameOf(look);
    delete settings.pipeline; // a look is one for any painter
    this.#library.add([{ name, settings: { ...settings, ...look } }]);
    this.#page.say(t("tools.star.done", { name }));
  }

  async #copyLink() {
    const { prompt: _, ...settings } = changedOnly(this.#page.schema, this.#page.settings());
    const { prompt } = this.#page.settings();
    const fragment = toFragment(settings.prompts ? settings : { prompt, ...settings });
    history.replaceState(null, "", fragment); // where the clipboard is forbidden, the address bar has it
    try {
      await navigator.clipboard.writeText(location.href);
      this.#page.say(t("tools.link.copied"));
    } catch {
      this.#page.say(t("tools.link.shown"));
    }
  }

  #export() {
    if (this.#library.presets.length === 0) return this.#page.say(t("tools.export.nothing"));
    save(
      new Blob([toFile(this.#library.presets)], { type: "application/json" }),
      "live-diffusion-presets.json",
    );
  }

  /** ↑ at the start of the field goes to earlier prompts, ↓ back. @param {HTMLTextAreaElement | HTMLInputElement} field */
  #walkIn(field) {
    field.addEventListener("keydown", (event) => {
      const key = /** @type {KeyboardEvent} */ (event);
      if (key.isComposing || key.shiftKey || key.ctrlKey || key.altKey || key.metaKey) return;
      const atStart = field.selectionStart === 0 && field.selectionEnd === 0;
      let prompt = null;
      if (key.key === "ArrowUp" && (atStart || this.#history.walking))
        prompt = this.#history.back(field.value);
      if (key.key === "ArrowDown" && this.#history.walking) prompt = this.#history.forward();
      if (prompt === null) return;
      key.preventDefault();
      this.#page.use({ prompt });
      field.value = prompt;
      field.setSelectionRange(0, 0);
    });
    field.addEventListener("input", () => this.#history.leave());
    field.addEventListener("change", () => this.#remember(field.value));
  }

  /** @param {string} prompt */
  #remember(prompt) {
    this.#history.add(prompt);
    this.#drawEarlier();
  }

  #drawEarlier() {
    const options = this.#history.prompts.map((prompt) => make("option", {}, prompt)).reverse();
    this.#earlier.replaceChildren(make("option", { value: "" }, t("tools.earlier")), ...options);
    this.#earlier.selectedIndex = 0;
    this.#earlier.hidden = options.length === 0;
  }
}

/** @param {string} words @param {() => void} act */
function button(words, act) {
  const made = make("button", { type: "button", class: "quiet" }, words);
  made.onclick = act;
  return made;
}
