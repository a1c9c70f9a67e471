// What the numbers under the video mean: frames a second really shown, and a latency added up from measured parts.
// Pure but for the frame counter, which watches a <video>.

/** @typedef {import("./protocol.js").ServerStats} ServerStats */
/** @typedef {import("./texts.js").Key} Key */
/** @typedef {{ seconds: number, count: number }} Sum of so many measured times */
/** @typedef {{ lost: number, all: number }} Loss packets since the connection began */
/** @typedef {{ key: Key, ms: number }} Part */

/**
 * What this side of a connection has measured since it began; two of them give rates and means.
 * @typedef {object} Reading
 * @property {number} at milliseconds, of any clock that goes on
 * @property {number | null} roundTrip seconds
 * @property {Sum} encoded pictures of the camera
 * @property {Sum} received pictures of the result, from their first packet to the decoded picture
 * @property {number} bytesUp
 * @property {number} bytesDown
 * @property {number | null} lostUp share of the last packets, 0..1; null where it is not known
 * @property {Loss | null} lostDown
 * @property {number | null} cameraFps
 */

/** Counts the frames that a video really shows. */
export class FrameCounter {
  /** @type {number[]} when they came, the last second of them */
  #times = [];

  /** @param {HTMLVideoElement} video @param {() => void} onFrame */
  constructor(video, onFrame) {
    const count = (/** @type {number} */ now) => {
      this.#times.push(now);
      this.#forget(now);
      onFrame();
      video.requestVideoFrameCallback(count);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(count);
    else video.addEventListener("timeupdate", onFrame);
  }

  /** @param {number} now */
  perSecond(now) {
    this.#forget(now);
    return this.#times.length;
  }

  /** @param {number} now */
  #forget(now) {
    while (this.#times[0] !== undefined && this.#times[0] < now - 1000) this.#times.shift();
  }
}

/**
 * @param {Iterable<Record<string, any>>} report the values of an RTCStatsReport
 * @returns {Reading}
 */
export function read(report) {
  /** @type {Reading} */
  const reading = {
    at: 0,
    roundTrip: null,
    encoded: { seconds: 0, count: 0 },
    received: { seconds: 0, count: 0 },
    bytesUp: 0,
    bytesDown: 0,
    lostUp: null,
    lostDown: null,
    cameraFps: null,
  };
  for (const entry of report) {
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
      reading.roundTrip = entry.currentRoundTripTime;
    } else if (entry.type === "media-source" && entry.kind === "video") {
      reading.cameraFps = entry.framesPerSecond ?? null;
    } else if (entry.type === "remote-inbound-rtp" && entry.kind === "video") {
      reading.lostUp = entry.fractionLost ?? null;
    } else if (entry.type === "outbound-rtp" && entry.kind === "video") {
      reading.encoded = { seconds: entry.totalEncodeTime ?? 0, count: entry.framesEncoded ?? 0 };
      reading.bytesUp = entry.bytesSent ?? 0;
    } else if (entry.type === "inbound-rtp" && entry.kind === "video") {
      const seconds =
        entry.totalProcessingDelay ?? (entry.jitterBufferDelay ?? 0) + (entry.totalDecodeTime ?? 0);
      reading.received = { seconds, count: entry.framesDecoded ?? 0 };
      reading.bytesDown = entry.bytesReceived ?? 0;
      const lost = entry.packetsLost ?? 0;
      reading.lostDown = { lost, all: lost + (entry.packetsReceived ?? 0) };
      reading.at = entry.timestamp;
    }
  }
  return reading;
}

/**
 * The measured parts of the way from camera to screen, in its order. Parts without a measurement are left out; those
 * of the server are medians, and what is left of it after waiting and painting is decoding, encoding and hand-overs.
 * @param {Reading} before @param {Reading} now @param {ServerStats | null} server
 * @returns {Part[]}
 */
export function latencyParts(before, now, server) {
  const [waited, pipeline, whole] = ["waited", "pipeline", "server"].map(
    (stage) => server?.stages_ms[stage]?.p50 ?? null,
  );
  const rest = whole == null ? null : Math.max(0, whole - (waited ?? 0) - (pipeline ?? 0));
  /** @type {[Key, number | null | undefined][]} */
  const parts = [
    ["stats.encoding", mean(before.encoded, now.encoded)],
    ["stats.network", now.roundTrip === null ? null : now.roundTrip * 1000],
    ["stats.waited", waited],
    ["stats.pipeline", pipeline],
    ["stats.server", rest],
    ["stats.receiving", mean(before.received, now.received)],
  ];
  return parts.flatMap(([key, ms]) => (ms == null ? [] : [{ key, ms }]));
}

/** @param {Reading} before @param {Reading} now @returns {{ up: number, down: number } | null} kbit/s */
export function bitrates(before, now) {
  const ms = now.at - before.at;
  if (!(ms > 0)) return null;
  return {
    up: (8 * (now.bytesUp - before.bytesUp)) / ms,
    down: (8 * (now.bytesDown - before.bytesDown)) / ms,
  };
}

/** @param {Reading} before @param {Reading} now @returns {{ up: number | null, down: number | null }} shares, 0..1 */
export function losses(before, now) {
  const all = (now.lostDown?.all ?? 0) - (before.lostDown?.all ?? 0);
  const lost = (now.lostDown?.lost ?? 0) - (before.lostDown?.lost ?? 0);
  return { up: now.lostUp, down: all > 0 ? Math.max(0, lost / all) : null };
}

const MUCH_LOSS = 0.03; // of the packets: what repair hides no more
const FEW_FPS = 12; // below this a camera looks like a slide show
const FEW_PAINTED = 4; // a second: what a CPU paints is slow, but not this slow

/**
 * What keeps the picture from being good, if anything, worst first.
 * @param {{ loss: number | null, cameraFps: number | null, server: ServerStats | null }} numbers
 * @returns {{ key: Key, values: import("./texts.js").Values } | null}
 */
export function concern({ loss, cameraFps, server }) {
  if (loss !== null && loss >= MUCH_LOSS) {
    return { key: "concern.loss", values: { percent: Math.round(100 * loss) } };
  }
  if (cameraFps !== null && cameraFps > 0 && cameraFps < FEW_FPS) {
    return { key: "concern.camera", values: { fps: Math.round(cameraFps) } };
  }
  if (server && server.fps_in >= FEW_FPS && server.fps_out < FEW_PAINTED) {
    const values = { fps: Math.round(10 * server.fps_out) / 10, camera: Math.round(server.fps_in) };
    return { key: "concern.slow", values };
  }
  return null;
}

const BAD_READINGS = 5; // in a row: a moment of trouble is no news
const GOOD_READINGS = 5; // in a row: nor is a moment without

/** @typedef {NonNullable<ReturnType<typeof concern>>} Concern */
/** @typedef {{ concern: Concern | null, bad: number, good: number }} Worry a concern that lasts, or begins to */

/** @type {Worry} */
export const CALM = { concern: null, bad: 0, good: 0 };

/**
 * The worry after one more reading. It keeps the numbers it began with: the line that shows them is read out.
 * @param {Worry} worry @param {Concern | null} found @returns {Worry}
 */
export function worryOn(worry, found) {
  const same = found !== null && found.key === worry.concern?.key;
  if (same) return { ...worry, bad: worry.bad + 1, good: 0 };
  if (lasting(worry) && worry.good + 1 < GOOD_READINGS) return { ...worry, good: worry.good + 1 };
  return found ? { concern: found, bad: 1, good: 0 } : CALM;
}

/** What is to be shown of it. @param {Worry} worry @returns {Concern | null} */
export function lasting({ concern, bad }) {
  return bad >= BAD_READINGS ? concern : null;
}

/**
 * The points of an SVG polyline, oldest first, in a box of `width` by `height`; the largest value touches its top.
 * @param {number[]} values @param {number} most how many fit into the width @param {number} width @param {number} height
 */
export function sparkline(values, most, width, height) {
  const top = Math.max(1, ...values);
  const from = most - values.length;
  const point = (/** @type {number} */ value, /** @type {number} */ index) =>
    `${(((from + index) * width) / (most - 1)).toFixed(1)},${(height * (1 - value / top)).toFixed(1)}`;
  return values.map(point).join(" ");
}

/** @param {Sum} before @param {Sum} now @returns {number | null} milliseconds for one, of those measured since `before` */
function mean(before, now) {
  const count = now.count - before.count;
  return count > 0 ? (1000 * (now.seconds - before.seconds)) / count : null;
}
