// The page's words in the language in use. `t` is for texts of the page, `said` for what the server says in English
// and other languages may know better. Pure but for the one table in use; a language file is fetched when chosen.

import en from "../texts/en.js";

/** @typedef {keyof typeof en} Key */
/** @typedef {Record<string, string | number>} Values */

/** By language code; `en` is always here, the others are modules beside it. */
export const LANGUAGES = { en: "English", de: "Deutsch" };

/** @typedef {keyof typeof LANGUAGES} Language */

const MOST_DECIMALS = 3; // of a number within a text

/** @type {Record<string, string>} */
const ENGLISH = en;
let table = ENGLISH;
/** @type {Language} */
let inUse = "en";

/** @returns {Language} */
export function language() {
  return inUse;
}

/**
 * The first language of a list that there is: "de-AT" is "de".
 * @param {readonly string[]} wishes as in navigator.languages
 * @returns {Language}
 */
export function bestLanguage(wishes) {
  const codes = wishes.map((wish) => wish.toLowerCase().split("-", 1)[0] ?? "");
  return codes.find(isLanguage) ?? "en";
}

/** @param {string} code @returns {code is Language} */
export function isLanguage(code) {
  return Object.hasOwn(LANGUAGES, code);
}

/** Rejects where the file cannot be fetched; the language before stays then. @param {Language} code */
export async function useLanguage(code) {
  table = code === "en" ? ENGLISH : (await import(`../texts/${code}.js`)).default;
  inUse = code;
}

/** @param {Key} key @param {Values} [values] put in place of {name} */
export function t(key, values = {}) {
  return fill(table[key] ?? en[key], values);
}

/** A text that only some languages have. @param {string} key @param {Values} [values] */
export function said(key, values = {}) {
  const text = Object.hasOwn(table, key) ? table[key] : undefined;
  return text === undefined ? undefined : fill(text, values);
}

/** @param {string} key @param {Values} values @returns {string | undefined} whatever the language in use is */
export function english(key, values) {
  const text = Object.hasOwn(ENGLISH, key) ? ENGLISH[key] : undefined;
  return text === undefined ? undefined : fill(text, values);
}

/** @param {string} text @param {Values} values */
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? decimal(value, 0, MOST_DECIMALS) : (value ?? whole);
  });
}

/** As the language in use writes it: "0.50", "0,50". @param {number} value @param {number} least decimals @param {number} [most] */
export function decimal(value, least, most = least) {
  const digits = { minimumFractionDigits: least, maximumFractionDigits: most };
  return new Intl.NumberFormat(inUse, { ...digits, useGrouping: false }).format(value);
}

/** "40 s", "3 min". @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  return whole < 90
    ? t("time.seconds", { count: whole })
    : t("time.minutes", { count: Math.round(whole / 60) });
}
