// "Soften flicker", for eyes that flashes hurt (WCAG 2.3.1): the painter is told to hold the picture steady, and the
// page shows it with less contrast, which limits how bright a flash can be. On from the start where the system asks
// for less motion.

import { find } from "./dom.js";

const KEPT = "live-diffusion.soften";
/** What it sets, where the server has such settings. */
const SOFT = { steadiness: 0.95, glide_frames: 30 };

/** @param {import("./page.js").Page} page @param {(name: string) => boolean} has whether there is such a setting */
export function addSoften(page, has) {
  const input = find("soften", HTMLInputElement);
  const stage = find("stage", HTMLElement);
  const kept = page.storage?.getItem(KEPT) ?? null;
  const wished = kept === null && matchMedia("(prefers-reduced-motion: reduce)").matches;
  const soft = () => Object.fromEntries(Object.entries(SOFT).filter(([name]) => has(name)));

  /** What was before is kept beside it, so that turning it off brings it back. @param {boolean} on */
  function turn(on) {
    stage.toggleAttribute("data-soften", on);
    if (on) {
      const settings = page.settings();
      const before = Object.fromEntries(Object.keys(soft()).map((name) => [name, settings[name]]));
      page.storage?.setItem(KEPT, JSON.stringify(before));
      page.change(soft());
    } else {
      page.change(earlier());
      page.storage?.setItem(KEPT, "off");
    }
  }

  /** @returns {import("./protocol.js").Settings} */
  function earlier() {
    try {
      const before = JSON.parse(page.storage?.getItem(KEPT) ?? "");
      return Object.fromEntries(Object.entries(before).filter(([name]) => name in SOFT && has(name)));
    } catch {
      return {};
    }
  }

  input.checked = wished || (kept !== null && kept !== "off");
  stage.toggleAttribute("data-soften", input.checked);
  if (wished) turn(true);
  input.onchange = () => turn(input.checked);
}
