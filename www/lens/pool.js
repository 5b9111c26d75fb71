// Several workers with a session of their own on the CPU, for work on many images.

import { Channel } from "./channel.js";
import { LensError } from "./errors.js";
import { absolute } from "./host.js";
import { isHandle } from "./sources.js";
import { programAt } from "./where.js";

/**
 * @import { Lens } from "./lens.js"
 * @import { ImageLike } from "./types.js"
 * @import { WasmItem } from "./wasm.js"
 *
 * @typedef {{item: WasmItem, embedding: Float32Array}} Row
 */

/**
 * Memory of a worker in bytes: the program with a large photo, and so many times the model's file while that is read
 * (measured: docs/reliability.md).
 */
const PROGRAM = 120e6;
const TIMES_THE_FILE = 3.5;
/** The part of the machine's memory that the workers and the lens may take together. */
const PART = 1 / 4;
const MOST = 8;
/** So few images are embedded sooner than a worker has started. */
export const FEW = 6;

/**
 * How many workers this machine has room for besides the lens; one core is left to the page. None where the model is
 * too large for two of it.
 * @param {number} modelBytes size of the model's file
 * @returns {number}
 */
export function poolSize(modelBytes) {
  const cores = (navigator.hardwareConcurrency || 2) - 1;
  const device = /** @type {Navigator & {deviceMemory?: number}} */ (navigator);
  // Browsers that do not tell the memory have four gigabytes or more of it nowadays; phones do tell.
  const memory = (device.deviceMemory || 4) * 1e9 * PART;
  const each = PROGRAM + TIMES_THE_FILE * modelBytes;
  return Math.max(0, Math.min(Math.max(1, cores), MOST, Math.floor((memory - each) / each)));
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

/**
 * Whether a worker's failure says nothing of the image: only a page can read some kinds, and a worker may die.
 * @param {unknown} error
 */
export const isOfWorker = error => ["element", "crashed"].includes(/** @type {any} */ (error)?.code);

/**
 * A worker with the lens's model on the CPU, and with all that the lens was given besides, so that both answer alike.
 */
export class PoolWorker {
  #channel;
  /** @type {Promise<unknown>} */
  #ready;

  /** @param {Lens} lens */
  constructor(lens) {
    const { worker, program, patience } = lens.options;
    this.#channel = new Channel({ worker: worker ? absolute(worker) : null, patience });
    const create = { model: lens.model, backend: "cpu", program: program ? absolute(program) : programAt(), patience };
    const begin = [["create", create], ...lens.given.values()];
    this.#ready = Promise.all(begin.map(([op, args]) => this.#channel.ask(/** @type {string} */ (op), Object(args))));
    this.#ready.catch(() => {});
  }

  /**
   * @param {string} op
   * @param {object} args
   * @returns {Promise<any>}
   */
  async ask(op, args) {
    await this.#ready;
    return this.#channel.ask(op, args);
  }

  /** Lets go of an image; nobody waits for that. @param {number} id */
  release(id) {
    this.#channel.release(id);
  }

  end() {
    this.#channel.end(new LensError("disposed", "The worker was ended."));
  }
}

/** As many workers as pay off, each with one piece of work at a time. */
export class Pool {
  #lens;
  #most;
  /** @type {PoolWorker[]} */
  #free = [];
  /** @type {Set<PoolWorker>} */
  #all = new Set();
  /** @type {((worker: PoolWorker | null) => void)[]} */
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
    const alone = () =>
      this.#lens.whileUsing(async () => {
        const { id } = await this.#lens.open(image, { name });
        return this.#lens.ask("galleryRow", { id, content, origin });
      });
    const source = isHandle(image) ? null : sendable(image);
    if (source === null || this.#started <= FEW || this.#most < 1) return alone();
    try {
      const work = async (/** @type {PoolWorker} */ worker) => {
        const { id } = await worker.ask("open", { name, source });
        try {
          return await worker.ask("galleryRow", { id, content, origin });
        } finally {
          worker.release(id);
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
   * @param {(worker: PoolWorker) => Promise<T>} work
   * @param {() => Promise<T>} otherwise
   * @returns {Promise<T>}
   */
  async use(work, otherwise) {
    const worker = await this.#take();
    if (!worker) return otherwise();
    let dead = false;
    try {
      return await work(worker);
    } catch (error) {
      dead = /** @type {any} */ (error)?.code === "crashed";
      throw error;
    } finally {
      if (dead) this.#bury(worker);
      else this.#give(worker);
    }
  }

  /** Ends all workers; the next request starts new ones. */
  end() {
    for (const worker of this.#all) worker.end();
    this.#all.clear();
    this.#free = [];
    this.#started = 0;
    for (const waiting of this.#queue.splice(0)) waiting(null);
  }

  /** @returns {Promise<PoolWorker | null>} */
  #take() {
    const free = this.#free.pop();
    if (free) return Promise.resolve(free);
    if (this.#all.size < this.#most) return Promise.resolve(this.#add());
    return new Promise(resolve => this.#queue.push(resolve));
  }

  #add() {
    const worker = new PoolWorker(this.#lens);
    this.#all.add(worker);
    return worker;
  }

  /** @param {PoolWorker} worker */
  #give(worker) {
    if (!this.#all.has(worker)) return;
    const waiting = this.#queue.shift();
    if (waiting) waiting(worker);
    else this.#free.push(worker);
  }

  /**
   * A worker that has crashed does nothing any more; another one takes its place if anything waits.
   * @param {PoolWorker} worker
   */
  #bury(worker) {
    worker.end();
    if (!this.#all.delete(worker)) return;
    const waiting = this.#queue.shift();
    waiting?.(this.#add());
  }
}
