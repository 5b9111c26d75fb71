// Which image each source has become, and how long it lives.

import { absolute } from "./host.js";

/** @typedef {{id: number, name: string, width: number, height: number}} Handle */

/** How many images without an identity of their own (canvases, pixel arrays) stay embedded. */
const KEPT_PIXELS = 64;

/**
 * @param {unknown} image
 * @returns {image is Handle}
 */
export function isHandle(image) {
  return (
    typeof image === "object" &&
    image !== null &&
    typeof (/** @type {any} */ (image).id) === "number" &&
    !(image instanceof Element)
  );
}

/** @param {unknown} image */
export function urlOf(image) {
  return typeof image === "string" || image instanceof URL ? absolute(image) : null;
}

export class Sources {
  /** Files, blobs and bitmaps, which never change. @type {WeakMap<object, Promise<Handle>>} */
  #bySource = new WeakMap();
  /** @type {Map<string, Promise<Handle>>} */
  #byUrl = new Map();
  /** What may change, so that it is opened each time and known by its content. Oldest first. @type {Set<number>} */
  #pixels = new Set();
  /** How each image is lost again: one function for every source that led to it. @type {Map<number, (() => boolean)[]>} */
  #origins = new Map();
  /** How many calls are using images at present; none is dropped meanwhile. */
  #using = 0;
  #release;
  /** @type {FinalizationRegistry<number>} */
  #collected;

  /** @param {(id: number) => void} release */
  constructor(release) {
    this.#release = release;
    this.#collected = new FinalizationRegistry(release);
  }

  /**
   * @param {string | object} image
   * @param {() => Promise<Handle>} start opens it, if it is not open yet
   * @returns {Promise<Handle>}
   */
  open(image, start) {
    const url = urlOf(image);
    if (url !== null) return this.#byUrl.get(url) ?? this.#openUrl(url, start());
    const source = /** @type {object} */ (image);
    if (source instanceof Blob || source instanceof ImageBitmap)
      return this.#bySource.get(source) ?? this.#openSource(source, start());
    const opened = start();
    opened.then(
      ({ id }) => this.#keepPixels(id),
      () => {},
    );
    return opened;
  }

  /** Keeps an image that the session made by itself, until it is forgotten. @param {number} id */
  adopt(id) {
    this.#remember(id, () => true);
  }

  /** @param {string | object} image */
  async forget(image) {
    if (isHandle(image)) {
      // Every source that led to it lets go.
      if (this.#pixels.delete(image.id)) this.#release(image.id);
      for (const lose of this.#origins.get(image.id) ?? []) if (lose()) this.#release(image.id);
      this.#origins.delete(image.id);
      return;
    }
    const url = urlOf(image);
    const source = /** @type {object} */ (image);
    const opened = url !== null ? this.#byUrl.get(url) : this.#bySource.get(source);
    if (url !== null) this.#byUrl.delete(url);
    else {
      this.#bySource.delete(source);
      this.#collected.unregister(source);
    }
    const handle = await opened?.catch(() => null);
    if (handle) this.#release(handle.id);
  }

  /**
   * Drops no image before `work` is done.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async whileUsing(work) {
    this.#using += 1;
    try {
      return await work();
    } finally {
      this.#using -= 1;
      this.#dropOldPixels();
    }
  }

  /**
   * @param {string} url
   * @param {Promise<Handle>} opened
   */
  #openUrl(url, opened) {
    this.#byUrl.set(url, opened);
    opened.then(
      ({ id }) => this.#remember(id, () => this.#byUrl.delete(url)),
      () => this.#byUrl.delete(url),
    );
    return opened;
  }

  /**
   * @param {object} source
   * @param {Promise<Handle>} opened
   */
  #openSource(source, opened) {
    this.#bySource.set(source, opened);
    const weak = new WeakRef(source);
    opened.then(
      ({ id }) => {
        // It may have been forgotten before it was there.
        if (this.#bySource.get(source) !== opened) return;
        this.#collected.register(source, id, source);
        this.#remember(id, () => {
          const still = weak.deref();
          return still !== undefined && this.#collected.unregister(still) && this.#bySource.delete(still);
        });
      },
      () => this.#bySource.delete(source),
    );
    return opened;
  }

  /** @param {number} id */
  #keepPixels(id) {
    // The worker counts how often it gave an image out; one that is here already was counted twice.
    if (this.#pixels.delete(id)) this.#release(id);
    this.#pixels.add(id);
    this.#dropOldPixels();
  }

  #dropOldPixels() {
    if (this.#using > 0) return;
    for (const id of this.#pixels) {
      if (this.#pixels.size <= KEPT_PIXELS) break;
      this.#pixels.delete(id);
      this.#release(id);
    }
  }

  /**
   * @param {number} id
   * @param {() => boolean} lose
   */
  #remember(id, lose) {
    this.#origins.set(id, [...(this.#origins.get(id) ?? []), lose]);
  }
}
