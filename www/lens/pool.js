// Several workers with a session of their own on the CPU, for work on many images.

import { absolute, startWorker } from "./host.js";
import { isHandle } from "./sources.js";

/**
 * @import { ImageLike, Lens } from "../famlens.js"
 * @import { WasmItem } from "./wasm.js"
 *
 * @typedef {{item: WasmItem, embedding: Float32Array}} Row
 */

/** Memory of a worker in gigabytes: the model, its work space and a large photo. */
const GIGABYTES = 0.25;
const MOST = 8;
/** So few images are embedded sooner than a worker has started. */
export const FEW = 6;

/** How many workers this machine has room for; one core is left to the page. */
export function poolSize() {
  const cores = (navigator.hardwareConcurrency || 2) - 1;
  // Browsers that do not tell the memory have four gigabytes or more of it nowadays; phones do tell.
  const memory = /** @type {any} */ (navigator).deviceMemory || 4;
  return Math.max(1, Math.min(cores, MOST, Math.floor(memory / 2 / GIGABYTES)));
}

/**
 * What a worker can be sent: a file as it is, an address in full. Null for what lives on the page alone.
 * @param {ImageLike} image
 * @returns {Blob | string | null}
 */
export function sendable(image) {
  if (image instanceof Blob) return image;
  return typeof image === "string" || image instanceof URL ? absolute(image) : null;
}

/** Whether a worker's failure says nothing of the image: only a page can read some kinds, and a worker may die. @param {unknown} error */
export const isOfWorker = error => ["element", "crashed"].includes(/** @type {any} */ (error)?.code);

/** One worker that answers one request at a time. */
export class Hand {
  #worker = startWorker();
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (reason: unknown) => void}>} */
  #waiting = new Map();
  /** @type {Promise<unknown>} */
  #ready;

  /** @param {Lens} lens */
  constructor(lens) {
    this.#worker.addEventListener("message", ({ data }) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) waiting?.reject(Object.assign(new Error(data.error.message), { code: data.error.code }));
      else waiting?.resolve(data.value);
    });
    this.#worker.addEventListener("error", event => {
      event.preventDefault();
      this.#fail(
        Object.assign(new Error(`A worker stopped unexpectedly (${event.message ?? ""}).`), { code: "crashed" }),
      );
    });
    // With all that the lens was given besides, so that both answer alike.
    const begin = [["create", { model: lens.model, backend: "cpu" }], ...lens.given.values()];
    this.#ready = Promise.all(begin.map(([op, args]) => this.#send(/** @type {string} */ (op), args)));
    this.#ready.catch(() => {});
  }

  /**
   * @param {string} op
   * @param {object} args
   * @returns {Promise<any>}
   */
  async ask(op, args) {
    await this.#ready;
    return this.#send(op, args);
  }

  /** Lets go of an image; nobody waits for that. @param {number} id */
  release(id) {
    this.#worker.postMessage({ id: 0, op: "release", args: { id } });
  }

  end() {
    this.#worker.terminate();
    this.#fail(Object.assign(new Error("The worker was ended."), { code: "disposed" }));
  }

  /** @param {unknown} error */
  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /**
   * @param {string} op
   * @param {unknown} args
   * @returns {Promise<any>}
   */
  #send(op, args) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, op, args });
    });
  }
}

/** As many workers as pay off, each with one piece of work at a time. */
export class Pool {
  #lens;
  #most;
  /** @type {Hand[]} */
  #free = [];
  /** @type {Set<Hand>} */
  #all = new Set();
  /** @type {((hand: Hand | null) => void)[]} */
  #queue = [];
  #started = 0;

  /**
   * @param {Lens} lens
   * @param {number} most
   */
  constructor(lens, most) {
    this.#lens = lens;
    this.#most = most;
  }

  /** How many requests may wait at once without any being idle. */
  get width() {
    return this.#most + 1;
  }

  /**
   * An image's row of a gallery.
   * @param {string} name
   * @param {ImageLike} image
   * @param {string} content
   * @param {object} origin
   * @returns {Promise<Row>}
   */
  async row(name, image, content, origin) {
    this.#started += 1;
    const alone = async () => {
      const { id } = await this.#lens.open(image, { name });
      return this.#lens.ask("galleryRow", { id, content, origin });
    };
    const source = isHandle(image) ? null : sendable(image);
    if (source === null || this.#started <= FEW || this.#most < 1) return alone();
    try {
      const work = async (/** @type {Hand} */ hand) => {
        const { id } = await hand.ask("open", { name, source });
        try {
          return await hand.ask("galleryRow", { id, content, origin });
        } finally {
          hand.release(id);
        }
      };
      return await this.use(work, alone);
    } catch (error) {
      if (isOfWorker(error)) return alone();
      throw error;
    }
  }

  /**
   * Does a piece of work on the next worker that is free, or another one in its place if the pool has been ended.
   * @template T
   * @param {(hand: Hand) => Promise<T>} work
   * @param {() => Promise<T>} otherwise
   * @returns {Promise<T>}
   */
  async use(work, otherwise) {
    const hand = await this.#take();
    if (!hand) return otherwise();
    try {
      return await work(hand);
    } finally {
      this.#give(hand);
    }
  }

  /** Ends all workers; the next request starts new ones. */
  end() {
    for (const hand of this.#all) hand.end();
    this.#all.clear();
    this.#free = [];
    this.#started = 0;
    for (const waiting of this.#queue.splice(0)) waiting(null);
  }

  /** @returns {Promise<Hand | null>} */
  #take() {
    const free = this.#free.pop();
    if (free) return Promise.resolve(free);
    if (this.#all.size < this.#most) {
      const hand = new Hand(this.#lens);
      this.#all.add(hand);
      return Promise.resolve(hand);
    }
    return new Promise(resolve => this.#queue.push(resolve));
  }

  /** @param {Hand} hand */
  #give(hand) {
    if (!this.#all.has(hand)) return;
    const waiting = this.#queue.shift();
    if (waiting) waiting(hand);
    else this.#free.push(hand);
  }
}
