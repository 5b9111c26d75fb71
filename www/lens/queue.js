import { Failure } from "./failure.js";

/**
 * A piece of work; `run` is told how to ask whether anybody still waits. `steps` says that it has many steps and tells
 * of none.
 * @typedef {{id: number, urgent?: boolean, steps?: boolean, run: (cancelled: () => boolean) => unknown}} Job
 */

/** So much longer may a job of many steps take without a sign. */
const STEPS = 10;

/**
 * Runs requests one after another. Urgent ones (what the pointer waits for) overtake; cancelled ones are dropped, and
 * stuck ones are given up.
 */
export class Queue {
  /** How many seconds a job may wait for something, a GPU say, without a sign that it gets on. */
  patience = 120;
  /** How many seconds the running job has waited. */
  #waited = 0;
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

  /** The running job has got on. */
  progress() {
    this.#waited = 0;
  }

  /**
   * Gives a job up that only waits. Ticks are counted and not the time, since nothing ticks while the job computes or
   * the machine sleeps.
   * @template T
   * @param {number} limit
   * @param {() => Promise<T>} run
   * @returns {Promise<T>}
   */
  #inTime(limit, run) {
    this.#waited = 0;
    /** @type {ReturnType<typeof setInterval>} */
    let timer;
    const late = new Promise((_, reject) => {
      timer = setInterval(() => {
        this.#waited += 1;
        if (this.#waited < limit) return;
        reject(
          new Failure(
            "crashed",
            `The engine has waited for an answer for ${limit} seconds and was ended. Start it again; your images ` +
              "are kept.",
          ),
        );
      }, 1000);
    });
    return Promise.race([run(), /** @type {Promise<T>} */ (late)]).finally(() => clearInterval(timer));
  }

  async #drain() {
    if (this.#busy) return;
    this.#busy = true;
    for (let entry = this.#jobs.shift(); entry; entry = this.#jobs.shift()) {
      const { id, run } = entry.job;
      this.#running = id;
      try {
        const limit = this.patience * (entry.job.steps ? STEPS : 1);
        entry.resolve(await this.#inTime(limit, async () => run(() => this.#cancelled.has(id))));
      } catch (error) {
        entry.reject(error);
      }
      this.#cancelled.delete(id);
      this.#running = 0;
    }
    this.#busy = false;
  }
}
