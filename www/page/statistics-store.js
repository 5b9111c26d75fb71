// Statistics that were adapted to images of the user's: kept between visits, by the identity of the model.

import { answered, LIMITS } from "../lens/storage.js";

/**
 * Where adapted statistics are kept, by the identity of the model. Browsers have it on secure pages only; elsewhere
 * they last for this visit.
 * @param {string} model
 */
const address = model => new URL(`../statistics/${encodeURIComponent(model)}`, import.meta.url).href;

/** @param {string} model @returns {Promise<Uint8Array | null>} */
export async function stored(model) {
  if (!globalThis.caches) return null;
  const read = async () => {
    const found = await caches.match(address(model));
    return found ? new Uint8Array(await found.arrayBuffer()) : null;
  };
  return answered(read(), LIMITS.answer).catch(() => null);
}

/**
 * Keeps statistics for the next visit, or with null forgets them.
 * @param {string} model
 * @param {Uint8Array | null} bytes
 * @throws {import("../famlens.js").LensError} `storage`
 */
export async function store(model, bytes) {
  if (!globalThis.caches) return;
  const write = async () => {
    const kept = await caches.open("famlens-statistics");
    await (bytes
      ? kept.put(address(model), new Response(/** @type {Uint8Array<ArrayBuffer>} */ (bytes)))
      : kept.delete(address(model)));
  };
  await answered(write(), LIMITS.write);
}
