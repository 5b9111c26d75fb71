// What the browser remembers between visits: tastes, never images.

/**
 * @param {string} name
 * @returns {string | null}
 */
export function recall(name) {
  try {
    return localStorage.getItem(`famlens.${name}`);
  } catch {
    return null;
  }
}

/** Whether the user has had everything deleted: nothing is kept again on this visit. */
let forgotten = false;

/** Keeps no more settings on this visit, so that what was deleted does not come back by itself. */
export function forgetSettings() {
  forgotten = true;
}

/**
 * @param {string} name
 * @param {string | null} value
 */
export function remember(name, value) {
  if (forgotten && value !== null) return;
  try {
    if (value === null) localStorage.removeItem(`famlens.${name}`);
    else localStorage.setItem(`famlens.${name}`, value);
  } catch {
    // Storage is off; the choice lasts for this visit.
  }
}
