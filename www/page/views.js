// The views that have been mounted, by task: what the rest of the page may ask of them.

import { state } from "./state.js";

/**
 * @import { View } from "./context.js"
 * @import { Photo } from "./state.js"
 */

/** @type {Map<string, View>} */
export const mounted = new Map();

/** The view on screen, once it is loaded. */
export const view = () => mounted.get(state.view) ?? null;

/** The photos on the page, each once: those of the view on screen first. @returns {Photo[]} */
export function photosOnPage() {
  const all = [view(), ...mounted.values()].flatMap(one => one?.photos?.() ?? []);
  return [...new Map(all.map(photo => [photo.key, photo])).values()];
}
