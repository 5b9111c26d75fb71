// The worker's side of galleries: the embeddings lie in the wasm, and rows come from the session.

import { Failure } from "./failure.js";

/**
 * @import { Library } from "./library.js"
 * @import { Origin, WasmDuplicates, WasmGalleries, WasmGallery, WasmItem, WasmLens } from "./wasm.js"
 */

/**
 * About how many comparisons are made before others get their turn, some tenths of a second's; adding an image counts
 * as so many.
 */
const AT_ONCE = 2_000_000;
const OF_AN_IMAGE = 5000;

/**
 * @param {() => {lens: WasmLens, library: Library, galleries: WasmGalleries}} session
 * @returns {Record<string, (args: any, cancelled: () => boolean) => unknown>}
 */
export function galleryOperations(session) {
  /** @type {Map<number, {gallery: WasmGallery, origin: Origin}>} */
  const open = new Map();
  /**
   * Searches for near-duplicates under way.
   * @type {Map<number, {gallery: number, search: WasmDuplicates, done: number}>}
   */
  const searches = new Map();
  let made = 0;

  /** @param {number} gallery */
  const of = gallery => {
    const found = open.get(gallery);
    if (!found) throw new Failure("argument", "The gallery was closed; make a new one.");
    return found;
  };

  /** @param {number} search */
  const endSearch = search => {
    searches.get(search)?.search.free();
    searches.delete(search);
  };

  /** @param {number} gallery */
  const endSearches = gallery => {
    for (const [search, of] of searches) if (of.gallery === gallery) endSearch(search);
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
      endSearches(gallery);
      open.get(gallery)?.gallery.free();
      open.delete(gallery);
    },

    /** Of an image that is open here: for few images, and where there is no other worker. */
    galleryRow: ({ id, content, origin }) => session().lens.galleryRow(id, content, origin),

    galleryPush: ({ gallery, rows }) =>
      rows.map((/** @type {{item: WasmItem, embedding: Float32Array}} */ { item, embedding }) =>
        of(gallery).gallery.push(item, embedding),
      ),

    galleryRemove({ gallery, indices }) {
      of(gallery).gallery.remove(Uint32Array.from(indices));
      // Places have moved.
      endSearches(gallery);
    },

    async galleryRank({ gallery, query, top, rule }) {
      const { lens, library } = session();
      const { gallery: rows, origin } = of(gallery);
      const begun = performance.now();
      const { item, embedding } = await lens.galleryRow(query, library.content(query), origin);
      const embedded = performance.now();
      const hits = rows.rank(item, embedding, top, rule);
      const likeness = rows.likeness(embedding, top);
      return { hits, likeness, ms: { embed: embedded - begun, rank: performance.now() - embedded } };
    },

    galleryDuplicates({ gallery, rule }) {
      made += 1;
      searches.set(made, { gallery, search: of(gallery).gallery.search(rule), done: 0 });
      return made;
    },

    /** A part of a search: each is a request of its own, so that others, a ranking say, come in between. */
    galleryDuplicatesStep({ search }) {
      const found = searches.get(search);
      if (!found)
        throw new Failure("argument", "Images were taken out of the gallery; look for near-duplicates again.");
      const { gallery } = of(found.gallery);
      found.done = found.search.step(gallery, Math.max(1, Math.floor(AT_ONCE / (OF_AN_IMAGE + found.done))));
      return {
        done: found.done,
        total: gallery.len(),
        groups: found.done === gallery.len() ? found.search.groups() : null,
      };
    },

    galleryDuplicatesEnd: ({ search }) => endSearch(search),

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
