// Plain texts for what goes wrong on the page's side, in the same shape as the server's errors: what happened, what
// to do, a code. Pure; errors of the server bring their own texts.

/** @typedef {import("./protocol.js").Problem} Problem */

/** @type {Record<string, [message: string, fix: string]>} DOMException names of getUserMedia */
const CAMERA = {
  NotAllowedError: [
    "The camera is blocked for this page.",
    "Click the camera icon in the address bar, choose Allow, then press Start again. If it stays blocked, allow the browser in your system's privacy settings.",
  ],
  SecurityError: [
    "This browser does not let pages use the camera.",
    "Allow cameras in the browser's settings, or use the test card.",
  ],
  NotFoundError: ["No camera was found.", "Plug one in and press Start again, or use the test card."],
  NotReadableError: [
    "Another program is using the camera.",
    "Close the call or recording that holds it, then press Start again.",
  ],
  AbortError: [
    "The camera stopped while it was being opened.",
    "Unplug it, plug it in again, then press Start.",
  ],
  OverconstrainedError: [
    "This camera is not there any more.",
    "Choose another camera, or use the test card.",
  ],
};

/** @param {string} code @param {string} message @param {string} fix @param {boolean} [retryable] @returns {Problem} */
function problem(code, message, fix, retryable = false) {
  return { code, message, fix, fields: [], retryable };
}

/** @param {unknown} error what getUserMedia threw */
export function cameraProblem(error) {
  const name = error instanceof Error ? error.name : "Error";
  const [message, fix] = CAMERA[name] ?? [
    "The camera could not be opened.",
    "Try another camera, or use the test card.",
  ];
  return problem(`camera/${name}`, message, fix);
}

/** Whether the test card would help. @param {Problem} problem */
export function isCameraProblem({ code }) {
  return code.startsWith("camera/");
}

/** @param {{ origin: string, port: string }} location */
export function insecureProblem({ origin, port }) {
  return problem(
    "camera/insecure_context",
    `Browsers give a camera to secure pages only, and ${origin} is not one.`,
    `On the server's own machine open http://localhost${port && `:${port}`}; from elsewhere use https. The test card works here too.`,
  );
}

/** @param {string} origin */
export function unreachableProblem(origin) {
  return problem(
    "unreachable",
    `The server at ${origin} does not answer.`,
    "Check that it is running and that this device is online.",
    true,
  );
}

export function unsupportedProblem() {
  return problem(
    "unsupported",
    "This browser has no WebRTC.",
    "Use a current Chrome, Edge, Firefox or Safari.",
  );
}

export function lostProblem() {
  return problem("lost", "The connection to the server was lost.", "", true);
}

/** The server answered, but no picture or message ever came through. */
export function noLinkProblem() {
  return problem(
    "ice_failed",
    "The video link to the server could not be opened.",
    "The server answers, so a firewall is probably blocking UDP between this device and the server.",
    true,
  );
}

export function cameraEndedProblem() {
  return problem(
    "camera/ended",
    "The camera was unplugged or taken away.",
    "Choose another camera and press Start.",
  );
}

export function newerServerProblem() {
  return problem("protocol_version", "This page is older than the server.", "Reload the page.");
}
