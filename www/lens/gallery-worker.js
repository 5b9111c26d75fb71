// The worker's side of galleries: the embeddings lie in the wasm, and rows come from the session.

import { Failure } from "./failure.js";

/**
 * @import { Library } from "./library.js"
 * @import { Origin, WasmGalleries, WasmGallery, WasmItem, WasmLens } from "./wasm.js"
 */

/** About how many comparisons are made before messages are let in: some tenths of a second, for most of them end early. */
const AT_ONCE = 1_000_000;

/**
 * @param {() => {lens: WasmLens, library: Library, galleries: WasmGalleries}} session
 * @param {() => Promise<unknown>} tick lets messages in
 * @returns {Record<string, (args: any, cancelled: () => boolean) => unknown>}
 */
export function galleryOperations(session, tick) {
  /** @type {Map<number, {gallery: WasmGallery, origin: Origin}>} */
  const open = new Map();
  let made = 0;

  /** @param {number} gallery */
  const of = (gallery) => {
    const found = open.get(gallery);
    if (!found) throw new Failure("argument", "The gallery was closed; make a new one.");
    return found;
  };

  return {
    galleryCreate({ options }) {
      const { lens, galleries } = session();
      const origin = lens.origin(options);
      made += 1;
      open.set(made, { gallery: galleries.create(origin), origin });
      return { gallery: made, origin };
    },

    galleryClose({ gallery }) {
      open.get(gallery)?.gallery.free();
      open.delete(gallery);
    },

    /** Of an image that is open here: for few images, and where there is no other worker. */
    galleryRow: ({ id, content, origin }) => session().lens.galleryRow(id, content, origin),

    galleryPush: ({ gallery, rows }) => rows.map((/** @type {{item: WasmItem, embedding: Float32Array}} */ { item, embedding }) => of(gallery).gallery.push(item, embedding)),

    galleryRemove: ({ gallery, indices }) => of(gallery).gallery.remove(Uint32Array.from(indices)),

    async galleryRank({ gallery, query, top, rule }) {
      const { lens, library } = session();
      const { gallery: rows, origin } = of(gallery);
      const begun = performance.now();
      const { item, embedding } = await lens.galleryRow(query, library.content(query), origin);
      const embedded = performance.now();
      const hits = rows.rank(item, embedding, top, rule);
      return { hits, ms: { embed: embedded - begun, rank: performance.now() - embedded } };
    },

    async galleryDuplicates({ gallery, rule }, cancelled) {
      const { gallery: rows } = of(gallery);
      const count = rows.len();
      const step = Math.max(1, Math.floor(AT_ONCE / Math.max(1, count)));
      const found = [];
      for (let from = 0; from < count; from += step) {
        found.push(...rows.duplicates(from, from + step, rule));
        await tick();
        if (cancelled()) throw new Failure("cancelled", "Nobody waits for this any more.");
      }
      return rows.groups(Uint32Array.from(found, ({ first }) => first), Uint32Array.from(found, ({ second }) => second));
    },

    galleryExport({ gallery }) {
      const { gallery: rows } = of(gallery);
      return { npy: rows.toNpy(), csv: rows.toCsv() };
    },

    /** Reads files of another gallery; its rows are handed back, and the page says which of them are new. */
    galleryImport({ gallery, npy, csv }) {
      const { galleries } = session();
      const read = galleries.fromFiles(new Uint8Array(npy), csv, of(gallery).origin);
      const rows = read.items().map((item, index) => ({ item, embedding: read.embedding(index) }));
      read.free();
      return rows;
    },
  };
}
