// Several workers with a session of their own on the CPU, to embed many images.

import { startWorker } from "./host.js";
import { isHandle } from "./sources.js";

/**
 * @import { Lens } from "../famlens.js"
 * @import { WasmItem } from "./wasm.js"
 *
 * @typedef {{item: WasmItem, embedding: Float32Array}} Row
 */

/** Memory of a worker in gigabytes: the model, its work space and a large photo. */
const GIGABYTES = 0.25;
const MOST = 8;
/** So few images are embedded sooner than a worker has started. */
const FEW = 6;

/** How many workers this machine has room for; one core is left to the page. */
export function poolSize() {
  const cores = (navigator.hardwareConcurrency || 2) - 1;
  // Browsers that do not tell the memory have four gigabytes or more of it nowadays; phones do tell.
  const memory = /** @type {any} */ (navigator).deviceMemory || 4;
  return Math.max(1, Math.min(cores, MOST, Math.floor(memory / 2 / GIGABYTES)));
}

/** One worker that answers one request at a time. */
class Hand {
  #worker = startWorker();
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (reason: unknown) => void}>} */
  #waiting = new Map();
  /** @type {Promise<unknown>} */
  ready;

  /** @param {Lens} lens */
  constructor(lens) {
    this.#worker.addEventListener("message", ({ data }) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) waiting?.reject(Object.assign(new Error(data.error.message), { code: data.error.code }));
      else waiting?.resolve(data.value);
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail(Object.assign(new Error(`A worker stopped unexpectedly (${event.message ?? ""}).`), { code: "crashed" }));
    });
    this.ready = this.#ask("create", { model: lens.model, backend: "cpu" });
    this.ready.catch(() => {});
  }

  /**
   * @param {string} name
   * @param {Blob | string} source
   * @param {string} content
   * @param {object} origin
   * @returns {Promise<Row>}
   */
  async row(name, source, content, origin) {
    await this.ready;
    const { id } = await this.#ask("open", { name, source });
    try {
      return await this.#ask("galleryRow", { id, content, origin });
    } finally {
      this.#worker.postMessage({ id: 0, op: "release", args: { id } });
    }
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
   * @param {object} args
   * @returns {Promise<any>}
   */
  #ask(op, args) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, op, args });
    });
  }
}

/** Embeds images on as many workers as pay off. */
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
   * @param {string} name
   * @param {import("../famlens.js").ImageLike} image
   * @param {string} content
   * @param {object} origin
   * @returns {Promise<Row>}
   */
  async row(name, image, content, origin) {
    this.#started += 1;
    const sendable = image instanceof Blob || typeof image === "string";
    if (!sendable || isHandle(image) || this.#started <= FEW || this.#most < 1) return this.#alone(name, image, content, origin);
    const hand = await this.#take();
    if (!hand) return this.#alone(name, image, content, origin);
    try {
      return await hand.row(name, typeof image === "string" ? new URL(image, document.baseURI).href : image, content, origin);
    } catch (error) {
      const { code } = /** @type {any} */ (error);
      // Only a page can read some kinds of images, and a worker that died is no fault of the image.
      if (code === "element" || code === "crashed") return this.#alone(name, image, content, origin);
      throw error;
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

  /**
   * By the lens itself.
   * @param {string} name
   * @param {import("../famlens.js").ImageLike} image
   * @param {string} content
   * @param {object} origin
   */
  async #alone(name, image, content, origin) {
    const { id } = await this.#lens.open(image, { name });
    return this.#lens.ask("galleryRow", { id, content, origin });
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
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  /** @param {Hand} hand */
  #give(hand) {
    if (!this.#all.has(hand)) return;
    const waiting = this.#queue.shift();
    if (waiting) waiting(hand);
    else this.#free.push(hand);
  }
}
