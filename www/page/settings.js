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

/**
 * @param {string} name
 * @param {string | null} value
 */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`famlens.${name}`);
    else localStorage.setItem(`famlens.${name}`, value);
  } catch {
    // Storage is off; the choice lasts for this visit.
  }
}
