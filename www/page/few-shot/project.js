// What the few-shot view adds to a project, and how it takes it back.

import { key } from "../photo.js";
import { give } from "./given.js";
import { on, set, state } from "./state.js";

/**
 * @import { Found, Keep, SavedPhoto } from "../project.js"
 *
 * `query` is a place among the queries; `given` are the files that choices rest on, by kind.
 * @typedef {{classes: {name: string, color: number, photos: SavedPhoto[]}[], queries: SavedPhoto[], query: number,
 *   beside: boolean, given: Record<string, {name: string, file: string}>}} Saved
 */

/** @param {Keep} keep @returns {Saved} */
export function save(keep) {
  const { classes, queries, query, beside, given } = state;
  return {
    classes: classes.map(({ name, color, photos }) => ({ name, color, photos: photos.map(keep.photo) })),
    queries: queries.map(keep.photo),
    query: query ? queries.indexOf(query) : -1,
    beside,
    given: Object.fromEntries(
      Object.entries(given).map(([kind, { name, bytes }]) => [kind, { name, file: keep.file(name, blobOf(bytes)) }]),
    ),
  };
}

/** The file of some bytes, the same one each time. @type {WeakMap<Uint8Array, Blob>} */
const blobs = new WeakMap();

/** @param {Uint8Array} bytes */
function blobOf(bytes) {
  const blob = blobs.get(bytes) ?? new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]);
  blobs.set(bytes, blob);
  return blob;
}

/** @param {Saved} saved @param {Found} found */
export function restore(saved, found) {
  const all = (/** @type {SavedPhoto[]} */ photos) => photos.map(found.photo).filter(photo => photo !== null);
  const queries = all(saved.queries);
  const classes = saved.classes.map(({ name, color, photos }) => ({ key: key(), name, color, photos: all(photos) }));
  const query = queries[saved.query] ?? queries[0] ?? null;
  set({ queries, query, classes, beside: saved.beside, picked: null, channel: null, opening: null });
  for (const [kind, { name, file }] of Object.entries(saved.given)) {
    const content = found.file(file);
    if (content && (kind === "head" || kind === "matrix")) void give(kind, new File([content], name));
  }
}

/** @param {() => void} run */
export const onChange = run => on(["classes", "queries", "query", "beside", "given"], run);
