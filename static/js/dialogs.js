// A dialog behind a button: native, modal, closed by Escape, by its button or by a click beside it.

import { make } from "./dom.js";
import { t } from "./texts.js";

/**
 * @param {HTMLElement} place where the button goes
 * @param {() => string} name of the button, and of the dialog
 * @param {import("./page.js").Page} page
 * @param {string} [sign] what the button shows in place of its name
 * @returns {{ button: HTMLButtonElement, dialog: HTMLDialogElement, body: HTMLElement }}
 */
export function addDialog(place, name, page, sign) {
  const button = make("button", { type: "button", class: "quiet", "aria-haspopup": "dialog" });
  const heading = make("h2");
  const close = make("button", { type: "button", class: "quiet close" }, "✕");
  const body = make("div", { class: "body" });
  const dialog = make("dialog", {}, make("div", { class: "title" }, heading, close), body);
  place.append(button);
  document.body.append(dialog);
  button.onclick = () => dialog.showModal();
  close.onclick = () => dialog.close();
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close(); // its backdrop, that is
  };
  page.onLanguage(() => {
    heading.textContent = name();
    button.textContent = sign ?? name();
    if (sign) {
      button.setAttribute("aria-label", name());
      button.title = name();
    }
    dialog.setAttribute("aria-label", name());
    close.setAttribute("aria-label", t("dialog.close"));
  });
  return { button, dialog, body };
}
