// The way to a worker and back: requests with an id, answers, what the worker tells without being asked, and when to
// give it up.

import { LensError } from "./errors.js";
import { startWorker, watchPolicy } from "./start.js";

/**
 * @import { LensInfo, Patience, Progress } from "./types.js"
 *
 * @typedef {{signal?: AbortSignal, urgent?: boolean, transfer?: Transferable[]}} AskOptions
 * @typedef {{resolve: (value: any) => void, reject: (reason: unknown) => void}} Waiting
 */

/** Seconds; see {@link Patience}. @type {Required<Patience>} */
export const PATIENCE = { start: 60, download: 30, call: 120, silence: 300 };

/**
 * How long, in seconds, a worker that has been silent for too long has to answer when it is asked whether it lives: a
 * machine that slept needs it.
 */
const GRACE = 10;

export class Channel {
  #worker;
  #onProgress;
  #onInfo;
  #patience;
  /** @type {LensError | null} */
  #dead = null;
  #next = 1;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  /** Whether the worker has ever said anything: its scripts have been loaded then. */
  #runs = false;
  /** When the worker last said anything, or was last asked something after it had nothing to do. */
  #heard = performance.now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #endWatch;

  /**
   * Starts a worker.
   * @param {{worker?: string | null, patience?: Patience, onProgress?: (progress: Progress) => void, onInfo?: (info:
   *   LensInfo) => void}} options `worker` is the address of its module where it is not the one beside this one
   */
  constructor({ worker = null, patience, onProgress, onInfo }) {
    this.#onProgress = onProgress;
    this.#onInfo = onInfo;
    this.#patience = { ...PATIENCE, ...patience };
    this.#endWatch = watchPolicy(error => {
      if (!this.#runs) this.end(error);
    });
    this.#worker = startWorker(worker);
    this.#worker.addEventListener("message", event => this.#receive(event.data));
    this.#worker.addEventListener("messageerror", () =>
      this.end(new LensError("crashed", "What the engine answered could not be read. Start it again.")),
    );
    this.#worker.addEventListener("error", event => {
      event.preventDefault();
      this.#failed(event.message ?? "");
    });
  }

  /**
   * @param {string} op
   * @param {object} args
   * @param {AskOptions} [options]
   * @returns {Promise<any>}
   */
  ask(op, args, options = {}) {
    const { signal } = options;
    if (this.#dead) return Promise.reject(this.#dead);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(id);
        this.#worker.postMessage({ id, op: "cancel", args: {} });
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      const done = () => signal?.removeEventListener("abort", abort);
      if (this.#waiting.size === 0) this.#heard = performance.now();
      this.#waiting.set(id, {
        resolve(value) {
          done();
          resolve(value);
        },
        reject(reason) {
          done();
          reject(reason);
        },
      });
      this.#watch();
      try {
        this.#worker.postMessage({ id, op, args, urgent: options.urgent ?? false }, options.transfer ?? []);
      } catch (error) {
        // Something in the arguments cannot be sent.
        this.#waiting.delete(id);
        done();
        reject(error);
      }
    });
  }

  /** Lets go of an image; nobody waits for that. @param {number} id */
  release(id) {
    if (!this.#dead) this.#worker.postMessage({ id: 0, op: "release", args: { id } });
  }

  /** Ends the worker. What waits, and what is asked from now on, is rejected. @param {LensError} error */
  end(error) {
    if (this.#dead) return;
    this.#dead = error;
    clearTimeout(this.#timer);
    this.#endWatch();
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /**
   * @param {{id: number, value?: unknown, error?: {code: string, message: string}, progress?: Progress, info?:
   *   LensInfo}} message
   */
  #receive(message) {
    if (this.#dead) return;
    this.#runs = true;
    this.#heard = performance.now();
    if (message.progress) return this.#onProgress?.(message.progress);
    if (message.info) return this.#onInfo?.(message.info);
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (!message.error) return waiting?.resolve(message.value);
    const error = new LensError(message.error.code, message.error.message);
    if (error.code === "crashed") this.end(error);
    waiting?.reject(error);
  }

  /** The worker has met an error that nothing in it caught. @param {string} text */
  #failed(text) {
    // Once its scripts run, what ends the worker is a fault of the program: a panic of the wasm arrives here, while a
    // model loads as well.
    if (this.#runs) return this.end(crashed(text));
    const why = text && ` (${text})`;
    this.end(new LensError("network", `The program could not be loaded${why}. Check the connection and try again.`));
  }

  /** Looks, as long as anything waits, whether the worker still says something now and then. */
  #watch() {
    if (this.#timer !== undefined) return;
    const limit = 1000 * (this.#runs ? this.#patience.silence : this.#patience.start);
    const due = Math.max(0, this.#heard + limit - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#dead || this.#waiting.size === 0) return;
      if (performance.now() < this.#heard + 1000 * (this.#runs ? this.#patience.silence : this.#patience.start))
        return this.#watch();
      this.#askWhetherItLives();
    }, due);
  }

  #askWhetherItLives() {
    const before = this.#heard;
    const limit = this.#runs ? this.#patience.silence : this.#patience.start;
    this.#worker.postMessage({ id: 0, op: "alive", args: {} });
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#heard > before || this.#waiting.size === 0) return this.#watch();
      if (this.#runs) return this.end(stuck(this.#patience.silence));
      this.end(
        new LensError(
          "network",
          `The program did not start within ${this.#patience.start} seconds. Check the connection and try again.`,
        ),
      );
    }, 1000 * Math.min(GRACE, limit));
  }
}

/** @param {string} text */
const crashed = text =>
  new LensError(
    "crashed",
    `The engine stopped unexpectedly (${text || "without a word"}). Start it again; your images are kept.`,
  );

/** @param {number} seconds */
const stuck = seconds =>
  new LensError(
    "crashed",
    `The engine has not answered for ${seconds} seconds and was ended. Start it again; your images are kept.`,
  );
