// A prompt by chance: a subject-free look, from words that every painter here understands. Pure: chance is an argument.

const MEDIA = [
  "oil painting",
  "watercolor",
  "pencil sketch",
  "ink drawing",
  "woodblock print",
  "stained glass",
  "mosaic",
  "chalk drawing",
  "gouache",
  "etching",
  "cut-out collage",
  "pixel art",
  "cartoon",
  "batik",
];
const MANNERS = [
  "by van gogh",
  "by monet",
  "by hokusai",
  "by picasso",
  "by matisse",
  "by rembrandt",
  "by kandinsky",
  "by klimt",
  "by munch",
  "by degas",
  "by turner",
  "by mondrian",
];
const MOODS = [
  "at night",
  "in winter",
  "at sunset",
  "misty",
  "glowing neon",
  "in autumn",
  "dreamy",
  "stormy",
  "in spring",
  "by candlelight",
  "psychedelic",
  "vintage",
];

/** @param {() => number} chance 0 up to 1, without 1 */
export function randomPrompt(chance) {
  const one = (/** @type {string[]} */ words) => words[Math.floor(chance() * words.length)];
  const parts = [one(MEDIA), chance() < 0.6 ? one(MANNERS) : "", chance() < 0.7 ? one(MOODS) : ""];
  return parts.filter(Boolean).join(" ");
}

/** @param {number} most @param {() => number} chance */
export function randomSeed(most, chance) {
  return Math.floor(chance() * (most + 1));
}
