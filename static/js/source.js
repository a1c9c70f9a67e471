// Where the picture comes from: a camera, the screen, a video file, or the built-in test card. A source is a MediaStream
// with one video track; who stops that track lets go of all that is behind it.

import { cameraProblem, insecureProblem, sourceProblem } from "./errors.js";
import { startTestCard } from "./testcard.js";
import { t } from "./texts.js";
import { pick } from "./tools/files.js";

export const TEST_CARD = "test-card";
export const SCREEN = "screen";
export const VIDEO_FILE = "video-file";
export const ANY_CAMERA = "";
/** Phones have two, and people think of them by where they look. */
export const FRONT = "facing:user";
export const BACK = "facing:environment";

const SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };
const FPS = { frameRate: { ideal: 30 } };
const SCREEN_SIZE = { width: { max: 1920 }, height: { max: 1080 } };
const FILE_OPENS_WITHIN_MS = 10_000;

/** @typedef {{ value: string, label: string }} Choice */
/** @typedef {{ deviceId: string, kind: string, label: string }} Device */
/** @typedef {{ phone: boolean, screen: boolean, file: boolean }} Abilities of this browser */

/**
 * Throws a Problem where the picture cannot be had.
 * @param {string} choice a device id, or one of the constants above
 * @param {MediaStream | null} [inUse] a camera that is let go if the new one cannot be had beside it, as on phones
 * @returns {Promise<MediaStream>}
 */
export async function openSource(choice, inUse = null) {
  if (choice === TEST_CARD) return startTestCard();
  if (choice === VIDEO_FILE) return openFile();
  if (!navigator.mediaDevices) throw insecureProblem(location);
  if (choice === SCREEN) return openScreen();
  try {
    return await openCamera(choice);
  } catch (error) {
    const busy = error instanceof DOMException && ["NotReadableError", "AbortError"].includes(error.name);
    if (!busy || !inUse) throw cameraProblem(error);
    for (const track of inUse.getTracks()) track.stop();
    return openCamera(choice).catch((again) => {
      throw cameraProblem(again);
    });
  }
}

/** @param {string} choice */
async function openCamera(choice) {
  let refusal;
  for (const video of wishes(choice)) {
    try {
      return await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
      refusal = error;
      if (!(error instanceof DOMException && error.name === "OverconstrainedError")) break;
    }
  }
  throw refusal;
}

/**
 * What to ask a camera for, one after the other as it refuses: size and rate, that camera as it is, any camera.
 * @param {string} choice
 * @returns {MediaTrackConstraints[]}
 */
export function wishes(choice) {
  const facing = choice.startsWith("facing:") ? { facingMode: choice.slice("facing:".length) } : null;
  const device = facing ?? (choice === ANY_CAMERA ? {} : { deviceId: { exact: choice } });
  return [{ ...SIZE, ...FPS, ...device }, ...(choice === ANY_CAMERA ? [] : [device]), {}];
}

async function openScreen() {
  try {
    return await navigator.mediaDevices.getDisplayMedia({ video: { ...SCREEN_SIZE, ...FPS } });
  } catch (error) {
    const denied = error instanceof DOMException && error.name === "NotAllowedError";
    throw sourceProblem(denied ? "screen-denied" : "screen");
  }
}

/** A video file, again and again, at the speed of its own. */
async function openFile() {
  const file = await pick("video/*");
  if (file === null) throw sourceProblem("no-file");
  const video = document.createElement("video");
  video.muted = video.loop = video.playsInline = true;
  video.src = URL.createObjectURL(file);
  try {
    await playing(video);
    const capture = /** @type {any} */ (video);
    /** @type {MediaStream | undefined} */
    const stream = (capture.captureStream ?? capture.mozCaptureStream)?.call(video);
    const [track] = stream?.getVideoTracks() ?? [];
    if (!track) throw sourceProblem("file");
    const stop = track.stop.bind(track);
    track.stop = () => {
      stop();
      endFile(video); // there is no event for a track that was stopped
    };
    return new MediaStream([track]);
  } catch {
    endFile(video);
    throw sourceProblem("file");
  }
}

/** @param {HTMLVideoElement} video @returns {Promise<void>} rejects where the file cannot be played */
function playing(video) {
  return new Promise((resolve, reject) => {
    setTimeout(reject, FILE_OPENS_WITHIN_MS);
    video.onplaying = () => resolve();
    video.onerror = reject;
    video.play().catch(reject);
  });
}

/** @param {HTMLVideoElement} video */
function endFile(video) {
  video.pause();
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}

/**
 * How large the pictures are, of a source that can be asked for less.
 * @param {MediaStream} stream @param {string} choice
 */
export function sizeOf(stream, choice) {
  const { width = 0, height = 0 } = stream.getVideoTracks()[0]?.getSettings() ?? {};
  return ["camera", "screen"].includes(kindOf(choice)) ? { width, height } : null;
}

/** Asks for another size; what cannot do it goes on as it is. @param {MediaStream} stream @param {{ width: number, height: number }} size */
export async function resize(stream, { width, height }) {
  const wish = { width: { ideal: width }, height: { ideal: height }, ...FPS };
  await stream
    .getVideoTracks()[0]
    ?.applyConstraints(wish)
    .catch(() => {});
}

/** @returns {Promise<Choice[]>} */
export async function listSources() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const phone = matchMedia("(pointer: coarse)").matches;
  const screen = "getDisplayMedia" in (navigator.mediaDevices ?? {});
  const { prototype } = HTMLVideoElement;
  const file = "captureStream" in prototype || "mozCaptureStream" in prototype; // Safari has neither
  return choices(devices, { phone, screen, file });
}

/** What the user is asked for. @param {string} choice @returns {"camera" | "screen" | "file" | "card"} */
export function kindOf(choice) {
  if (choice === SCREEN) return "screen";
  if (choice === VIDEO_FILE) return "file";
  return choice === TEST_CARD ? "card" : "camera";
}

/**
 * What a list of sources is to show as chosen: a camera by its own id, which may be another than the one asked for.
 * @param {string} choice @param {string} [deviceId] of the track that was opened for it
 */
export function shownChoice(choice, deviceId) {
  return isDevice(choice) || choice === ANY_CAMERA ? (deviceId ?? choice) : choice;
}

/** Whether a camera was opened in place of one that is not there any more. @param {string} choice @param {string} [deviceId] */
export function standsIn(choice, deviceId) {
  return isDevice(choice) && deviceId !== undefined && deviceId !== choice;
}

/** @param {string} choice */
function isDevice(choice) {
  return ![TEST_CARD, SCREEN, VIDEO_FILE, FRONT, BACK, ANY_CAMERA].includes(choice);
}

/**
 * Before the first permission browsers hide ids and names: then there is one nameless entry for all cameras.
 * @param {Device[]} devices @param {Abilities} abilities @returns {Choice[]}
 */
export function choices(devices, { phone, screen, file }) {
  const cameras = devices
    .filter(({ kind, deviceId }) => kind === "videoinput" && deviceId !== "")
    .map(({ deviceId, label }, index) => ({
      value: deviceId,
      label: label || t("source.camera.numbered", { number: index + 1 }),
    }));
  const sides = [
    { value: FRONT, label: t("source.front") },
    { value: BACK, label: t("source.back") },
  ];
  return [
    ...(phone && cameras.length !== 1 ? sides : []),
    ...(cameras.length > 0 || phone ? cameras : [{ value: ANY_CAMERA, label: t("source.camera") }]),
    ...(screen ? [{ value: SCREEN, label: t("source.screen") }] : []),
    ...(file ? [{ value: VIDEO_FILE, label: t("source.file") }] : []),
    { value: TEST_CARD, label: t("source.card") },
  ];
}

/** Cameras that are plugged in or taken away. @param {() => void} listener */
export function onSourcesChanged(listener) {
  navigator.mediaDevices?.addEventListener("devicechange", listener);
}
