// The tools under the video: mirror, compare, record, snapshot, a window of its own, full screen, link for viewers; and
// a screen that stays awake.

import { find, make } from "../dom.js";
import { painter } from "../status.js";
import { t } from "../texts.js";
import { addDisplay, toggleFullScreen, togglePictureInPicture, WakeLock } from "./display.js";
import { save } from "./files.js";
import { RecordButton } from "./record_button.js";
import { fileName } from "./recording.js";
import { addShare } from "./share.js";
import { takeSnapshot } from "./snapshot.js";

/** @param {import("../page.js").Page} page */
export function addPictureTools(page) {
  const { client, places, keys } = page;
  const video = find("result", HTMLVideoElement);
  const awake = new WakeLock();
  addDisplay(page);

  const record = new RecordButton((text) => page.notice(text));
  places.video.append(record.button, record.numbers);
  page.onLanguage(() => record.name());
  keys.add(
    "r",
    () => t("tools.record"),
    () => record.button.click(),
  );

  /** @param {string} id @param {string} key @param {() => string} words @param {() => void} act */
  function add(id, key, words, act) {
    const button = make("button", { type: "button", class: "quiet", id });
    button.onclick = act;
    places.video.append(button);
    page.onLanguage(() => {
      button.textContent = words();
    });
    keys.add(key, words, () => button.click());
    return button;
  }
  const snapshot = add(
    "snapshot",
    "s",
    () => t("tools.snapshot"),
    async () => {
      const made = client.status ? painter(client.status) : "";
      const picture = await takeSnapshot(video, page.settings(), made);
      if (picture) save(picture, fileName(new Date(), "png"));
    },
  );
  const window = add(
    "picture-in-picture",
    "p",
    () => t("tools.pip"),
    () => togglePictureInPicture(video),
  );
  window.hidden = !document.pictureInPictureEnabled;
  add(
    "full-screen",
    "f",
    () => t("tools.full-screen"),
    () => toggleFullScreen(places.tiles, video),
  );
  addShare(page);

  /** @type {MediaStream | null} */
  let result = null; // it comes before its first picture, and so before the session is live
  client.addEventListener("result", (event) => {
    result = /** @type {CustomEvent<MediaStream>} */ (event).detail;
    follow();
  });
  const follow = () => {
    const live = client.session.phase === "live";
    awake.want(live);
    record.follow(live ? result : null); // none finishes its file
    snapshot.disabled = window.disabled = !live;
  };
  client.addEventListener("change", follow);
  follow();
}
