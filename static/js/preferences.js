// The page's own preferences, kept in this browser: language, colours, keyboard shortcuts.

import { addDialog } from "./dialogs.js";
import { make } from "./dom.js";
import { LANGUAGES, language, t } from "./texts.js";

/** @typedef {import("./texts.js").Language} Language */

const THEME = "live-diffusion.theme";
const THEMES = /** @type {const} */ (["auto", "light", "dark"]);

/** @param {import("./page.js").Page} page @param {(language: Language) => void} chooseLanguage */
export function addPreferences(page, chooseLanguage) {
  const { body } = addDialog(page.places.header, () => t("preferences.open"), page, "⚙");
  const languages = Object.entries(LANGUAGES).map(([code, name]) =>
    make("option", { value: code, lang: code }, name),
  );
  const languageInput = make("select", { id: "language" }, ...languages);
  const themeOptions = THEMES.map((theme) => make("option", { value: theme }));
  const themeInput = make("select", { id: "theme" }, ...themeOptions);
  const keysInput = make("input", { type: "checkbox", id: "keys-on" });
  const labels = [
    make("label", { for: "language" }),
    make("label", { for: "theme" }),
    make("label", { for: "keys-on" }),
  ];
  const inputs = [languageInput, themeInput, keysInput];
  body.append(...labels.map((label, index) => make("div", { class: "field" }, label, inputs[index] ?? "")));

  const theme = page.storage?.getItem(THEME) ?? "auto";
  themeInput.value = THEMES.some((each) => each === theme) ? theme : "auto";
  document.documentElement.dataset.theme = themeInput.value;
  keysInput.checked = page.keys.on;
  languageInput.onchange = () => chooseLanguage(/** @type {Language} */ (languageInput.value));
  themeInput.onchange = () => {
    document.documentElement.dataset.theme = themeInput.value;
    page.storage?.setItem(THEME, themeInput.value);
  };
  keysInput.onchange = () => {
    page.keys.on = keysInput.checked;
  };
  page.onLanguage(() => {
    languageInput.value = language();
    const texts = [t("preferences.language"), t("preferences.theme"), t("preferences.keys")];
    labels.forEach((label, index) => {
      label.textContent = texts[index] ?? "";
    });
    themeOptions.forEach((option, index) => {
      option.textContent = t(`preferences.theme.${THEMES[index] ?? "auto"}`);
    });
  });
}
