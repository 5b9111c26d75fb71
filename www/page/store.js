// A part of what the page knows: values by name, and who listens to them. Listeners run once for all changes of one
// turn, of all stores together.

/** @typedef {{order: number, run: () => void}} Listener */

let made = 0;
/** Who is to be told at the end of this turn. @type {Set<Listener>} */
let waiting = new Set();

/** @param {() => void} run @returns {Listener} */
export const listener = run => ({ order: (made += 1), run });

function tell() {
  const now = [...waiting].sort((a, b) => a.order - b.order);
  waiting = new Set();
  for (const { run } of now) run();
}

/**
 * @template {Record<string, any>} T
 * @param {T} state what is known at first; read it freely, change it with `set` alone
 */
export function createStore(state) {
  /** @type {{keys: (keyof T)[], listener: Listener}[]} */
  const listeners = [];
  return {
    state,
    /** @param {Partial<T>} patch */
    set(patch) {
      Object.assign(state, patch);
      for (const { keys, listener } of listeners) {
        if (!keys.some(key => Object.hasOwn(patch, key))) continue;
        if (waiting.size === 0) queueMicrotask(tell);
        waiting.add(listener);
      }
    },
    /** Wakes the listener whenever one of these changes. @param {(keyof T)[]} keys @param {Listener} listener */
    listen(keys, listener) {
      listeners.push({ keys, listener });
    },
  };
}
