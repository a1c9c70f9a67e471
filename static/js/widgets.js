// The inputs: one factory for each `widget` of the settings schema. A widget shows a value and tells of changes;
// it knows nothing of sending. `emit(value, true)` means that the user has finished: Enter, release, leaving the field.

import { make } from "./dom.js";
import { title, unitName } from "./status.js";
import { stopOf, strengthOf } from "./stops.js";
import { decimal, t } from "./texts.js";
import { randomSeed } from "./tools/dice.js";

/**
 * @typedef {object} Property one setting, as JSON Schema describes it, with the server's hints for the page
 * @property {string} title
 * @property {string} description
 * @property {unknown} default
 * @property {string} [type]
 * @property {string[]} [enum]
 * @property {Record<string, string>} [x-titles] of the values in `enum`
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [maxLength]
 * @property {number} [step]
 * @property {{ maxItems?: number }[]} [anyOf]
 * @property {string} group
 * @property {"live" | "rebuild"} apply
 * @property {string} widget
 * @property {string} unit
 * @property {Record<string, number>} [stops] by pipeline: only so many steps of the range make a difference there
 */

/** @typedef {(value: unknown, finished: boolean) => void} Emit */
/** @typedef {{ labelled: string, label: string, describedby: string }} Names ids of the input, its label, the texts about it */
/**
 * @typedef {object} Widget
 * @property {HTMLElement[]} parts
 * @property {HTMLElement} [beside] the value in words
 * @property {(value: unknown) => void} set
 * @property {(pipeline: string, steps: number) => void} [adapt] to what the other settings make of this one
 */
/** @typedef {{ text: string, weight: number }} Weighted */

/**
 * @param {Property} property
 * @param {Names} names
 * @param {Emit} emit
 * @param {() => string} prompt the text of the main prompt now
 * @returns {Widget}
 */
export function makeWidget(property, names, emit, prompt) {
  const { widget, type } = property;
  if (property.enum) return select(property, names, emit);
  if (widget === "textarea") return textarea(property, names, emit);
  if (widget === "prompts") return blend(property, names, emit, prompt);
  if (widget === "seed") return seed(property, names, emit);
  if (widget === "range") return range(property, names, emit);
  if (type === "boolean") return checkbox(names, emit);
  return type === "string" ? text(property, names, emit) : number(property, names, emit);
}

/** @param {Property} property @param {Names} names @param {Emit} emit @returns {Widget} */
function select(property, names, emit) {
  const words = property["x-titles"] ?? {};
  const options = (property.enum ?? []).map((value) =>
    make("option", { value }, words[value] ?? title(value)),
  );
  const input = make("select", { id: names.labelled, "aria-describedby": names.describedby }, ...options);
  input.onchange = () => emit(input.value, true);
  return {
    parts: [input],
    set(value) {
      input.value = String(value);
    },
  };
}

/** @param {Names} names @param {Emit} emit @returns {Widget} */
function checkbox(names, emit) {
  const input = make("input", {
    type: "checkbox",
    id: names.labelled,
    "aria-describedby": names.describedby,
  });
  input.onchange = () => emit(input.checked, true);
  return {
    parts: [input],
    set(value) {
      input.checked = value === true;
    },
  };
}

/** @param {Property} property @param {Names} names @param {Emit} emit @returns {Widget} */
function textarea({ maxLength }, names, emit) {
  const attributes = {
    id: names.labelled,
    "aria-describedby": names.describedby,
    rows: 2,
    maxlength: maxLength ?? null,
  };
  return typed(make("textarea", { ...attributes, spellcheck: "true", enterkeyhint: "send" }), emit);
}

/** @param {Property} property @param {Names} names @param {Emit} emit @returns {Widget} */
function text({ maxLength }, names, emit) {
  const attributes = {
    id: names.labelled,
    "aria-describedby": names.describedby,
    maxlength: maxLength ?? null,
  };
  return typed(make("input", { type: "text", ...attributes }), emit);
}

/**
 * One line of text in any text input. Enter finishes it: the server takes no line breaks.
 * @param {HTMLInputElement | HTMLTextAreaElement} input @param {Emit} emit @returns {Widget}
 */
function typed(input, emit) {
  const value = () => oneLine(input.value);
  input.oninput = (event) => {
    if (!(event instanceof InputEvent && event.isComposing)) emit(value(), false);
  };
  input.onchange = () => emit(value(), true);
  input.onkeydown = (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    emit(value(), true);
  };
  return {
    parts: [input],
    set(shown) {
      // Writing an equal text would move the caret of someone who types on.
      if (value() !== String(shown)) input.value = String(shown);
    },
  };
}

/** Control characters become spaces; pasted text brings them. @param {string} given */
export function oneLine(given) {
  return given.replace(/\p{Cc}+/gu, " ");
}

/**
 * Where only some values of a setting differ in what they do, the slider stands on those alone.
 * @param {Property} property @param {Names} names @param {Emit} emit @returns {Widget}
 */
function range(property, names, emit) {
  const { minimum = 0, maximum = 1, step = 0.01, unit } = property;
  /** @type {number | undefined} */
  let stops;
  let least = 0; // of the stops
  let shown = minimum;
  const input = make("input", {
    type: "range",
    id: names.labelled,
    "aria-describedby": names.describedby,
    min: minimum,
    max: maximum,
    step,
  });
  const beside = make("output", { for: names.labelled });
  const value = () => (stops ? strengthOf(input.valueAsNumber, stops) : input.valueAsNumber);
  const show = () => {
    const words = amount(value(), step, unitName(unit));
    beside.value = words;
    const spoken = stops ? t("field.stop", { value: words, stop: input.value, stops }) : words;
    input.setAttribute("aria-valuetext", spoken);
    beside.title = stops ? spoken : "";
  };
  const place = () => {
    input.valueAsNumber = stops ? stopOf(shown, stops, least) : shown;
    show();
  };
  input.oninput = () => {
    shown = value(); // else the next `adapt` would put it back
    show();
    emit(shown, false);
  };
  input.onchange = () => emit(value(), true);
  return {
    parts: [input],
    beside,
    set(given) {
      shown = Number(given);
      place();
    },
    adapt(pipeline, steps) {
      stops = property.stops?.[pipeline];
      least = stops ? steps - 1 : 0; // so many steps need so much room in the noise schedule
      input.min = String(stops ? least : minimum);
      input.max = String(stops ?? maximum);
      input.step = String(stops ? 1 : step);
      place();
    },
  };
}

/** As many decimals as the step has: 0.5 by steps of 0.01 is "0.50". @param {number} value @param {number} step @param {string} unit */
export function amount(value, step, unit) {
  const decimals = String(step).split(".")[1]?.length ?? 0;
  return `${decimal(value, decimals)} ${unit}`.trimEnd();
}

/** @param {Property} property @param {Names} names @param {Emit} emit @returns {Widget} */
function number({ minimum, maximum, step }, names, emit) {
  const input = make("input", {
    type: "number",
    id: names.labelled,
    "aria-describedby": names.describedby,
    min: minimum ?? null,
    max: maximum ?? null,
    step: step ?? "any",
  });
  const tell = (/** @type {boolean} */ finished) => {
    if (!Number.isNaN(input.valueAsNumber)) emit(input.valueAsNumber, finished);
  };
  input.oninput = () => tell(false);
  input.onchange = () => tell(true);
  return {
    parts: [input],
    set(value) {
      input.valueAsNumber = Number(value);
    },
  };
}

/** @param {Property} property @param {Names} names @param {Emit} emit @returns {Widget} */
function seed(property, names, emit) {
  const inner = number(property, names, emit);
  const dice = make("button", { type: "button", class: "quiet" }, t("field.random"));
  dice.onclick = () => {
    const value = randomSeed(property.maximum ?? 2 ** 32 - 1, Math.random);
    inner.set(value);
    emit(value, true);
  };
  const input = /** @type {HTMLInputElement} */ (inner.parts[0]);
  const copy = make("button", { type: "button", class: "quiet" }, t("field.copy"));
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(input.value);
    } catch {
      input.select(); // Ctrl+C does the rest
    }
  };
  return { parts: [make("div", { class: "row" }, input, dice, copy)], set: inner.set };
}

/** How many prompts can be blended. @param {Property} property */
export function mostPrompts(property) {
  return property.anyOf?.find((choice) => choice.maxItems)?.maxItems ?? 2;
}

/**
 * Weighted prompts in place of the one prompt: no rows means the setting is null.
 * @param {Property} property @param {Names} names @param {Emit} emit @param {() => string} prompt @returns {Widget}
 */
function blend(property, names, emit, prompt) {
  const most = mostPrompts(property);
  const rows = make("div", { class: "rows" });
  const add = make("button", { type: "button", class: "quiet", "aria-describedby": names.describedby });
  const group = make("div", { role: "group", "aria-labelledby": names.label, class: "blend" }, rows, add);

  /** @returns {Weighted[] | null} */
  function value() {
    const filled = [...rows.children].map(read).filter((row) => row.text !== "");
    return filled.length > 0 ? filled : null;
  }
  function relabel() {
    [...rows.children].forEach((row, index) => {
      const [text, weight, remove] = parts(row);
      text.setAttribute("aria-label", t("blend.text", { number: index + 1 }));
      weight.setAttribute("aria-label", t("blend.weight", { number: index + 1 }));
      remove.setAttribute("aria-label", t("blend.remove", { number: index + 1 }));
    });
    add.textContent = t(rows.childElementCount ? "blend.add" : "blend.first");
    add.hidden = rows.childElementCount >= most;
  }
  /** @param {Weighted} weighted */
  function append({ text, weight }) {
    const words = make("input", { type: "text", maxlength: 1000 });
    const slider = make("input", { type: "range", min: 0, max: 10, step: 0.1 });
    const remove = make("button", { type: "button", class: "quiet" }, "✕");
    typed(words, (_, finished) => emit(value(), finished)).set(text);
    slider.valueAsNumber = weight;
    slider.oninput = () => emit(value(), false);
    slider.onchange = () => emit(value(), true);
    const row = make("div", { class: "row" }, words, slider, remove);
    remove.onclick = () => {
      row.remove();
      relabel();
      add.focus();
      emit(value(), true);
    };
    rows.append(row);
    relabel();
    return words;
  }
  add.onclick = () => {
    if (!rows.childElementCount) append({ text: prompt(), weight: 1 });
    append({ text: "", weight: 1 }).focus();
  };
  relabel();
  return {
    parts: [group],
    set(shown) {
      if (JSON.stringify(shown) === JSON.stringify(value())) return;
      rows.replaceChildren();
      for (const weighted of /** @type {Weighted[]} */ (shown ?? [])) append(weighted);
      relabel();
    },
  };
}

/** @param {Element} row @returns {[HTMLInputElement, HTMLInputElement, HTMLButtonElement]} */
function parts(row) {
  return /** @type {[HTMLInputElement, HTMLInputElement, HTMLButtonElement]} */ ([...row.children]);
}

/** @param {Element} row @returns {Weighted} */
function read(row) {
  const [text, weight] = parts(row);
  return { text: oneLine(text.value), weight: weight.valueAsNumber };
}
