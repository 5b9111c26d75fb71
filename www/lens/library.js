// The images a session holds: each content once, counted by how many sources hold it.

import { contentKey } from "./digest.js";
import { download } from "./download.js";
import { Failure } from "./failure.js";

/**
 * @import { WasmImage, WasmLens, WasmView } from "./wasm.js"
 * @typedef {{id: number, name: string, width: number, height: number}} Held
 */

/** More pixels than this are not read through a canvas: they would take a gigabyte. */
const MOST_PIXELS = 100e6;

/** Longer sides than this no canvas has in every browser; past it some draw nothing, without a word. */
const MOST_SIDE = 32767;

/** How many images are read at once: a folder of photos would otherwise lie in memory as a whole. */
const AT_ONCE = 6;

export class Library {
  #lens;
  /** @type {Map<string, Promise<Held>>} */
  #byContent = new Map();
  /** @type {Map<number, {held: Held, key: string, count: number}>} */
  #byId = new Map();

  /** @param {WasmLens} lens */
  constructor(lens) {
    this.#lens = lens;
  }

  #free = AT_ONCE;
  /** @type {(() => void)[]} */
  #waiting = [];

  /**
   * @param {string} name
   * @param {string | Blob | ImageBitmap | ImageData} source
   * @param {<T>(run: () => Promise<T>) => Promise<T>} inTurn runs what needs the session when nothing else does
   * @returns {Promise<Held>}
   */
  async open(name, source, inTurn) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((/** @type {(value: void) => void} */ resolve) => this.#waiting.push(resolve));
    try {
      return await this.#open(name, source, inTurn);
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  /**
   * @param {string} name
   * @param {string | Blob | ImageBitmap | ImageData} source
   * @param {<T>(run: () => Promise<T>) => Promise<T>} inTurn
   * @returns {Promise<Held>}
   */
  async #open(name, source, inTurn) {
    const { key, add } = await read(this.#lens, name, source);
    let held = this.#byContent.get(key);
    if (!held) {
      held = inTurn(add).then(({ id, width, height }) => ({ id, name, width, height }));
      this.#byContent.set(key, held);
      held.catch(() => this.#byContent.delete(key));
    }
    const image = await held;
    const entry = this.#byId.get(image.id);
    if (entry) entry.count += 1;
    else this.#byId.set(image.id, { held: image, key, count: 1 });
    return { ...image, name };
  }

  /**
   * One holder less.
   * @param {number} id
   * @returns {boolean} whether it was the last one, and the image is gone
   */
  release(id) {
    const entry = this.#byId.get(id);
    if (!entry || --entry.count > 0) return false;
    this.#byId.delete(id);
    this.#byContent.delete(entry.key);
    this.#lens.removeImage(id);
    return true;
  }

  /**
   * Takes an image that the session made by itself under its wing.
   * @param {Held} held
   */
  adopt(held) {
    this.#byId.set(held.id, { held, key: `made ${held.id}`, count: 1 });
    return held;
  }

  /**
   * A random view of an image, which is not kept.
   * @param {string} name
   * @param {string | Blob | ImageBitmap | ImageData} source
   * @param {number} seed
   * @param {object} allowed
   * @param {<T>(run: () => Promise<T>) => Promise<T>} inTurn
   */
  async view(name, source, seed, allowed, inTurn) {
    const { rgba, width, height, view } = await (await read(this.#lens, name, source)).view(seed, allowed, inTurn);
    return { image: new ImageData(rgba, width, height), view, seed };
  }

  /** What tells the content of an image from others: the SHA-256 of its file. @param {number} id */
  content(id) {
    this.size(id);
    return /** @type {{key: string}} */ (this.#byId.get(id)).key;
  }

  /** @param {number} id */
  size(id) {
    const entry = this.#byId.get(id);
    if (!entry) throw new Failure("argument", "The image was forgotten; open it again.");
    return entry.held;
  }
}

/**
 * @typedef {<T>(run: () => Promise<T>) => Promise<T>} InTurn
 * @typedef {{key: string, add: () => Promise<WasmImage>, view: (seed: number, allowed: object, inTurn: InTurn) =>
 *   Promise<WasmView>}} Content
 *
 * @param {WasmLens} lens
 * @param {string} name
 * @param {string | Blob | ImageBitmap | ImageData} source
 * @returns {Promise<Content>}
 */
async function read(lens, name, source) {
  if (source instanceof ImageData) return pixels(lens, name, source);
  if (source instanceof ImageBitmap) {
    const data = draw(name, source);
    source.close();
    return pixels(lens, name, data);
  }
  const bytes =
    typeof source === "string" ? (await download(source, { what: "image" })).bytes : await readBlob(source, name);
  return {
    key: await contentKey(bytes),
    add: () =>
      orByBrowser(
        () => lens.addImage(name, bytes),
        ({ width, height, data }) => lens.addPixels(name, width, height, data),
      ),
    view: (seed, allowed, inTurn) =>
      inTurn(() =>
        orByBrowser(
          () => lens.view(name, bytes, seed, allowed),
          ({ width, height, data }) => lens.viewPixels(width, height, data, seed, allowed),
        ),
      ),
  };

  /**
   * @template T
   * @param {() => T} ours
   * @param {(image: ImageData) => T} theirs
   * @returns {Promise<T>}
   */
  async function orByBrowser(ours, theirs) {
    try {
      return ours();
    } catch (error) {
      if (!(/** @type {any} */ (error).browserCanTry)) throw error;
      return theirs(await decodeByBrowser(source instanceof Blob ? source : new Blob([bytes]), name));
    }
  }
}

/**
 * @param {WasmLens} lens
 * @param {string} name
 * @param {ImageData} image
 * @returns {Promise<Content>}
 */
async function pixels(lens, name, { width, height, data }) {
  const content = await contentKey(/** @type {BufferSource} */ (data));
  return {
    key: `${width}x${height}:${content}`,
    add: async () => lens.addPixels(name, width, height, data),
    view: (seed, allowed, inTurn) => inTurn(async () => lens.viewPixels(width, height, data, seed, allowed)),
  };
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
async function readBlob(blob, name) {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch {
    throw new Failure(
      "image",
      `${name} can no longer be read: it was moved or changed since it was chosen. Choose it again.`,
    );
  }
}

/**
 * AVIF and the like, by the browser's own decoder. What only an <img> element reads is left to the page: code
 * "element".
 * @param {Blob} blob
 * @param {string} name
 */
async function decodeByBrowser(blob, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Failure("element", `${name} is left to the page.`);
  }
  const image = draw(name, bitmap);
  bitmap.close();
  return image;
}

/**
 * @param {string} name
 * @param {ImageBitmap} bitmap
 */
function draw(name, bitmap) {
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS || Math.max(width, height) > MOST_SIDE)
    throw new Failure(
      "too_large",
      `${name} has ${width} x ${height} pixels, too many to hold in memory here. Make it smaller first.`,
    );
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  );
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}
