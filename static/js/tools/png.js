// Text inside a PNG file: an iTXt chunk written into it and read out of it (PNG, third edition, sections 5.3, 11.3.3.2).
// Pure: bytes in, bytes out. What comes from a stranger's file is checked: lengths, checksum, UTF-8.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHUNK_FRAME = 12; // bytes around the data of a chunk: length, type, checksum
export const MOST_TEXT_BYTES = 64 * 1024; // what a reader unfolds of one text

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** Of PNG, zip and Ethernet. @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = /** @type {number} */ (TABLE[(crc ^ byte) & 0xff]) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * The picture with one text more, right after its header. Throws a TypeError for what is no PNG.
 * @param {Uint8Array} png @param {string} keyword 1 to 79 letters of ASCII @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function withText(png, keyword, text) {
  const header = chunks(png).next().value;
  if (header?.type !== "IHDR") throw new TypeError("no PNG picture");
  const encoder = new TextEncoder();
  // Keyword, end, uncompressed, its method, no language, no translated keyword.
  const data = [...encoder.encode(keyword), 0, 0, 0, 0, 0];
  const content = encoder.encode(text);
  const chunk = new Uint8Array(CHUNK_FRAME + data.length + content.length);
  chunk.set(encoder.encode("iTXt"), 4);
  chunk.set(data, 8);
  chunk.set(content, 8 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length + content.length);
  view.setUint32(chunk.length - 4, crc32(chunk.subarray(4, -4)));
  const whole = new Uint8Array(png.length + chunk.length);
  whole.set(png.subarray(0, header.end));
  whole.set(chunk, header.end);
  whole.set(png.subarray(header.end), header.end + chunk.length);
  return whole;
}

/**
 * The first intact, uncompressed text of that keyword; null where there is none, or no PNG.
 * @param {Uint8Array} png @param {string} keyword
 */
export function textOf(png, keyword) {
  const start = [...new TextEncoder().encode(keyword), 0, 0, 0];
  for (const { type, data, intact } of chunks(png)) {
    if (type !== "iTXt" || data.length > MOST_TEXT_BYTES || !start.every((byte, at) => data[at] === byte))
      continue;
    const language = data.indexOf(0, start.length);
    const translated = language < 0 ? -1 : data.indexOf(0, language + 1);
    if (translated < 0 || !intact()) continue;
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(translated + 1));
    } catch {
      // No UTF-8: none of ours.
    }
  }
  return null;
}

/**
 * Whatever stands there as whole chunks, up to the first that is not. Nothing for what is no PNG.
 * @param {Uint8Array} png
 * @returns {Generator<{ type: string, data: Uint8Array, end: number, intact: () => boolean }, undefined>}
 */
function* chunks(png) {
  if (!SIGNATURE.every((byte, at) => png[at] === byte)) return;
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let at = SIGNATURE.length;
  while (at + CHUNK_FRAME <= png.length) {
    const start = at;
    const end = start + CHUNK_FRAME + view.getUint32(start);
    if (end > png.length) return;
    yield {
      type: String.fromCharCode(...png.subarray(start + 4, start + 8)),
      data: png.subarray(start + 8, end - 4),
      end,
      intact: () => crc32(png.subarray(start + 4, end - 4)) === view.getUint32(end - 4),
    };
    at = end;
  }
}
