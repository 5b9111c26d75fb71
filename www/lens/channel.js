// The page's side of the messages to the worker: calls with an id, cancelled by a signal, rejected together when the worker ends.

/** @import { LensInfo, Progress } from "../famlens.js" */

export class Channel {
  #worker;
  #onProgress;
  #onInfo;
  #error;
  /** @type {Error | null} */
  #dead = null;
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (reason: unknown) => void}>} */
  #waiting = new Map();

  /**
   * @param {Worker} worker
   * @param {object} handlers
   * @param {(progress: Progress) => void} handlers.onProgress
   * @param {(info: LensInfo) => void} handlers.onInfo
   * @param {(text: string) => Error} handlers.ended the error of a worker that ended by itself, saying `text`
   * @param {(code: string, message: string) => Error} handlers.error
   */
  constructor(worker, { onProgress, onInfo, ended, error }) {
    this.#worker = worker;
    this.#onProgress = onProgress;
    this.#onInfo = onInfo;
    this.#error = error;
    worker.addEventListener("message", (event) => this.#receive(event.data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.fail(ended(event.message ?? ""));
    });
  }

  /**
   * @param {string} op
   * @param {object} args
   * @param {{signal?: AbortSignal, urgent?: boolean, transfer?: Transferable[]}} [options]
   * @returns {Promise<any>}
   */
  call(op, args, options = {}) {
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
        resolve: (value) => (done(), resolve(value)),
        reject: (reason) => (done(), reject(reason)),
      });
      this.#worker.postMessage({ id, op, args, urgent: options.urgent ?? false }, options.transfer ?? []);
    });
  }

  /**
   * A message nobody waits for.
   * @param {string} op
   * @param {object} args
   */
  tell(op, args) {
    if (!this.#dead) this.#worker.postMessage({ id: 0, op, args });
  }

  /**
   * Ends the worker; whoever waits is told why.
   * @param {Error} error
   */
  fail(error) {
    if (this.#dead) return;
    this.#dead = error;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** @param {{id: number, value?: unknown, error?: {code: string, message: string}, progress?: Progress, info?: LensInfo}} message */
  #receive(message) {
    if (message.progress) return this.#onProgress(message.progress);
    if (message.info) return this.#onInfo(message.info);
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (!message.error) return waiting?.resolve(message.value);
    const error = this.#error(message.error.code, message.error.message);
    if (message.error.code === "crashed") this.fail(error);
    waiting?.reject(error);
  }
}
