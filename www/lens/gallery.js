// Image retrieval: many images, embedded by several workers and ranked by their similarity to one.

import { contentKey } from "./digest.js";
import { download } from "./download.js";
import { EmbeddingStore } from "./embedding-store.js";
import { LensError, bounded, boundMethods } from "./errors.js";
import { absolute, nameOf } from "./host.js";
import { Pool, poolSize } from "./pool.js";

/**
 * @import { Lens } from "./lens.js"
 * @import { CallOptions, ExplainOptions, ImageLike, Likeness } from "./types.js"
 * @import { Pair } from "./pair.js"
 * @import { Row } from "./pool.js"
 * @import { Origin, WasmHit } from "./wasm.js"
 *
 * An image of a gallery. `source` is the image itself, null after an import until it is added again.
 * @typedef {{name: string, content: string, width: number, height: number, source: ImageLike | null}} GalleryItem
 *
 * @typedef {{index: number, name: string, similarity: number, duplicate: WasmHit["duplicate"], item: GalleryItem}}
 *   GalleryHit
 *
 * @typedef {{done: number, total: number, embedded: number, known: number, failed: number}} GalleryProgress
 *
 * When two images count as near-duplicates: their cosine reaches `cosine` (0.95), or it reaches `confirmed` (0.85) and
 * the difference hashes of the pictures differ in at most `bits` (8) of 64 bits, or the files are the same.
 * @typedef {{cosine?: number, confirmed?: number, bits?: number}} DuplicateRule
 *
 * @typedef {object} GalleryOptions
 * @property {string | null} [target] the layer whose pooled activation maps are the embeddings; the model's by default
 * @property {string | null} [pooling]
 * @property {number} [gemExponent]
 * @property {number} [workers] how many embed at once; by default what cores and memory allow, 0 for none beside the
 *   lens
 * @property {boolean} [keep] whether the browser keeps the embeddings (not the images) for the next visit; true by
 *   default
 */

/** More images than this make searching and drawing slow. */
export const MOST_IMAGES = 10_000;

/** How many rows go to the worker and the browser's storage in one message. */
const BATCH = 16;

/**
 * An empty gallery for the model of a lens.
 * @param {Lens} lens
 * @param {GalleryOptions} [options]
 * @returns {Promise<Gallery>}
 */
export function createGallery(lens, options = {}) {
  return bounded([options], async () => {
    const { workers = poolSize(lens.info.model.bytes), keep = true, ...choices } = options;
    const { gallery, origin } = await lens.ask("galleryCreate", { options: choices });
    // Without digests (a page that is not secure) nothing can be known again.
    const store = new EmbeddingStore(origin, keep && globalThis.crypto?.subtle !== undefined);
    return new Gallery(lens, gallery, origin, new Pool(lens, workers), store);
  });
}

/** Many embedded images. Made by {@link createGallery}. */
export class Gallery {
  /** The images, in the order of their places. @type {GalleryItem[]} */
  items = [];

  /** What makes the embeddings: model, weights, input, target layer, pooling. @type {Origin} */
  origin;

  #lens;
  #gallery;
  #pool;
  /** How many calls of `add` are under way. */
  #adding = 0;
  #store;
  /** Places by content, to know an image again. @type {Map<string, number[]>} */
  #places = new Map();

  /**
   * @internal
   * @param {Lens} lens
   * @param {number} gallery
   * @param {Origin} origin
   * @param {Pool} pool
   * @param {EmbeddingStore} store
   */
  constructor(lens, gallery, origin, pool, store) {
    this.#lens = lens;
    this.#gallery = gallery;
    this.origin = origin;
    this.#pool = pool;
    this.#store = store;
  }

  /**
   * Adds images. What was embedded before, in this visit or an earlier one, is not embedded again. After an abort what
   * is done stays.
   * @param {Iterable<File | Blob | string>} images
   * @param {{names?: string[], onProgress?: (progress: GalleryProgress) => void} & CallOptions} [options]
   * @returns {Promise<{embedded: number, known: number, failed: {name: string, message: string}[], notKept: string |
   *   null}>} `notKept` says why the browser does not keep these embeddings for the next visit, where it should and
   *   cannot
   */
  async add(images, { names, onProgress, signal } = {}) {
    const list = [...images];
    if (this.items.length + list.length > MOST_IMAGES) {
      throw new LensError(
        "argument",
        `A gallery holds at most ${MOST_IMAGES} images; there are ${this.items.length}, and ${list.length} more do ` +
          "not fit.",
      );
    }
    const result = {
      embedded: 0,
      known: 0,
      failed: /** @type {{name: string, message: string}[]} */ ([]),
      notKept: /** @type {string | null} */ (null),
    };
    /** @type {{row: Row, source: ImageLike, isNew: boolean}[]} */
    let ready = [];
    let next = 0;
    const flush = async () => {
      const batch = ready;
      ready = [];
      if (batch.length > 0) await this.#push(batch);
    };
    const tell = () =>
      onProgress?.({
        done: result.embedded + result.known + result.failed.length,
        total: list.length,
        embedded: result.embedded,
        known: result.known,
        failed: result.failed.length,
      });
    const work = async () => {
      while (next < list.length && !signal?.aborted) {
        const at = next++;
        const image = list[at];
        const name = names?.[at] ?? nameOf(image);
        try {
          const content = await contentOf(image);
          if (!this.#adopt(content, name, image)) {
            const kept = await this.#store.get(content);
            const row = kept ?? (await this.#pool.row(name, image, content, this.origin));
            if (signal?.aborted && !kept) return;
            row.item.name = name;
            ready.push({ row, source: image, isNew: kept === null });
            result[kept ? "known" : "embedded"] += 1;
          } else result.known += 1;
        } catch (error) {
          if (signal?.aborted) return;
          const { code, message } = /** @type {any} */ (error);
          // The lens has ended, and no other image fares better.
          if (code === "disposed" || code === "crashed") throw error;
          result.failed.push({ name, message });
        }
        if (ready.length >= BATCH) await flush();
        tell();
      }
    };
    tell();
    // The pool is for all that add at the same time; the last one ends it.
    this.#adding += 1;
    const abort = () => {
      if (this.#adding === 1) this.#pool.end();
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await Promise.all(Array.from({ length: Math.min(this.#pool.width, list.length) }, work));
    } finally {
      try {
        await flush();
      } finally {
        signal?.removeEventListener("abort", abort);
        this.#adding -= 1;
        if (this.#adding === 0) this.#pool.end();
      }
    }
    signal?.throwIfAborted();
    result.notKept = this.#store.failure;
    return result;
  }

  /**
   * The images most like a query, best first.
   * @param {ImageLike} query
   * @param {{top?: number, rule?: DuplicateRule} & CallOptions} [options]
   * @returns {Promise<{hits: GalleryHit[], likeness: Likeness, ms: {embed: number, rank: number}}>}
   */
  async rank(query, { top = 50, rule, signal } = {}) {
    const { hits, likeness, ms } = await this.#lens.whileUsing(async () => {
      const { id } = await this.#lens.open(query, { signal });
      const args = { gallery: this.#gallery, query: id, top, rule: rule ?? null };
      return this.#lens.ask("galleryRank", args, { signal });
    });
    return {
      ms,
      likeness,
      hits: hits.map((/** @type {WasmHit} */ hit) => ({
        ...hit,
        name: this.items[hit.index].name,
        item: this.items[hit.index],
      })),
    };
  }

  /**
   * What makes a query and an image of the gallery alike, on both sides. The image has to be there, not only its
   * embedding.
   * @param {ImageLike} query
   * @param {number} index
   * @param {ExplainOptions & CallOptions} [options]
   * @returns {Promise<Pair>}
   */
  async explain(query, index, options = {}) {
    const item = this.items[index];
    if (!item?.source)
      throw new LensError(
        "argument",
        `${item?.name ?? `Image ${index}`} is not here, only its embedding: add the image to see its map.`,
      );
    // Compared as the gallery ranks: by its own pooling, at its own layer.
    const [pooling, parameter] = this.origin.pooling.split(/\((.*)\)$/s);
    const made = {
      target: this.origin.target,
      pooling: /** @type {any} */ (pooling),
      ...(pooling === "gem" ? { gemExponent: Number(parameter) } : {}),
    };
    return this.#lens.pair({ ...made, ...options, a: query, b: item.source });
  }

  /**
   * Groups of near-duplicates, each a list of places. Takes seconds for thousands of images, during which the gallery
   * can be asked other things.
   * @param {{rule?: DuplicateRule, onProgress?: (progress: {done: number, total: number}) => void} & CallOptions}
   *   [options] `onProgress` is told how many images have been compared with all before them
   * @returns {Promise<number[][]>}
   */
  async duplicates({ rule, onProgress, signal } = {}) {
    const search = await this.#lens.ask(
      "galleryDuplicates",
      { gallery: this.#gallery, rule: rule ?? null },
      { signal },
    );
    try {
      for (;;) {
        const { done, total, groups } = await this.#lens.ask("galleryDuplicatesStep", { search }, { signal });
        onProgress?.({ done, total });
        if (groups) return groups;
      }
    } finally {
      void this.#lens.ask("galleryDuplicatesEnd", { search }).catch(() => {});
    }
  }

  /**
   * The embeddings as a NumPy file and the images as a CSV table, row by row the same; `famlens search` reads both.
   * @returns {Promise<{npy: Blob, csv: Blob}>}
   */
  async export() {
    const { npy, csv } = await this.#lens.ask("galleryExport", { gallery: this.#gallery });
    return { npy: new Blob([npy], { type: "application/octet-stream" }), csv: new Blob([csv], { type: "text/csv" }) };
  }

  /**
   * Adds what {@link Gallery.export} or `famlens index` wrote. Embeddings of another model, layer or pooling are
   * refused.
   * @param {{npy: Blob, csv: Blob}} files
   * @returns {Promise<number>} how many images are new
   */
  async import({ npy, csv }) {
    /** @type {Row[]} */
    const rows = await this.#lens.ask("galleryImport", {
      gallery: this.#gallery,
      npy: await npy.arrayBuffer(),
      csv: await csv.text(),
    });
    const fresh = rows.filter(({ item }) => !this.#places.has(item.content));
    if (this.items.length + fresh.length > MOST_IMAGES)
      throw new LensError(
        "argument",
        `A gallery holds at most ${MOST_IMAGES} images, and these would make it ${this.items.length + fresh.length}.`,
      );
    for (let from = 0; from < fresh.length; from += 256)
      await this.#push(fresh.slice(from, from + 256).map(row => ({ row, source: null, isNew: true })));
    return fresh.length;
  }

  /**
   * Takes images out by their places; those behind them move up.
   * @param {number[]} indices
   */
  async remove(indices) {
    await this.#lens.ask("galleryRemove", { gallery: this.#gallery, indices });
    const gone = new Set(indices);
    for (const index of gone)
      if (this.items[index]?.source) void this.#lens.forget(/** @type {ImageLike} */ (this.items[index].source));
    this.items = this.items.filter((_, index) => !gone.has(index));
    this.#places.clear();
    for (const [index, { content }] of this.items.entries()) this.#place(content, index);
  }

  /** How many embeddings this browser keeps, of all models together. */
  async kept() {
    return this.#store.count();
  }

  /** Forgets the embeddings that the browser keeps; this gallery stays. */
  async forgetKept() {
    return this.#store.clear();
  }

  /** Ends its workers and frees its memory. */
  async dispose() {
    this.#pool.end();
    await this.#lens.ask("galleryClose", { gallery: this.#gallery }).catch(() => {});
  }

  /**
   * Whether an image is here already. One that came without its picture, by an import, gets it.
   * @param {string} content
   * @param {string} name
   * @param {ImageLike} source
   */
  #adopt(content, name, source) {
    for (const index of this.#places.get(content) ?? []) {
      const item = this.items[index];
      if (!item.source) {
        Object.assign(item, { source });
        return true;
      }
      if (item.name === name) return true;
    }
    return false;
  }

  /** @param {{row: Row, source: ImageLike | null, isNew: boolean}[]} batch */
  async #push(batch) {
    /** @type {number[]} */
    const places = await this.#lens.ask("galleryPush", { gallery: this.#gallery, rows: batch.map(({ row }) => row) });
    for (const [at, { row, source }] of batch.entries()) {
      const { name, content, width, height } = row.item;
      this.items[places[at]] = { name, content, width, height, source };
      this.#place(content, places[at]);
    }
    await this.#store.put(batch.filter(({ isNew }) => isNew).map(({ row }) => row));
  }

  /**
   * @param {string} content
   * @param {number} index
   */
  #place(content, index) {
    this.#places.set(content, [...(this.#places.get(content) ?? []), index]);
  }
}

boundMethods(Gallery);

/** The SHA-256 of a file, as `famlens index` computes it. @param {File | Blob | string} image */
async function contentOf(image) {
  const bytes =
    typeof image === "string" ? (await download(absolute(image), { what: "image" })).bytes : await read(image);
  return contentKey(bytes);
}

/** @param {Blob} file */
async function read(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new LensError("file", "It can no longer be read: it was moved or changed since it was chosen.", error);
  }
}
