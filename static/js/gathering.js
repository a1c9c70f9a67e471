// The end of ICE gathering: offers here are complete, without trickle.

const GATHERING_LIMIT_MS = 1_000; // the server learns our address from the checks, so candidates are a courtesy

/** @param {RTCPeerConnection} connection @returns {Promise<void>} */
export function gathered(connection) {
  return new Promise((resolve) => {
    const check = () => connection.iceGatheringState === "complete" && resolve();
    setTimeout(resolve, GATHERING_LIMIT_MS);
    connection.addEventListener("icegatheringstatechange", check);
    check();
  });
}
