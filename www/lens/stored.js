// All that famlens keeps in the browser: what it is, and how to be rid of it. docs/privacy.md says the same in words.

import { LensError, bounded, lensError } from "./errors.js";
import { EMBEDDINGS, MODELS, answered, countRows, deleteDatabase, LIMITS } from "./storage.js";

/**
 * One kind of thing that is kept: how many there are, where, and what is in it. `count` is null, with `error` saying
 * why, where the browser does not tell.
 * @typedef {{kind: "models" | "embeddings" | "statistics" | "settings", where: string, says: string, count: number |
 *   null, error: string | null}} Stored
 */

/** What the names of famlens' entries begin with, in the browser's caches and in its local storage. */
const CACHE_PREFIX = "famlens-";
const SETTING_PREFIX = "famlens.";

const ownCaches = async () =>
  globalThis.caches ? (await caches.keys()).filter(name => name.startsWith(CACHE_PREFIX)) : [];

const ownSettings = () => Object.keys(localStorage).filter(name => name.startsWith(SETTING_PREFIX));

async function cachedFiles() {
  const kept = await Promise.all((await ownCaches()).map(async name => (await caches.open(name)).keys()));
  return kept.flat().length;
}

async function deleteCaches() {
  await Promise.all((await ownCaches()).map(name => caches.delete(name)));
}

/** @type {(Pick<Stored, "kind" | "where" | "says"> & {count: () => Promise<number>, clear: () => Promise<void>})[]} */
const KINDS = [
  {
    kind: "models",
    where: `IndexedDB, ${MODELS.database}`,
    says: "Models of your own that you asked this browser to keep: the file and its settings.",
    count: () => countRows(MODELS),
    clear: () => deleteDatabase(MODELS.database),
  },
  {
    kind: "embeddings",
    where: `IndexedDB, ${EMBEDDINGS.database}`,
    says:
      "What galleries computed from your images: embedding, difference hash, SHA-256, size and file name. The images " +
      "are not kept.",
    count: () => countRows(EMBEDDINGS),
    clear: () => deleteDatabase(EMBEDDINGS.database),
  },
  {
    kind: "statistics",
    where: "Cache storage, famlens-statistics",
    says: "Statistics adapted to your images, with the name of the folder they came from.",
    count: cachedFiles,
    clear: deleteCaches,
  },
  {
    kind: "settings",
    where: "Local storage, names that begin with famlens.",
    says: "Choices on this page: theme, engine, model, colours, kind of map.",
    count: async () => ownSettings().length,
    clear: async () => {
      for (const name of ownSettings()) localStorage.removeItem(name);
    },
  },
];

/**
 * Lists all that famlens keeps in this browser for pages of this origin. Storage that does not answer is given up after
 * some seconds and says so.
 * @returns {Promise<Stored[]>}
 */
export function stored() {
  return bounded([], () =>
    Promise.all(
      KINDS.map(async ({ kind, where, says, count }) => {
        try {
          return { kind, where, says, count: await answered(count(), LIMITS.answer), error: null };
        } catch (error) {
          return { kind, where, says, count: null, error: lensError(error).message };
        }
      }),
    ),
  );
}

/**
 * Deletes all that famlens keeps in this browser for pages of this origin. Open galleries and lenses go on, and keep
 * anew what comes from now on.
 * @returns {Promise<void>}
 * @throws {LensError} `storage` naming what could not be deleted; the rest is gone
 */
export function forgetEverything() {
  return bounded([], deleteAll);
}

async function deleteAll() {
  const results = await Promise.allSettled(KINDS.map(({ clear }) => answered(clear(), 2 * LIMITS.answer)));
  const left = KINDS.filter((_, at) => results[at].status === "rejected").map(({ kind }) => kind);
  if (left.length === 0) return;
  const failed = /** @type {PromiseRejectedResult} */ (results.find(({ status }) => status === "rejected"));
  throw new LensError(
    "storage",
    `This browser did not delete the ${left.join(" and the ")}: ${failed.reason.message} Close other tabs of this ` +
      "page and try again, or clear its data in the browser's settings.",
    failed.reason,
  );
}
