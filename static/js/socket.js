// The way without WebRTC: JPEG pictures and JSON over one WebSocket. One picture is under way at a time and always
// the newest, so a slow line costs pictures, never latency. The result is a stream, as a peer's is.

import { lostProblem, noSocketProblem } from "./errors.js";
import { decode } from "./protocol.js";

const LONGEST_SIDE = 1280; // pixels of a picture that is sent: more than any painter takes
const QUALITY = 0.85; // of JPEG, 0..1: no blocks to be seen, some 60 kB for 640 x 480
const ANSWER_LIMIT_MS = 3_000; // a picture without an answer is given up after this, and the next one sent
const LEAST_INTERVAL_MS = 1_000; // also a still or hidden source sends: the server must know that we are here

/** @typedef {import("./stats.js").Sum} Sum */

/** Implements `Link` of `client.js`. */
export class Socket {
  #socket;
  #hooks;
  #input = newVideo();
  #shrunk = new OffscreenCanvas(2, 2);
  #output = document.createElement("canvas"); // never in the page: only its stream is shown
  #fresh = false;
  /** @type {number | null} when the picture that is under way was taken */
  #sentAt = null;
  #beat;
  /** @type {import("./protocol.js").ProcessedFrame | null} what the next binary message is */
  #announced = null;
  #stream = this.#output.captureStream();
  #shown = false;
  #bytes = { up: 0, down: 0 };
  /** @type {{ encoded: Sum, received: Sum }} */
  #sums = { encoded: { seconds: 0, count: 0 }, received: { seconds: 0, count: 0 } };
  /** @type {number | null} seconds on the network, of the last picture */
  #roundTrip = null;

  /**
   * @param {[url: string, protocols: string[]]} address
   * @param {MediaStreamTrack} track
   * @param {import("./client.js").LinkHooks} hooks
   */
  constructor([url, protocols], track, hooks) {
    this.#hooks = hooks;
    this.#socket = new WebSocket(url, protocols);
    this.#socket.binaryType = "blob";
    let opened = false;
    this.#socket.onopen = () => {
      opened = true;
      hooks.onOpen?.();
    };
    this.#socket.onclose = () => hooks.onLost(opened ? lostProblem() : noSocketProblem());
    this.#socket.onmessage = ({ data }) => (data instanceof Blob ? this.#show(data) : this.#hear(data));
    this.#watch();
    this.#beat = setInterval(() => this.#take(), LEAST_INTERVAL_MS);
    this.replaceTrack(track);
  }

  static get supported() {
    return "WebSocket" in globalThis && "OffscreenCanvas" in globalThis;
  }

  /** @param {MediaStreamTrack} track */
  async replaceTrack(track) {
    this.#input.srcObject = new MediaStream([track]);
    await this.#input.play().catch(() => {}); // a newer source came, or this link was closed
  }

  /** Nothing to do: the server answers no faster than it wants pictures. */
  limitRate() {}

  /** @param {string} text @returns {boolean} whether there was an open socket to send it on */
  send(text) {
    if (this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** @returns {Promise<import("./stats.js").Reading>} */
  async read() {
    const { encoded, received } = this.#sums;
    return {
      at: performance.now(),
      roundTrip: this.#roundTrip,
      encoded: { ...encoded },
      received: { ...received },
      bytesUp: this.#bytes.up,
      bytesDown: this.#bytes.down,
      lostUp: null,
      lostDown: null,
      cameraFps: null,
    };
  }

  close() {
    clearInterval(this.#beat);
    this.#socket.onclose = null;
    this.#socket.onmessage = null;
    this.#socket.onopen = null;
    this.#socket.close();
    this.#input.srcObject = null;
    for (const track of this.#stream.getTracks()) track.stop();
  }

  #watch() {
    const onFrame = () => {
      this.#take();
      if (this.#input.srcObject) this.#input.requestVideoFrameCallback(onFrame);
    };
    this.#input.requestVideoFrameCallback?.(onFrame);
  }

  #take() {
    this.#fresh = true;
    this.#pump();
  }

  /** Sends the newest picture if there is one, and nothing is under way. */
  async #pump() {
    const now = performance.now();
    const busy = this.#sentAt !== null && now - this.#sentAt < ANSWER_LIMIT_MS;
    const { videoWidth, videoHeight } = this.#input;
    if (busy || !this.#fresh || !videoWidth || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#fresh = false;
    this.#sentAt = now;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    const [width, height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
    if (this.#shrunk.width !== width || this.#shrunk.height !== height) {
      [this.#shrunk.width, this.#shrunk.height] = [width, height];
    }
    this.#shrunk.getContext("2d", { alpha: false })?.drawImage(this.#input, 0, 0, width, height);
    const picture = await this.#shrunk.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    add(this.#sums.encoded, performance.now() - now);
    this.#bytes.up += picture.size;
    this.#sentAt = performance.now();
    this.#socket.send(picture);
  }

  /** @param {string} text */
  #hear(text) {
    const message = decode(text);
    if (message?.type === "processed_frame") this.#announced = message.data;
    else this.#hooks.onMessage(text);
    // A picture that was refused has no other answer.
    if (message?.type === "error" && message.id === undefined) this.#next();
  }

  /** @param {Blob} picture */
  async #show(picture) {
    const came = performance.now();
    const total = this.#announced?.timings_ms.total;
    if (this.#sentAt !== null && total !== undefined) {
      this.#roundTrip = Math.max(0, came - this.#sentAt - total) / 1000;
    }
    this.#bytes.down += picture.size;
    this.#next();
    const image = await createImageBitmap(picture).catch(() => null); // not a picture: the next one will be
    if (!image) return;
    const { width, height } = image;
    if (this.#output.width !== width || this.#output.height !== height) {
      [this.#output.width, this.#output.height] = [width, height];
    }
    this.#output.getContext("2d", { alpha: false })?.drawImage(image, 0, 0);
    image.close();
    add(this.#sums.received, performance.now() - came);
    if (this.#shown) return;
    this.#shown = true;
    this.#hooks.onResult(this.#stream);
  }

  #next() {
    this.#sentAt = null;
    this.#pump();
  }
}

/** @param {Sum} sum @param {number} ms */
function add(sum, ms) {
  sum.seconds += ms / 1000;
  sum.count += 1;
}

function newVideo() {
  const video = document.createElement("video"); // never in the page: it only decodes
  video.muted = true;
  video.playsInline = true;
  return video;
}
