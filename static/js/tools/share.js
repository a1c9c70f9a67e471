// The panel with the viewer's link: to copy, to open, as a QR code for a phone, and how OBS takes it.
// With an access token on the server the link carries a token of its own, which lets its bearer watch for a while.

import { make } from "../dom.js";
import { duration, t } from "../texts.js";

const QUIET_ZONE = 4; // modules around a QR code (ISO/IEC 18004, 6.3.8)
const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {object} ViewLink
 * @property {string} url
 * @property {number | null} expiresInS null: as long as the session's client is there
 */

export class SharePanel {
  dialog = make("dialog", { class: "share", "aria-labelledby": "share-title" });
  #link;
  #say;

  /**
   * @param {() => Promise<ViewLink | null>} link null while nothing can be watched
   * @param {(text: string) => void} say tells the user
   */
  constructor(link, say) {
    this.#link = link;
    this.#say = say;
  }

  async open() {
    const link = await this.#link();
    if (link === null) return this.#say(t("tools.share.nothing"));
    await this.#draw(link);
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** @param {ViewLink} link */
  async #draw({ url, expiresInS }) {
    const address = make("input", { type: "url", readonly: true, id: "share-link", value: url });
    address.onfocus = () => address.select();
    const copy = make("button", { type: "button" }, t("tools.share.copy"));
    copy.onclick = async () => {
      try {
        await navigator.clipboard.writeText(url);
        copy.textContent = t("tools.share.copied");
      } catch {
        address.select(); // Ctrl+C does the rest
      }
    };
    const close = make("button", { type: "button", class: "quiet" }, t("dialog.close"));
    close.onclick = () => this.dialog.close();
    const lasts =
      expiresInS === null ? t("tools.share.lasts") : t("tools.share.expires", { time: duration(expiresInS) });
    this.dialog.replaceChildren(
      make("div", { class: "gallery-head" }, make("h2", { id: "share-title" }, t("tools.share")), close),
      make("p", {}, t("tools.share.hint")),
      make("label", { class: "label", for: "share-link" }, t("tools.share.link")),
      make("div", { class: "row" }, address, copy),
      make("p", {}, make("a", { href: url, target: "_blank", rel: "noopener" }, t("tools.share.open"))),
      make("p", { class: "hint" }, lasts),
      ...(await code(url)),
      make("h3", {}, t("tools.share.obs")),
      make(
        "ol",
        {},
        make("li", {}, t("tools.share.obs.add")),
        make("li", {}, t("tools.share.obs.url")),
        make("li", {}, t("tools.share.obs.fit")),
      ),
    );
  }
}

/** Its library is fetched now; where that fails there is no code, and the link is enough. @param {string} text */
async function code(text) {
  try {
    const { encode } = await import("../../vendor/uqr.js");
    const { size, data } = encode(text, { ecc: "M", border: QUIET_ZONE });
    const dark = data.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])));
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
    svg.setAttribute("class", "code");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", t("tools.share.code"));
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", dark.join(""));
    svg.append(path);
    return [svg];
  } catch {
    return [];
  }
}
