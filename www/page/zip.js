// ZIP files: written without compression, since photos and models have their own; read as other programs write them,
// stored or deflated. (PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.4. The browser inflates.)

/** @typedef {Map<string, Blob>} Files contents by path, with slashes */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;

/** How large an end record is, and the longest comment that may follow it. */
const [END_SIZE, MOST_COMMENT] = [22, 65_535];

/** Sizes and places are in 32 bits. */
const MOST = 0xffff_ffff;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, at) => {
  let value = at;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = MOST;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ MOST) >>> 0;
}

/** @param {[number, 2 | 4][]} fields values and how many bytes each takes */
function record(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/**
 * One file of all of them, in their order.
 * @param {Files} files
 * @returns {Promise<Blob>}
 */
export async function zip(files) {
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let at = 0;
  for (const [path, blob] of files) {
    const name = new TextEncoder().encode(path);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    // Version 2.0, names in UTF-8, stored, no time of its own: the same content gives the same file.
    /** @type {[number, 2 | 4][]} */
    const about = [
      [20, 2],
      [0x0800, 2],
      [0, 2],
      [0, 2],
      [33, 2],
      [crc, 4],
      [blob.size, 4],
      [blob.size, 4],
      [name.length, 2],
    ];
    const head = record([[LOCAL, 4], ...about, [0, 2]]);
    directory.push(record([[CENTRAL, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), name);
    parts.push(head, name, blob);
    at += head.length + name.length + blob.size;
    if (at > MOST) throw new RangeError("This is more than 4 GB, which the file cannot hold.");
  }
  const size = directory.reduce((sum, one) => sum + one.length, 0);
  const count = files.size;
  const end = record([
    [END, 4],
    [0, 2],
    [0, 2],
    [count, 2],
    [count, 2],
    [size, 4],
    [at, 4],
    [0, 2],
  ]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** What is wrong with a file that is no ZIP file as this reads them. */
export class ZipError extends Error {}

/**
 * @param {Blob} blob
 * @param {{most?: number}} [limits] how many bytes the contents may have, all together
 * @returns {Promise<Files>}
 * @throws {ZipError}
 */
export async function unzip(blob, { most = 2e9 } = {}) {
  const tail = await viewOf(blob, Math.max(0, blob.size - END_SIZE - MOST_COMMENT), blob.size);
  let at = tail.byteLength - END_SIZE;
  while (at >= 0 && tail.getUint32(at, true) !== END) at -= 1;
  if (at < 0) throw new ZipError("it is not a ZIP file, or its end is missing");
  const count = tail.getUint16(at + 10, true);
  const [size, start] = [tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
  const directory = await viewOf(blob, start, start + size);
  /** @type {Files} */
  const files = new Map();
  let total = 0;
  let place = 0;
  for (let left = count; left > 0; left -= 1) {
    if (place + 46 > directory.byteLength || directory.getUint32(place, true) !== CENTRAL)
      throw new ZipError("its list of files is damaged");
    const field = (/** @type {number} */ offset) => directory.getUint32(place + offset, true);
    const short = (/** @type {number} */ offset) => directory.getUint16(place + offset, true);
    const [method, crc, packed, plain, local] = [short(10), field(16), field(20), field(24), field(42)];
    const path = new TextDecoder().decode(new Uint8Array(directory.buffer, place + 46, short(28)));
    place += 46 + short(28) + short(30) + short(32);
    if (path.endsWith("/")) continue;
    total += plain;
    if (total > most) throw new ZipError(`its contents are more than ${Math.round(most / 1e6)} MB`);
    files.set(path, await contentOf(blob, { path, method, crc, packed, plain, local }));
  }
  return files;
}

/** @param {Blob} blob @param {number} from @param {number} to */
async function viewOf(blob, from, to) {
  if (to > blob.size) throw new ZipError("its end is missing");
  return new DataView(await blob.slice(from, to).arrayBuffer());
}

/**
 * @param {Blob} blob
 * @param {{path: string, method: number, crc: number, packed: number, plain: number, local: number}} entry
 */
async function contentOf(blob, { path, method, crc, packed, plain, local }) {
  const head = await viewOf(blob, local, local + 30);
  if (head.getUint32(0, true) !== LOCAL) throw new ZipError(`${path} is not where the list says`);
  const from = local + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  if (from + packed > blob.size) throw new ZipError("its end is missing");
  const content = blob.slice(from, from + packed);
  if (method !== 0 && method !== 8) throw new ZipError(`${path} is compressed in a way that browsers do not know`);
  const bytes = method === 0 ? await content.arrayBuffer() : await inflate(content, plain, path);
  if (bytes.byteLength !== plain || crc32(new Uint8Array(bytes)) !== crc) throw new ZipError(`${path} is damaged`);
  return new Blob([bytes]);
}

/** No more than the list says is taken out of it. @param {Blob} content @param {number} plain @param {string} path */
async function inflate(content, plain, path) {
  const reader = content.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  // Deflate makes nothing smaller than this; more is a lie that would cost memory.
  if (plain > 1040 * content.size) throw new ZipError(`${path} is damaged`);
  const bytes = new Uint8Array(plain);
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return bytes.buffer.slice(0, at);
      if (at + value.length > plain) break;
      bytes.set(value, at);
      at += value.length;
    }
  } catch {
    // Told below.
  }
  throw new ZipError(`${path} is damaged`);
}
