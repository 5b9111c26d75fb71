// Photos as the page has them: from files, and those that come with it.

/** @import { Photo } from "./state.js" */

/** Where the photos that come with the page are. */
export const EXAMPLES = new URL("../examples/", import.meta.url).href;

let made = 0;

/** A name for something on this page that nothing else has. */
export const key = () => `k${(made += 1)}`;

/**
 * @param {File | Blob} file
 * @returns {Photo}
 */
export function photoOf(file) {
  const name = file instanceof File && file.name ? file.name : "pasted image";
  const src = URL.createObjectURL(file);
  return { key: key(), name, source: file, src, small: src, example: null, size: null };
}

/** How large the photos that come with the page are, once that has been loaded. @type {Examples["sizes"]} */
let sizes = {};

/** A photo that comes with the page, as small as rows of photos show it. @param {string} file */
export const smallOf = file => new URL(`small/${file}`, EXAMPLES).href;

/** The same by the photo's own address; an address from elsewhere stays as it is. @param {string} url */
export const smallAt = url => (url.startsWith(EXAMPLES) ? smallOf(url.slice(EXAMPLES.length)) : url);

/** Frees the address of a photo that is shown nowhere any more. @param {Photo} photo */
export function letGo({ src }) {
  if (src.startsWith("blob:")) URL.revokeObjectURL(src);
}

/**
 * @param {string} file name of a photo that comes with the page
 * @returns {Photo}
 */
export function examplePhoto(file) {
  const url = new URL(file, EXAMPLES).href;
  const [width, height] = sizes[file] ?? [0, 0];
  const size = width > 0 ? { width, height } : null;
  return { key: key(), name: file, source: url, src: url, small: smallOf(file), example: file, size };
}

/**
 * A set of classes to try. `says` is what it shows beyond that, if it shows more.
 * @typedef {{name: string, classes: {name: string, supports: string[]}[], query: string, queries: string[], says?:
 *   string}} ExampleSet
 * @typedef {{sets: ExampleSet[], boxes: Record<string, [number, number, number, number]>, sizes:
 *   Record<string, [number, number]>,
 * attributions: {file: string, title: string, author: string, licence: string, source: string, changes?: string}[]}}
 * Examples
 */

/** @type {Promise<Examples | null> | null} */
let loading = null;

/** What comes with the page; null if it could not be loaded, for which the page works without it. */
export function examples() {
  loading ??= fetch(new URL("examples.json", EXAMPLES))
    .then(answer => answer.json())
    .then((/** @type {Examples} */ found) => {
      ({ sizes } = found);
      return found;
    })
    .catch(() => null);
  return loading;
}
