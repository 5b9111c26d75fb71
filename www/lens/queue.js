import { Failure } from "./failure.js";

/**
 * A piece of work; `run` is told how to ask whether anybody still waits.
 * @typedef {{id: number, urgent?: boolean, run: (cancelled: () => boolean) => unknown}} Job
 */

/** Runs requests one after another. Urgent ones (what the pointer waits for) overtake; cancelled ones are dropped. */
export class Queue {
  /** @type {{job: Job, resolve: (value: unknown) => void, reject: (reason: unknown) => void}[]} */
  #jobs = [];
  #running = 0;
  #busy = false;
  /** @type {Set<number>} */
  #cancelled = new Set();

  /**
   * @param {Job} job
   * @returns {Promise<any>}
   */
  push(job) {
    return new Promise((resolve, reject) => {
      const entry = { job, resolve, reject };
      const place = job.urgent ? this.#jobs.findIndex(other => !other.job.urgent) : -1;
      if (place < 0) this.#jobs.push(entry);
      else this.#jobs.splice(place, 0, entry);
      void this.#drain();
    });
  }

  /** @param {number} id */
  cancel(id) {
    if (id === this.#running) {
      this.#cancelled.add(id);
      return;
    }
    const place = this.#jobs.findIndex(({ job }) => job.id === id);
    if (place < 0) return;
    const [entry] = this.#jobs.splice(place, 1);
    entry.reject(new Failure("cancelled", "Nobody waits for this any more."));
  }

  async #drain() {
    if (this.#busy) return;
    this.#busy = true;
    for (let entry = this.#jobs.shift(); entry; entry = this.#jobs.shift()) {
      const { id, run } = entry.job;
      this.#running = id;
      try {
        entry.resolve(await run(() => this.#cancelled.has(id)));
      } catch (error) {
        entry.reject(error);
      }
      this.#cancelled.delete(id);
      this.#running = 0;
    }
    this.#busy = false;
  }
}
