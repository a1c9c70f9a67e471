// The duration of a WebM recording. MediaRecorder writes a file before it knows how long that becomes, so players show
// no length and cannot seek. Here the head of the file gets a Duration (RFC 9559, section 5.1.2) of eight bytes, so that
// it can be written once at the beginning and over itself at the end. Pure.
// Libraries for this want the whole file in memory, which a recording that is streamed to disk must not need.

const EBML = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const INFO = 0x1549a966;
const TIMESTAMP_SCALE = 0x2ad7b1;
const DURATION = 0x4489;
const NS_PER_MS = 1e6;

/** @typedef {{ id: number, size: number, start: number, at: number }} Element `at`: where it begins, `start`: its data */

/**
 * The head of the file with `ms` as its duration; as long for each `ms`. The very bytes where they are not understood:
 * the recording plays without a length, too.
 * @param {Uint8Array<ArrayBuffer>} head the first bytes of the file, as long as you like
 * @param {number} ms
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function withDuration(head, ms) {
  const ebml = element(head, 0);
  const segment = ebml?.id === EBML ? element(head, ebml.start + ebml.size) : null;
  // A segment of known size would have to grow with its Info; no recorder writes one.
  if (segment?.id !== SEGMENT || segment.size !== Number.POSITIVE_INFINITY) return head;
  const info = find(head, INFO, segment.start, head.length);
  const end = info ? info.start + info.size : head.length + 1;
  if (!info || end > head.length) return head;

  const scale = find(head, TIMESTAMP_SCALE, info.start, end);
  const ticks = (ms * NS_PER_MS) / (scale ? number(head, scale) : NS_PER_MS);
  const old = find(head, DURATION, info.start, end);
  const before = head.subarray(info.start, old?.at ?? end);
  const after = old ? head.subarray(old.start + old.size, end) : new Uint8Array();

  const added = new Uint8Array(11);
  added.set([0x44, 0x89, 0x88]); // its id, its size of eight bytes
  new DataView(added.buffer).setFloat64(3, ticks);
  const size = before.length + added.length + after.length;
  const opening = new Uint8Array(12); // the id of Info, its size as eight bytes
  new DataView(opening.buffer).setUint32(0, INFO);
  new DataView(opening.buffer).setUint32(8, size);
  opening[4] = 0x01;
  return joined(head.subarray(0, info.at), opening, before, added, after, head.subarray(end));
}

/** @param {Uint8Array} bytes @param {number} id @param {number} from @param {number} to @returns {Element | null} */
function find(bytes, id, from, to) {
  let at = from;
  while (at < to) {
    const found = element(bytes, at);
    if (found === null || found.id === id) return found;
    at = found.start + found.size;
  }
  return null;
}

/** @param {Uint8Array} bytes @param {number} at @returns {Element | null} null where there is none */
function element(bytes, at) {
  const idLength = Math.clz32(bytes[at] ?? 0) - 23;
  const sizeAt = at + idLength;
  const sizeLength = Math.clz32(bytes[sizeAt] ?? 0) - 23;
  const start = sizeAt + sizeLength;
  if (idLength > 4 || sizeLength > 8 || start > bytes.length) return null;
  const id = big(bytes, at, idLength);
  const size = big(bytes, sizeAt, sizeLength) - 2 ** (7 * sizeLength);
  return { id, size: size === 2 ** (7 * sizeLength) - 1 ? Number.POSITIVE_INFINITY : size, start, at };
}

/** @param {Uint8Array} bytes @param {Element} from */
function number(bytes, { start, size }) {
  return big(bytes, start, Math.min(size, 8)) || NS_PER_MS;
}

/** @param {Uint8Array} bytes @param {number} at @param {number} length */
function big(bytes, at, length) {
  let value = 0;
  for (let index = 0; index < length; index++) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}

/** @param {...Uint8Array} parts */
function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
