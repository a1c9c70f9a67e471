// What the numbers under the video mean: frames a second really shown, and a latency added up from measured parts.
// Pure but for the frame counter, which watches a <video>.

/** @typedef {import("./protocol.js").ServerStats} ServerStats */
/** @typedef {{ seconds: number, count: number }} Sum of so many measured times */
/** @typedef {{ at: number, roundTrip: number | null, encoded: Sum, received: Sum, bytes: number }} Reading */
/** @typedef {{ label: string, ms: number }} Part */

/** Counts the frames that a video really shows. */
export class FrameCounter {
  /** @type {number[]} when they came, the last second of them */
  #times = [];

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    const count = (/** @type {number} */ now) => {
      this.#times.push(now);
      this.#forget(now);
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback?.(count);
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
    bytes: 0,
  };
  for (const entry of report) {
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
      reading.roundTrip = entry.currentRoundTripTime;
    } else if (entry.type === "outbound-rtp" && entry.kind === "video") {
      reading.encoded = { seconds: entry.totalEncodeTime ?? 0, count: entry.framesEncoded ?? 0 };
    } else if (entry.type === "inbound-rtp" && entry.kind === "video") {
      const seconds =
        entry.totalProcessingDelay ?? (entry.jitterBufferDelay ?? 0) + (entry.totalDecodeTime ?? 0);
      reading.received = { seconds, count: entry.framesDecoded ?? 0 };
      reading.bytes = entry.bytesReceived ?? 0;
      reading.at = entry.timestamp;
    }
  }
  return reading;
}

/**
 * The measured parts of the way from camera to screen, in its order. Parts without a measurement are left out;
 * the server's is its median from the arrival of a picture to the sending of the painted one.
 * @param {Reading} before @param {Reading} now @param {ServerStats | null} server
 * @returns {Part[]}
 */
export function latencyParts(before, now, server) {
  /** @type {[string, number | null][]} */
  const parts = [
    ["Encoding here", mean(before.encoded, now.encoded)],
    ["Network, both ways", now.roundTrip === null ? null : now.roundTrip * 1000],
    ["Server", server?.stages_ms.server?.p50 ?? null],
    ["Receiving and decoding here", mean(before.received, now.received)],
  ];
  return parts.flatMap(([label, ms]) => (ms === null ? [] : [{ label, ms }]));
}

/** @param {Reading} before @param {Reading} now @returns {number | null} kbit/s of the result */
export function bitrate(before, now) {
  return now.at > before.at ? (8 * (now.bytes - before.bytes)) / (now.at - before.at) : null;
}

/** @param {Sum} before @param {Sum} now @returns {number | null} milliseconds for one, of those measured since `before` */
function mean(before, now) {
  const count = now.count - before.count;
  return count > 0 ? (1000 * (now.seconds - before.seconds)) / count : null;
}
