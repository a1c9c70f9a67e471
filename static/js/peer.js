// One RTCPeerConnection: the camera track out, the painted track in, the DataChannel `control` both ways.
// One offer, one answer, no trickle; a lost peer is closed and replaced by a new one, never mended.

import { lostProblem, noLinkProblem } from "./errors.js";
import { gathered } from "./gathering.js";
import { read } from "./stats.js";

const DISCONNECTED_LIMIT_MS = 3_000; // ICE often comes back by itself within this time

/** Implements `Link` of `client.js`. */
export class Peer {
  #connection;
  #sender;
  #channel;
  #limiting = Promise.resolve(); // a change of the sender's parameters has to wait for the one before
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience;

  /**
   * @param {MediaStreamTrack} track
   * @param {RTCIceServer[]} iceServers
   * @param {import("./client.js").LinkHooks} hooks
   */
  constructor(track, iceServers, { onMessage, onResult, onLost }) {
    const connection = new RTCPeerConnection({ iceServers });
    this.#connection = connection;
    this.#sender = connection.addTransceiver(track, { direction: "sendrecv" }).sender;
    this.#channel = connection.createDataChannel("control");
    this.#channel.onmessage = (event) => onMessage(event.data);
    this.#channel.onclose = () => onLost(lostProblem());
    connection.ontrack = (event) => onResult(new MediaStream([event.track]));
    let opened = false;
    connection.onconnectionstatechange = () => {
      clearTimeout(this.#patience);
      const state = connection.connectionState;
      if (state === "connected") opened = true;
      if (state === "failed") onLost(opened ? lostProblem() : noLinkProblem());
      if (state === "disconnected") {
        this.#patience = setTimeout(() => onLost(lostProblem()), DISCONNECTED_LIMIT_MS);
      }
    };
  }

  static get supported() {
    return "RTCPeerConnection" in globalThis;
  }

  /** @returns {Promise<string>} the SDP of a complete offer */
  async offer() {
    await this.#connection.setLocalDescription();
    await gathered(this.#connection);
    return this.#connection.localDescription?.sdp ?? "";
  }

  /** @param {RTCSessionDescriptionInit} answer */
  accept(answer) {
    return this.#connection.setRemoteDescription({ type: answer.type, sdp: answer.sdp ?? "" });
  }

  /** @param {MediaStreamTrack} track takes the place of the one being sent, without a new offer */
  replaceTrack(track) {
    return this.#sender.replaceTrack(track);
  }

  /** @param {number | null} fps */
  limitRate(fps) {
    this.#limiting = this.#limiting.then(() => this.#limitRate(fps)).catch(() => {}); // then more come than needed
  }

  /** @param {number | null} fps */
  #limitRate(fps) {
    const parameters = this.#sender.getParameters();
    for (const encoding of parameters.encodings) {
      if (fps === null) delete encoding.maxFramerate;
      else encoding.maxFramerate = fps;
    }
    return this.#sender.setParameters(parameters);
  }

  /** @param {string} text @returns {boolean} whether there was an open channel to send it on */
  send(text) {
    if (this.#channel.readyState !== "open") return false;
    this.#channel.send(text);
    return true;
  }

  /** @returns {Promise<import("./stats.js").Reading>} */
  async read() {
    return read((await this.#connection.getStats()).values());
  }

  close() {
    clearTimeout(this.#patience);
    this.#channel.onclose = null;
    this.#channel.onmessage = null;
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }
}
