// One worker and one model for all elements of a page that want the same; gone some time after the last of them.

import { createLens } from "../famlens.js";

/**
 * @import { Lens, LensOptions, Progress } from "../famlens.js"
 *
 * @typedef {{lens: Promise<Lens>, users: number, watch: Set<(progress: Progress) => void>, end: ReturnType<typeof
 *   setTimeout> | undefined}} Shared
 */

/** Milliseconds that a model stays without an element: pages that change what they show need it again at once. */
const STAY = 20_000;

/** By the model, or what names it, then by engine. @type {Map<unknown, Map<string, Shared>>} */
const all = new Map();

/**
 * Takes the lens of a model; call `leave` when it is not needed any more.
 * @param {LensOptions["model"]} model
 * @param {LensOptions["backend"]} backend
 * @param {(progress: Progress) => void} onProgress
 * @returns {{lens: Promise<Lens>, leave: () => void}}
 */
export function share(model, backend, onProgress) {
  const key = typeof model === "string" || model instanceof URL ? new URL(model, document.baseURI).href : model;
  /** @type {Map<string, Shared>} */
  const engines = all.get(key) ?? new Map();
  all.set(key, engines);
  const name = backend ?? "auto";
  const shared = engines.get(name) ?? start(model, backend);
  engines.set(name, shared);
  clearTimeout(shared.end);
  shared.users += 1;
  shared.watch.add(onProgress);
  const drop = () => {
    if (engines.get(name) === shared) engines.delete(name);
    if (engines.size === 0) all.delete(key);
  };
  // The next one tries again.
  shared.lens.catch(drop);
  let here = true;
  const leave = () => {
    if (!here) return;
    here = false;
    shared.users -= 1;
    shared.watch.delete(onProgress);
    if (shared.users > 0) return;
    shared.end = setTimeout(() => {
      drop();
      shared.lens.then(
        lens => lens.dispose(),
        () => {},
      );
    }, STAY);
  };
  return { lens: shared.lens, leave };
}

/** Forgets a lens that has crashed, for everybody. @param {Promise<Lens>} lens */
export function discard(lens) {
  for (const engines of all.values())
    for (const [name, shared] of engines) if (shared.lens === lens) engines.delete(name);
}

/**
 * @param {LensOptions["model"]} model
 * @param {LensOptions["backend"]} backend
 * @returns {Shared}
 */
function start(model, backend) {
  /** @type {Shared["watch"]} */
  const watch = new Set();
  const onProgress = (/** @type {Progress} */ progress) => {
    for (const one of watch) one(progress);
  };
  return { lens: createLens({ model, backend, onProgress }), users: 0, watch, end: undefined };
}
