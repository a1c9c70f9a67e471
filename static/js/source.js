// Where the picture comes from: a camera, or the built-in test card for machines without one.

import { cameraProblem, insecureProblem } from "./errors.js";
import { startTestCard } from "./testcard.js";

export const TEST_CARD = "test-card";
export const ANY_CAMERA = "";

/** @typedef {{ value: string, label: string }} Choice */

/**
 * Throws a Problem where the camera cannot be had.
 * @param {string} choice a device id, ANY_CAMERA or TEST_CARD
 * @returns {Promise<MediaStream>}
 */
export async function openSource(choice) {
  if (choice === TEST_CARD) return startTestCard();
  if (!navigator.mediaDevices) throw insecureProblem(location);
  const size = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  const device = choice === ANY_CAMERA ? {} : { deviceId: { exact: choice } };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { ...size, ...device } });
  } catch (error) {
    throw cameraProblem(error);
  }
}

/** @param {MediaStream | null} stream */
export function closeSource(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/**
 * Before the first permission browsers hide ids and names: then there is one nameless entry for all cameras.
 * @returns {Promise<Choice[]>}
 */
export async function listSources() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const cameras = devices
    .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
    .map((device, index) => ({ value: device.deviceId, label: device.label || `Camera ${index + 1}` }));
  if (cameras.length === 0) cameras.push({ value: ANY_CAMERA, label: "Camera" });
  return [...cameras, { value: TEST_CARD, label: "Test card" }];
}

/** @param {() => void} listener */
export function onSourcesChanged(listener) {
  navigator.mediaDevices?.addEventListener("devicechange", listener);
}
