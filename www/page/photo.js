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
  return { key: key(), name, source: file, src: URL.createObjectURL(file), example: null };
}

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
  return { key: key(), name: file, source: url, src: url, example: file };
}

/**
 * @typedef {{name: string, classes: {name: string, supports: string[]}[], query: string, queries: string[]}} ExampleSet
 * @typedef {{sets: ExampleSet[], boxes: Record<string, [number, number, number, number]>,
 * attributions: {file: string, title: string, author: string, licence: string, source: string, changes?: string}[]}}
 * Examples
 */

/** @type {Promise<Examples | null> | null} */
let loading = null;

/** What comes with the page; null if it could not be loaded, for which the page works without it. */
export function examples() {
  loading ??= fetch(new URL("examples.json", EXAMPLES))
    .then(answer => answer.json())
    .catch(() => null);
  return loading;
}
