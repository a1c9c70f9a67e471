// A snapshot: what a video shows now, as a PNG that says in itself with which settings it was painted.

import { fromSnapshot, KEYWORD, MOST_PICTURE_BYTES, toSnapshot } from "./looks.js";
import { textOf, withText } from "./png.js";

/** @typedef {import("../protocol.js").Settings} Settings */

/**
 * @param {HTMLVideoElement} video
 * @param {Settings} settings in force
 * @param {string} made of what painter, in words
 * @returns {Promise<Blob | null>} null while there is no picture
 */
export async function takeSnapshot(video, settings, made) {
  if (!video.videoWidth) return null;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const picture = await new Promise((/** @type {BlobCallback} */ resolve) =>
    canvas.toBlob(resolve, "image/png"),
  );
  if (picture === null) return null;
  const png = new Uint8Array(await picture.arrayBuffer());
  return new Blob([withText(png, KEYWORD, toSnapshot(settings, made))], { type: "image/png" });
}

/**
 * @param {import("../controls.js").Schema} schema @param {Blob} file a stranger's
 * @returns {Promise<Settings | null>} null where it is no snapshot of ours
 */
export async function readSnapshot(schema, file) {
  if (file.size > MOST_PICTURE_BYTES) return null;
  return fromSnapshot(schema, textOf(new Uint8Array(await file.arrayBuffer()), KEYWORD));
}
