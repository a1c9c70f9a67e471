// The choice of a model: what the server can load, under which licence, and which one paints. Its loading is told by
// the state line, as it concerns everybody.

import { addDialog } from "./dialogs.js";
import { make } from "./dom.js";
import { unknownProblem } from "./errors.js";
import { ServerError } from "./signalling.js";
import { t } from "./texts.js";

/** @typedef {import("./signalling.js").Model} Model */

/** @param {import("./page.js").Page} page */
export function addModels(page) {
  const { client } = page;
  const { button, dialog, body } = addDialog(page.places.header, () => t("models.open"), page);
  button.id = "models";
  button.hidden = true; // until a server says that it has some
  const show = button.onclick;
  button.onclick = async (event) => {
    try {
      body.replaceChildren(...draw(await client.server.getModels()));
      show?.call(button, event);
    } catch (error) {
      page.trouble(error instanceof ServerError ? error.problem : unknownProblem(error));
    }
  };
  const label = () => {
    const { status } = client;
    if (status) button.hidden = !status.models?.length;
    const name = status?.model ? make("span", { class: "model-name" }, `: ${status.model}`) : "";
    button.replaceChildren(t("models.open"), name);
  };
  client.addEventListener("change", label);
  client.server
    .getModels()
    .then((models) => {
      button.hidden = models.length === 0;
    })
    .catch(() => {}); // whatever keeps this from being answered is shown where it matters
  page.onLanguage(label);

  /** @param {Model[]} models @returns {HTMLElement[]} */
  function draw(models) {
    const hint = client.status ? t("models.hint") : t("models.start-first");
    if (models.length === 0) return [make("p", {}, t("models.empty"))];
    return [make("p", { class: "hint" }, hint), make("ul", { class: "models" }, ...models.map(drawOne))];
  }

  /** @param {Model} model */
  function drawOne({ key, title, licence, notice, loaded }) {
    const texts = [make("h3", {}, title)];
    if (licence) texts.push(make("p", { class: "hint" }, t("models.licence", { licence })));
    if (notice) texts.push(make("p", {}, notice));
    if (loaded) return make("li", {}, ...texts, make("p", { class: "tag" }, t("models.loaded")));
    const use = make(
      "button",
      { type: "button", disabled: client.status === null, "data-model": key },
      notice ? t("models.accept") : t("models.use"),
    );
    use.setAttribute("aria-label", `${use.textContent}: ${title}`);
    use.onclick = () => {
      client.loadModel(key);
      dialog.close();
    };
    return make("li", {}, ...texts, use);
  }
}
