// Which image each source has become, and how long it stays with the worker. What has not been used for longest goes
// first; it is opened again when it is needed, from the same source. Nothing here holds a source: an image whose file
// nobody has any more is let go of as well.

import { absolute } from "./host.js";

/** @import { LensImage } from "./types.js" */

/** So many images stay although nothing uses them at present; more if single calls use more. */
const KEPT = 48;
/** A call on more images than this, such as an evaluation, says nothing about the next one. */
const MOST = 512;

/**
 * @param {unknown} image
 * @returns {image is LensImage}
 */
export function isHandle(image) {
  return (
    typeof image === "object" &&
    image !== null &&
    typeof (/** @type {any} */ (image).id) === "number" &&
    !(image instanceof Element)
  );
}

/** An image on its way to the worker or there. */
class Opened {
  /** @type {number | null} its number with the worker, once it is there */
  id = null;
  gone = false;
  /** Whether it stays until it is forgotten. */
  stays = false;

  /**
   * @param {string | null} url
   * @param {WeakRef<object> | null} source
   * @param {Promise<LensImage>} image
   */
  constructor(url, source, image) {
    this.url = url;
    this.source = source;
    this.image = image;
  }
}

export class Sources {
  /** Files, blobs and bitmaps, which never change. @type {WeakMap<object, Opened>} */
  #bySource = new WeakMap();
  /** @type {Map<string, Opened>} */
  #byUrl = new Map();
  /**
   * What each image of the worker was opened from; several sources may have one content.
   * @type {Map<number, Set<Opened>>}
   */
  #byId = new Map();
  /** All that may go, least recently used first. @type {Set<Opened>} */
  #recent = new Set();
  /** The sources of images that were handed out, to open them again. @type {WeakMap<LensImage, string | object>} */
  #handedOut = new WeakMap();
  /** How many calls are using images at present, and what they have used; nothing goes meanwhile. */
  #calls = 0;
  /** @type {Set<Opened>} */
  #used = new Set();
  /** How many images calls have used of late. */
  #usual = 0;
  #release;
  /** @type {FinalizationRegistry<Opened>} */
  #collected = new FinalizationRegistry(opened => this.#drop(opened));

  /** @param {(id: number) => void} release lets the worker forget an image */
  constructor(release) {
    this.#release = release;
  }

  /**
   * @param {string | object} image
   * @param {(source: any) => Promise<LensImage>} start opens a source, if it is not open yet
   * @returns {Promise<LensImage>}
   */
  async open(image, start) {
    if (isHandle(image)) {
      const source = this.#byId.has(image.id) ? null : this.#handedOut.get(image);
      this.#touch(image.id);
      return source ? this.open(source, start) : image;
    }
    const url = typeof image === "string" || image instanceof URL ? absolute(image) : null;
    const source = /** @type {object} */ (image);
    const lasts = url !== null || source instanceof Blob || source instanceof ImageBitmap;
    const found = url !== null ? this.#byUrl.get(url) : lasts ? this.#bySource.get(source) : undefined;
    const opened = found ?? this.#start(url, lasts && url === null ? source : null, start(image));
    this.#use(opened);
    // A copy for each: who has one keeps its source with it, which this class must not do by itself.
    const handle = { ...(await opened.image) };
    if (lasts) this.#handedOut.set(handle, url ?? source);
    return handle;
  }

  /** Keeps an image that the session made by itself, until it is forgotten. @param {LensImage} image */
  adopt(image) {
    const opened = new Opened(null, null, Promise.resolve(image));
    opened.stays = true;
    this.#arrived(opened, image.id);
  }

  /** @param {string | object} image */
  async forget(image) {
    if (isHandle(image)) {
      this.#handedOut.delete(image);
      for (const opened of [...(this.#byId.get(image.id) ?? [])]) this.#drop(opened);
      return;
    }
    const url = typeof image === "string" || image instanceof URL ? absolute(image) : null;
    const opened = url !== null ? this.#byUrl.get(url) : this.#bySource.get(/** @type {object} */ (image));
    if (opened) this.#drop(opened);
  }

  /**
   * Drops no image before `work` is done.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async whileUsing(work) {
    this.#calls += 1;
    try {
      return await work();
    } finally {
      this.#calls -= 1;
      this.#dropIdle();
    }
  }

  /**
   * @param {string | null} url
   * @param {object | null} source
   * @param {Promise<LensImage>} image
   */
  #start(url, source, image) {
    const opened = new Opened(url, source && new WeakRef(source), image);
    if (url !== null) this.#byUrl.set(url, opened);
    if (source) {
      this.#bySource.set(source, opened);
      this.#collected.register(source, opened, opened);
    }
    this.#follow(opened);
    return opened;
  }

  /**
   * In a function of its own, since what a closure could see lives as long as the closure: the source, above.
   * @param {Opened} opened
   */
  #follow(opened) {
    opened.image.then(
      ({ id }) => this.#arrived(opened, id),
      () => this.#drop(opened),
    );
  }

  /** @param {Opened} opened @param {number} id */
  #arrived(opened, id) {
    // It may have been forgotten before it was there.
    if (opened.gone) return this.#release(id);
    opened.id = id;
    const same = this.#byId.get(id) ?? new Set();
    // Pixels without an identity are known by their content: the worker counts how often it gave an image out, and one
    // holder is enough.
    if (!opened.url && !opened.source) for (const other of same) if (!other.url && !other.source) this.#drop(other);
    same.add(opened);
    this.#byId.set(id, same);
    if (!opened.stays) this.#recent.add(opened);
  }

  /** @param {Opened} opened */
  #use(opened) {
    if (this.#calls > 0) this.#used.add(opened);
    if (this.#recent.delete(opened)) this.#recent.add(opened);
  }

  /** @param {number} id */
  #touch(id) {
    for (const opened of this.#byId.get(id) ?? []) this.#use(opened);
  }

  #dropIdle() {
    if (this.#calls > 0) return;
    this.#usual = Math.max(Math.min(this.#used.size, MOST), Math.floor(this.#usual * 0.9));
    this.#used.clear();
    // Twice what a call uses, so that two sets of images can be asked about in turn.
    let over = this.#recent.size - Math.max(KEPT, 2 * this.#usual);
    for (const opened of this.#recent) {
      if (over-- <= 0) break;
      this.#drop(opened);
    }
  }

  /** @param {Opened} opened */
  #drop(opened) {
    if (opened.gone) return;
    opened.gone = true;
    this.#recent.delete(opened);
    this.#collected.unregister(opened);
    if (opened.url !== null && this.#byUrl.get(opened.url) === opened) this.#byUrl.delete(opened.url);
    const source = opened.source?.deref();
    if (source && this.#bySource.get(source) === opened) this.#bySource.delete(source);
    if (opened.id === null) return;
    const same = this.#byId.get(opened.id);
    same?.delete(opened);
    if (same?.size === 0) this.#byId.delete(opened.id);
    this.#release(opened.id);
  }
}
