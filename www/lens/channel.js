// The way to the worker and back: requests with an id, answers, and what the worker tells without being asked.

/**
 * @import { LensError, LensInfo, Progress } from "../famlens.js"
 *
 * @typedef {{signal?: AbortSignal, urgent?: boolean, transfer?: Transferable[]}} AskOptions
 */

export class Channel {
  #worker;
  #tells;
  /** @type {LensError | null} */
  #dead = null;
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (reason: unknown) => void}>} */
  #waiting = new Map();

  /**
   * @param {Worker} worker
   * @param {{error: (code: string, message: string) => LensError, progress: (progress: Progress) => void, info: (info: LensInfo) => void,
   *   loaded: () => boolean}} tells makes errors, takes what the worker tells, and knows whether it has loaded
   */
  constructor(worker, tells) {
    this.#worker = worker;
    this.#tells = tells;
    worker.addEventListener("message", event => this.#receive(event.data));
    worker.addEventListener("error", event => {
      event.preventDefault();
      const text = event.message ?? "";
      // Once it has been loaded, what ends the worker is a fault of the program: a panic of the wasm arrives here.
      if (tells.loaded())
        this.end(
          tells.error("crashed", `The engine stopped unexpectedly (${text}). Start it again; your images are kept.`),
        );
      else this.end(tells.error("network", `The program could not be loaded. ${text}`.trim()));
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
      this.#worker.postMessage({ id, op, args, urgent: options.urgent ?? false }, options.transfer ?? []);
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
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** @param {{id: number, value?: unknown, error?: {code: string, message: string}, progress?: Progress, info?: LensInfo}} message */
  #receive(message) {
    if (message.progress) return this.#tells.progress(message.progress);
    if (message.info) return this.#tells.info(message.info);
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (!message.error) return waiting?.resolve(message.value);
    const error = this.#tells.error(message.error.code, message.error.message);
    if (error.code === "crashed") this.end(error);
    waiting?.reject(error);
  }
}
