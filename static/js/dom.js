// Helpers for a page without a framework: make an element, find one, write into one. Text is always text, never markup.

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null>} [attributes] false and null leave an attribute out
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}

/** Writing the same text again would make screen readers say it again. @param {string} id @param {string} text */
export function setText(id, text) {
  const element = find(id, HTMLElement);
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Writes the texts that elements ask for: `data-t` as content, `data-t-label` as the name.
 * @param {ParentNode} root @param {(key: string) => string} text
 */
export function writeTexts(root, text) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = text(element.getAttribute("data-t") ?? "");
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", text(element.getAttribute("data-t-label") ?? ""));
  }
}
