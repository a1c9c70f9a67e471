// The list of keyboard shortcuts, behind `?`.

import { addDialog } from "./dialogs.js";
import { make } from "./dom.js";
import { t } from "./texts.js";

/** @param {import("./page.js").Page} page */
export function addHelp(page) {
  const { button, body } = addDialog(page.places.header, () => t("keys.open"), page, "?");
  const open = button.onclick;
  button.onclick = (event) => {
    const rows = page.keys.shortcuts.map(({ key, title }) =>
      make(
        "div",
        {},
        make("dt", {}, make("kbd", {}, key === " " ? t("keys.space") : key)),
        make("dd", {}, title()),
      ),
    );
    const off = page.keys.on ? [] : [make("p", { class: "hint" }, t("keys.off"))];
    body.replaceChildren(...off, make("dl", { class: "keys" }, ...rows));
    open?.call(button, event);
  };
  page.keys.add(
    "?",
    () => t("keys.help"),
    () => button.click(),
  );
}
