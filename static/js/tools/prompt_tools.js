// What helps to find a prompt and to keep it: gallery, dice, earlier prompts, presets of the own, links and files.
// It asks the page for the settings in force and gives it settings to use; it sends nothing itself.

import { make } from "../dom.js";
import { t } from "../texts.js";
import { randomPrompt, randomSeed } from "./dice.js";
import { pick, save } from "./files.js";
import { addGallery } from "./gallery.js";
import { History, Library, nameOf } from "./library.js";
import { changedOnly, clean, fromFile, fromFragment, MOST_FILE_BYTES, toFile, toFragment } from "./looks.js";
import { readSnapshot } from "./snapshot.js";

/** @typedef {import("../protocol.js").Settings} Settings */

const FIELD = "setting-prompt"; // its element is another after a change of language
const KEEP_SEED = "live-diffusion.keep-seed";
const IMPORTED = ".json,.png,application/json,image/png";

/** @param {import("../page.js").Page} page @param {import("../controls.js").Schema} schema */
export function addPromptTools(page, schema) {
  const { places, keys } = page;
  const library = new Library(schema, page.storage);
  const history = new History(page.storage);
  const first = make("div", { class: "row wrap" });
  const keepSeed = make("input", { type: "checkbox", id: "keep-seed" });
  keepSeed.checked = page.storage?.getItem(KEEP_SEED) === "on";
  keepSeed.onchange = () => page.storage?.setItem(KEEP_SEED, keepSeed.checked ? "on" : "off");
  const keepLabel = make("label", { for: "keep-seed" });
  const earlier = make("select", { id: "earlier" });
  const earlierLabel = make("label", { for: "earlier" });
  const earlierRow = make("div", { class: "earlier" }, earlierLabel, earlier);
  const handOn = make("div", { class: "row wrap" });
  const summary = make("summary");
  const hint = make("p", { class: "hint" });
  places.prompt.append(first, earlierRow, make("details", { class: "hand-on" }, summary, handOn, hint));

  addGallery(page, first, library, use);
  add(first, "dice", () => t("tools.dice"), roll);
  add(first, "star", () => t("tools.star"), star);
  first.append(make("span", { class: "keep" }, keepSeed, keepLabel));
  add(handOn, "copy-link", () => t("tools.link"), copyLink);
  add(handOn, "export", () => t("tools.export"), exportPresets);
  add(
    handOn,
    "import",
    () => t("tools.import"),
    async () => read(await pick(IMPORTED)),
  );
  keys.add("d", () => t("tools.dice"), roll);
  keys.add(
    "l",
    () => t("tools.looks"),
    () => document.getElementById("looks")?.click(),
  );
  earlier.onchange = () => use({ prompt: earlier.value });
  page.onLanguage(() => {
    keepLabel.textContent = t("tools.seed.keep");
    summary.textContent = t("tools.hand-on");
    hint.textContent = t("tools.hand-on.hint");
    earlierLabel.textContent = t("tools.earlier");
    drawEarlier();
  });

  document.addEventListener("keydown", walk);
  document.addEventListener("input", ({ target }) => isField(target) && history.leave());
  document.addEventListener("change", ({ target }) => isField(target) && remember(target.value));
  document.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault(); // else the browser shows the file in place of the page
    read(file);
  });
  addEventListener("hashchange", openLink);
  openLink();

  /** @param {HTMLElement} place @param {string} id @param {() => string} words @param {() => void} act */
  function add(place, id, words, act) {
    const button = make("button", { type: "button", class: "quiet", id });
    button.onclick = act;
    place.append(button);
    page.onLanguage(() => {
      button.textContent = words();
    });
  }

  /** A prompt takes the place of a blend, and a blend that of a prompt. @param {Settings} settings */
  function use(settings) {
    if (typeof settings.prompt === "string") remember(settings.prompt);
    page.change("prompt" in settings ? { prompts: null, ...settings } : settings);
  }

  /** A look by chance; the seed stays if it is to be kept. */
  function roll() {
    const most = schema.properties.seed?.maximum ?? 2 ** 32 - 1;
    const seed = keepSeed.checked ? {} : { seed: randomSeed(most, Math.random) };
    use({ prompt: randomPrompt(Math.random), ...seed });
  }

  function star() {
    const { prompt, prompts } = page.settings();
    const look = prompts ? { prompts } : { prompt };
    const { pipeline: _, ...changed } = changedOnly(schema, page.settings()); // a look is one for any painter
    const name = nameOf(look);
    library.add([{ name, settings: { ...changed, ...look } }]);
    page.notice(t("tools.star.done", { name }));
  }

  function openLink() {
    const raw = fromFragment(location.hash);
    if (raw === null) return;
    clearLink(); // else each reload would put the look back, over all that was changed since
    const { settings, refused } = clean(schema, raw);
    if (Object.keys(settings).length > 0) use(settings);
    if (refused.length > 0) page.notice(t("tools.link.refused", { names: refused.join(", ") }));
  }

  function clearLink() {
    globalThis.history.replaceState(null, "", location.pathname + location.search);
  }

  async function copyLink() {
    const { prompt, prompts } = page.settings();
    const { prompt: _, ...changed } = changedOnly(schema, page.settings());
    const fragment = toFragment(prompts ? changed : { prompt, ...changed });
    const link = new URL(fragment, location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      page.notice(t("tools.link.copied"));
    } catch {
      globalThis.history.replaceState(null, "", link);
      page.notice(t("tools.link.shown"));
    }
  }

  function exportPresets() {
    if (library.presets.length === 0) return page.notice(t("tools.export.nothing"));
    save(new Blob([toFile(library.presets)], { type: "application/json" }), "live-diffusion-presets.json");
  }

  /** A file that was picked or dropped on the page: presets, or a snapshot of ours. @param {File | null} file */
  async function read(file) {
    if (file === null) return;
    const settings = await readSnapshot(schema, file);
    if (settings) {
      use(settings);
      return page.notice(t("tools.import.snapshot"));
    }
    const presets = file.size <= MOST_FILE_BYTES ? fromFile(schema, await file.text()) : null;
    if (presets === null || presets.length === 0) return page.notice(t("tools.import.nothing"));
    library.add(presets);
    page.notice(t("tools.import.presets", { count: presets.length }));
  }

  /** ↑ at the start of the field goes to earlier prompts, ↓ back. @param {KeyboardEvent} event */
  function walk(event) {
    const { target: field, key } = event;
    if (!isField(field) || event.isComposing) return;
    if (event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
    const atStart = field.selectionStart === 0 && field.selectionEnd === 0;
    let prompt = null;
    if (key === "ArrowUp" && (atStart || history.walking)) prompt = history.back(field.value);
    if (key === "ArrowDown" && history.walking) prompt = history.forward();
    if (prompt === null) return;
    event.preventDefault();
    page.change({ prompts: null, prompt });
    field.setSelectionRange(0, 0);
  }

  /** @param {string} prompt */
  function remember(prompt) {
    history.add(prompt);
    drawEarlier();
  }

  function drawEarlier() {
    const options = history.prompts.map((prompt) => make("option", { value: prompt }, prompt)).reverse();
    earlier.replaceChildren(make("option", { value: "", disabled: true }, "…"), ...options);
    earlier.selectedIndex = 0;
    earlierRow.hidden = options.length === 0;
  }
}

/** @param {EventTarget | null} target @returns {target is HTMLTextAreaElement} */
function isField(target) {
  return target instanceof HTMLTextAreaElement && target.id === FIELD;
}
