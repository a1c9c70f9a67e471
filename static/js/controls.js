// The settings form, drawn from the server's JSON Schema: one labelled field for each setting, in groups. It paces
// what the user does, and shows what the server made of it: a mark when it is in force, a text when it was refused.

import { make } from "./dom.js";
import { debounce, throttle } from "./pace.js";
import { title } from "./status.js";
import { said, t } from "./texts.js";
import { makeWidget } from "./widgets.js";

/** @typedef {import("./protocol.js").Settings} Settings */
/** @typedef {import("./widgets.js").Property} Property */
/** @typedef {import("./widgets.js").Widget} Widget */
/** @typedef {{ properties: Record<string, Property> }} Schema */
/** @typedef {"sent" | "applied" | "rebuilding" | "saved"} Mark */

const TYPING_PAUSE_MS = 300;
const SLIDER_INTERVAL_MS = 50;
/** Always open, in this order; the other groups follow folded. */
const OPEN_GROUPS = ["prompt", "pipeline", "look"];
/** Rarely used, and folded unless they say something. */
const FOLDED = ["prompts", "negative_prompt"];
const GROUP_TITLES = new Map([["size", "Picture size"]]);

export class Controls {
  /** @type {Map<string, Field>} */
  #fields = new Map();
  #notes = make("ul", { class: "notes", hidden: true });

  /**
   * @param {HTMLElement} form
   * @param {Schema} schema
   * @param {(patch: Settings) => Mark} send
   * @param {HTMLElement} promptPlace goes below the prompt
   */
  constructor(form, schema, send, promptPlace) {
    const prompt = () => String(this.#fields.get("prompt")?.value ?? "");
    /** @type {Map<string, Field[]>} */
    const groups = new Map(OPEN_GROUPS.map((name) => [name, []]));
    for (const [name, property] of Object.entries(schema.properties)) {
      const field = new Field(name, property, (value) => field.mark(send({ [name]: value })), prompt);
      this.#fields.set(name, field);
      groups.set(property.group, [...(groups.get(property.group) ?? []), field]);
    }
    const filled = [...groups].filter(([, fields]) => fields.length > 0);
    form.replaceChildren(...filled.map(([name, fields]) => group(name, fields)));
    this.#fields.get("prompt")?.element.append(this.#notes, promptPlace);
  }

  /** What else belongs below the prompt where there is one column. @param {HTMLElement} element */
  putBelowPrompt(element) {
    this.#fields.get("prompt")?.element.closest(".group")?.after(element);
  }

  /** What the fields show now, also what has not been sent yet. @returns {Settings} */
  get values() {
    return Object.fromEntries([...this.#fields].map(([name, field]) => [name, field.value]));
  }

  /** Shows values without sending them. @param {Settings} values */
  show(values) {
    for (const [name, value] of Object.entries(values)) this.#fields.get(name)?.show(value);
    const [pipeline, steps] = ["pipeline", "steps"].map((name) => this.#fields.get(name)?.value);
    for (const field of this.#fields.values()) field.adapt(String(pipeline), Number(steps));
  }

  /** A new connection has answered all that was sent before it. */
  settle() {
    for (const field of this.#fields.values()) field.settle();
  }

  /** @param {string[]} names @param {Mark} mark */
  mark(names, mark) {
    for (const name of names) this.#fields.get(name)?.mark(mark);
  }

  /**
   * The value that stays in force, and why the new one does not.
   * @param {Settings} values @param {Record<string, string>} messages by setting name
   */
  refuse(values, messages) {
    for (const [name, value] of Object.entries(values)) this.#fields.get(name)?.restore(value);
    for (const [name, message] of Object.entries(messages)) this.#fields.get(name)?.refuse(message);
  }

  /** How the painter understood the settings. @param {string[]} notes */
  notes(notes) {
    this.#notes.replaceChildren(...notes.map((note) => make("li", {}, note)));
    this.#notes.hidden = notes.length === 0;
  }
}

/** A prompt, and a field alone, need no heading above their own. @param {string} name @param {Field[]} fields */
function group(name, fields) {
  const heading = make("h2", {}, said(`group.${name}`) ?? GROUP_TITLES.get(name) ?? title(name));
  const elements = fields.map((field) => field.element);
  if (!OPEN_GROUPS.includes(name)) {
    return make("details", { class: "group" }, make("summary", {}, heading), ...elements);
  }
  const plain = name === "prompt" || fields.length === 1;
  return make("section", { class: "group" }, ...(plain ? [] : [heading]), ...elements);
}

class Field {
  /** @type {HTMLElement} */
  element;
  /** @type {HTMLDetailsElement | null} */
  #fold = null;
  /** @type {unknown} what the control shows */
  value;
  #live;
  #title;
  #widget;
  #pacer;
  #mark = make("span", { class: "mark" });
  #error;

  /**
   * @param {string} name @param {Property} property @param {(value: unknown) => void} send @param {() => string} prompt
   */
  constructor(name, property, send, prompt) {
    const id = `setting-${name}`;
    const names = { labelled: id, label: `${id}-label`, describedby: `${id}-hint ${id}-error` };
    const slider = property.widget === "range";
    this.#pacer = slider ? throttle(send, SLIDER_INTERVAL_MS) : debounce(send, TYPING_PAUSE_MS);
    this.#live = property.apply === "live";
    this.#widget = makeWidget(property, names, (value, finished) => this.#changed(value, finished), prompt);
    this.#error = make("p", { id: `${id}-error`, class: "error", role: "alert" });
    const hint = make(
      "p",
      { id: `${id}-hint`, class: "hint" },
      said(`setting.${name}.hint`) ?? property.description,
    );
    this.#title = said(`setting.${name}`) ?? property.title;
    const several = property.widget === "prompts"; // a group of inputs, each with a label of its own
    const folded = FOLDED.includes(name); // its summary has said the title
    const labelled = { class: folded ? "label unseen" : "label", id: names.label };
    const label = make(several ? "span" : "label", labelled, this.#title);
    if (!several) label.setAttribute("for", id);
    const head = make("div", { class: "head" }, label);
    const tag = make(
      "span",
      { class: "tag", "data-apply": property.apply, title: t(`mark.${property.apply}.hint`) },
      t(`mark.${property.apply}`),
    );
    head.append(tag, this.#mark);
    if (this.#widget.beside) head.append(this.#widget.beside);
    this.element = make(
      "div",
      { class: `field field-${property.widget}` },
      head,
      ...this.#widget.parts,
      hint,
    );
    this.element.append(this.#error);
    if (folded) {
      this.#fold = make("details", { class: "fold" }, make("summary", {}, this.#title), this.element);
      this.element = this.#fold;
    }
    this.show(property.default);
  }

  /** @param {unknown} value */
  show(value) {
    if (this.#pacer.waiting()) return; // the user is ahead of the server
    this.value = value;
    this.#widget.set(value);
    if (this.#fold && value !== null && value !== "") this.#fold.open = true;
  }

  /** @param {string} pipeline @param {number} steps */
  adapt(pipeline, steps) {
    this.#widget.adapt?.(pipeline, steps);
  }

  /** @param {unknown} value */
  restore(value) {
    this.#pacer.drop();
    this.show(value);
    this.#mark.textContent = "";
  }

  /** @param {Mark} mark */
  mark(mark) {
    this.#mark.dataset.mark = mark;
    this.#mark.textContent = t(`mark.${mark}`);
  }

  settle() {
    if (["sent", "saved"].includes(this.#mark.dataset.mark ?? "")) this.#mark.textContent = "";
  }

  /** @param {string} message */
  refuse(message) {
    this.#mark.textContent = "";
    for (const input of this.#inputs()) input.setAttribute("aria-invalid", "true");
    this.#error.textContent = t("field.refused", { reason: message });
    this.element.classList.add("refused");
  }

  /** @param {unknown} value @param {boolean} finished */
  #changed(value, finished) {
    this.#error.textContent = "";
    this.element.classList.remove("refused");
    for (const input of this.#inputs()) input.removeAttribute("aria-invalid");
    const same = JSON.stringify(value) === JSON.stringify(this.value);
    // A slider that reloads the model is sent when it is let go, not on its way there.
    if (!same && (this.#live || finished)) {
      this.value = value;
      this.#pacer.push(value);
    }
    if (finished) this.#pacer.flush();
  }

  #inputs() {
    return this.element.querySelectorAll("input, select, textarea");
  }
}
