// A drawn picture in place of a camera: a small landscape in slow motion above colour bars, with the time on it.
// It runs on a timer, for hidden pages get no animation frames; it ends when its track is stopped.

const WIDTH = 640;
const HEIGHT = 480;
const FPS = 30;
const BARS = ["#c0c0c0", "#c0c000", "#00c0c0", "#00c000", "#c000c0", "#c00000", "#0000c0"];

/** @returns {MediaStream} */
export function startTestCard() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new Error("this browser cannot draw on a canvas");
  const stream = canvas.captureStream(FPS);
  const timer = setInterval(() => {
    if (stream.active) draw(context, performance.now() / 1000);
    else clearInterval(timer);
  }, 1000 / FPS);
  draw(context, performance.now() / 1000);
  return stream;
}

/** @param {CanvasRenderingContext2D} context @param {number} seconds */
function draw(context, seconds) {
  const sky = context.createLinearGradient(0, 0, 0, HEIGHT);
  sky.addColorStop(0, "#20407a");
  sky.addColorStop(0.7, "#f2b27a");
  context.fillStyle = sky;
  context.fillRect(0, 0, WIDTH, HEIGHT);

  const swing = Math.sin(seconds / 3);
  disc(context, WIDTH / 2 + swing * 160, 170 - Math.cos(seconds / 3) * 30, 52, "#fff3c4");
  hills(context, 300, 46, 140, seconds * 8, "#5b6f8f");
  hills(context, 350, 34, 90, seconds * 16, "#3d6b4f");
  hills(context, 395, 18, 60, seconds * 26, "#274a35");

  BARS.forEach((colour, index) => {
    context.fillStyle = colour;
    context.fillRect((index * WIDTH) / BARS.length, HEIGHT - 40, WIDTH / BARS.length + 1, 40);
  });
  context.font = "600 26px system-ui, sans-serif";
  context.fillStyle = "#ffffff";
  context.textAlign = "center"; // the middle square is what most painters take
  context.fillText("Live Diffusion test card", WIDTH / 2, 48);
  context.fillText(new Date().toLocaleTimeString(), WIDTH / 2, 82);
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} radius @param {string} colour */
function disc(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/**
 * @param {CanvasRenderingContext2D} context @param {number} level @param {number} height @param {number} length
 * @param {number} shift @param {string} colour
 */
function hills(context, level, height, length, shift, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(0, HEIGHT);
  for (let x = 0; x <= WIDTH; x += 8) {
    const turn = (x + shift) / length;
    context.lineTo(x, level - height * Math.sin(turn) * Math.cos(turn / 2.7));
  }
  context.lineTo(WIDTH, HEIGHT);
  context.fill();
}
