// Whitened and discriminative FAM in the worker: their statistics, fetched when they are first needed or counted from
// the user's own images; the form for who has chosen none; and mosaics.

import { fetchFile } from "./model.js";
import { Failure } from "./failure.js";

/**
 * @import { WasmLens, WasmClass } from "./wasm.js"
 * @import { StatisticsFile } from "./model.js"
 */

export class Specific {
  #lens;
  #file;
  /** The forms that rest on statistics. */
  #forms;
  /** Whether the statistics in use are the user's own. */
  #adapted = false;
  /** @type {Promise<void> | null} */
  #loading = null;

  /**
   * @param {WasmLens} lens
   * @param {StatisticsFile | null} file the statistics that come with the model
   */
  constructor(lens, file) {
    this.#lens = lens;
    this.#file = file;
    /** @type {import("./types.js").Choice[]} */
    const choices = lens.choices();
    const forms = choices.find(({ kind }) => kind === "form")?.values ?? [];
    this.#forms = new Set(forms.filter(({ needs }) => needs.includes("statistics")).map(({ name }) => name));
  }

  /** The forms for who has chosen none, for one class and for several. */
  get usualForms() {
    return [this.#lens.usualForm(1), this.#lens.usualForm(2)];
  }

  /**
   * Gives the options with the usual form, if they name none and what they ask for has one, and fetches the statistics
   * that they then need.
   * @param {{form?: string, method?: string, against?: unknown}} options
   * @param {WasmClass[]} classes
   */
  async settle(options, classes) {
    const { form, method = "fam", against } = options;
    const hasForm = form !== undefined || method !== "fam" || against;
    const settled = hasForm ? options : { ...options, form: this.#lens.usualForm(classes.length) };
    await this.need([settled]);
    return settled;
  }

  /**
   * Fetches the model's statistics, once, if the options ask for a form that needs them.
   * @param {{form?: string}[]} options
   */
  async need(options) {
    const needed = options.some(({ form }) => form && this.#forms.has(form));
    if (!needed || this.#lens.statistics() || !this.#file) return;
    this.#loading ??= this.#load(this.#file);
    try {
      await this.#loading;
    } finally {
      this.#loading = null;
    }
  }

  /** @param {StatisticsFile} file */
  async #load(file) {
    const bytes = "bytes" in file ? file.bytes : await fetchFile(file.url, file.sha256, "statistics");
    this.#lens.setStatistics(bytes);
  }

  /** What the statistics in use rest on; null while there are none, or they have not been needed yet. */
  describe() {
    const found = this.#lens.statistics();
    return found && { ...found, adapted: this.#adapted };
  }

  /**
   * Uses the statistics of a file; those of the model again without one.
   * @param {Uint8Array | null} bytes
   */
  set(bytes) {
    this.#lens.setStatistics(bytes ?? new Uint8Array());
    this.#adapted = bytes !== null;
    return this.describe();
  }

  /**
   * Counts images and uses their statistics.
   * @param {number[]} ids
   * @param {string} source
   * @param {(loaded: number) => Promise<void>} between told after each image; throws if nobody waits any more
   */
  async adapt(ids, source, between) {
    if (ids.length === 0) throw new Failure("argument", "Statistics need images: none were given.");
    this.#lens.startCounting();
    for (const [done, id] of ids.entries()) {
      await this.#lens.count(id);
      await between(done + 1);
    }
    const bytes = this.#lens.finishCounting(source);
    return { ...this.set(bytes), bytes };
  }

  /**
   * @param {WasmClass[]} classes
   * @param {object[]} options
   * @param {number} side
   */
  async mosaic(classes, options, side) {
    const { rgba, width, height, ...found } = await this.#lens.mosaic(classes, options, side);
    return { ...found, width, height, picture: new ImageData(rgba, width, height) };
  }
}
