// Downloads that were begun before anybody asked for them, so that all files of a page are on their way at once.

import { download } from "./download.js";

/**
 * @typedef {Awaited<ReturnType<typeof download>>} Downloaded
 * @typedef {(loaded: number, total: number) => void} OnProgress
 */

/**
 * How far a download is, and who is told.
 * @typedef {{so: [loaded: number, total: number], tell: OnProgress | null}} Way
 */

/** @type {Map<string, {file: Promise<Downloaded>, way: Way}>} */
const begun = new Map();

/**
 * Begins a download; whoever asks for it with {@link fetched} gets it, with the errors that it has met.
 * @param {string} url
 * @param {string} what it is, for messages
 */
export function begin(url, what) {
  if (begun.has(url)) return;
  /** @type {Way} */
  const way = { so: [0, 0], tell: null };
  const onProgress = (/** @type {number} */ loaded, /** @type {number} */ total) => {
    way.so = [loaded, total];
    way.tell?.(loaded, total);
  };
  const file = download(url, { what, onProgress });
  // Told to whoever asks for it.
  file.catch(() => {});
  begun.set(url, { file, way });
}

/**
 * As {@link download}; a download that was begun is taken, once.
 * @param {string} url
 * @param {Parameters<typeof download>[1]} about
 * @returns {Promise<Downloaded>}
 */
export async function fetched(url, about) {
  const one = begun.get(url);
  begun.delete(url);
  if (!one) return download(url, about);
  const { size = 0, onProgress = () => {} } = about;
  one.way.tell = (loaded, total) => onProgress(loaded, size || total);
  one.way.tell(...one.way.so);
  const found = await one.file;
  // What was begun did not know how long it should be: another file, or none of it, is fetched anew.
  return size && found.bytes.length !== size ? download(url, about) : found;
}
