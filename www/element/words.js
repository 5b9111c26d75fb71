// What <fam-lens> says. `FamLens.words` may be replaced, to translate it.

/** @import { Progress } from "../famlens.js" */

const ROWS = ["upper", "middle", "lower"];
const COLUMNS = ["left", "middle", "right"];

/**
 * Where a place is on a photo, in words.
 * @param {[number, number]} peak
 * @param {{width: number, height: number}} size
 */
function place([x, y], { width, height }) {
  const third = (/** @type {number} */ at, /** @type {number} */ of) => Math.min(2, Math.floor((3 * at) / of));
  const [row, column] = [ROWS[third(y, height)], COLUMNS[third(x, width)]];
  return row === column ? "in the middle" : `in the ${row} ${column}`;
}

export const words = {
  show: "Show what the model looks at",
  retry: "Try again",
  map: "Map",
  classes: "Class whose map is shown",
  /** @param {number | null} part 0 to 1 */
  loading: part => (part === null ? "Loading the model …" : `Loading the model, ${Math.round(100 * part)} % …`),
  looking: "Looking at the photos …",
  /**
   * @param {string} name
   * @param {number} lead how far the class is before the next one, 0 with one class
   */
  verdict: (name, lead) => (lead > 0 ? `Most like ${name}` : name),
  /** @param {string} name @param {[number, number] | null} peak @param {{width: number, height: number}} size */
  where: (name, peak, size) =>
    peak ? `What speaks for ${name} is strongest ${place(peak, size)}.` : `Nothing in this photo speaks for ${name}.`,
  empty: "A fam-lens needs a query, and classes with a name and supports.",
};

/** How much of a download is there, or null. @param {Progress} progress */
export const partOf = ({ phase, loaded, total }) => (phase === "load" && total > 0 ? loaded / total : null);
