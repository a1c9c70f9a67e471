// The panel with the viewer's link: to copy, to open, as a QR code for a phone, and how OBS takes it.
// With an access token on the server the link carries a token of its own, which lets its bearer watch for a while.

import { addDialog } from "../dialogs.js";
import { make } from "../dom.js";
import { unknownProblem } from "../errors.js";
import { ServerError } from "../signalling.js";
import { duration, t } from "../texts.js";

const QUIET_ZONE = 4; // modules around a QR code (ISO/IEC 18004, 6.3.8)
const SVG = "http://www.w3.org/2000/svg";

/** @typedef {{ url: string, expiresInS: number | null }} ViewLink null: as long as this tab is there */

/** @param {import("../page.js").Page} page */
export function addShare(page) {
  const { client } = page;
  const { button, dialog, body } = addDialog(page.places.video, () => t("tools.share"), page);
  dialog.classList.add("share");
  button.id = "share";
  button.onclick = async () => {
    try {
      const link = await viewLink(client);
      if (link === null) {
        return page.notice(t(client.status ? "tools.share.ws" : "tools.share.start-first"));
      }
      const alone = isLoopback(new URL(link.url).hostname);
      const forOthers = alone ? [make("p", {}, t("tools.share.loopback"))] : await code(link.url);
      body.replaceChildren(...draw(link), ...forOthers, ...howToUse());
      dialog.showModal();
    } catch (error) {
      page.trouble(error instanceof ServerError ? error.problem : unknownProblem(error));
    }
  };
}

/** Whether a name leads each device to itself. @param {string} hostname as in a URL */
export function isLoopback(hostname) {
  return /^(.+\.)?localhost$|^127(\.\d+){3}$|^\[::1\]$/.test(hostname);
}

/**
 * Where the session can be watched. With an access token on the server the link carries one of its own, which lets its
 * bearer watch and nothing else.
 * @param {import("../client.js").Client} client
 * @returns {Promise<ViewLink | null>} null while there is nothing to watch; rejects with a ServerError
 */
async function viewLink({ status, session, server }) {
  if (status === null || session.via === "ws") return null;
  const url = new URL(`../../../view/${status.view_id}`, import.meta.url);
  if (server.token === "") return { url: url.href, expiresInS: null };
  const response = await server.call(`api/sessions/${status.session_id}/view-token`, { method: "POST" });
  const { view_token, expires_in_s } = await response.json();
  url.hash = String(new URLSearchParams({ token: view_token }));
  return { url: url.href, expiresInS: expires_in_s };
}

/** @param {ViewLink} link */
function draw({ url, expiresInS }) {
  const address = make("input", { type: "url", readonly: true, id: "share-link", value: url });
  address.onfocus = () => address.select();
  const copy = make("button", { type: "button", id: "share-copy" }, t("tools.share.copy"));
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(url);
      copy.textContent = t("tools.share.copied");
    } catch {
      address.select(); // Ctrl+C does the rest
    }
  };
  const lasts =
    expiresInS === null ? t("tools.share.lasts") : t("tools.share.expires", { time: duration(expiresInS) });
  return [
    make("p", {}, t("tools.share.hint")),
    make("label", { class: "label", for: "share-link" }, t("tools.share.link")),
    make("div", { class: "row" }, address, copy),
    make("p", {}, make("a", { href: url, target: "_blank", rel: "noopener" }, t("tools.share.open"))),
    make("p", { class: "hint" }, lasts),
  ];
}

function howToUse() {
  const steps = [t("tools.share.obs.add"), t("tools.share.obs.url"), t("tools.share.obs.fit")];
  return [make("h3", {}, t("tools.share.obs")), make("ol", {}, ...steps.map((step) => make("li", {}, step)))];
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
