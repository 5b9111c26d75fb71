// What there is to say of two images: the types of what `Lens.pair`, `Lens.whereToWhere` and `Lens.view` give, and how
// to read cell pairs.

/**
 * @import { LensMap } from "./types.js"
 *
 * @typedef {{map: LensMap, contributions: Float32Array, width: number, height: number}} PairSide one image: its map,
 *   what each channel adds to the similarity, and the photo's size
 *
 * @typedef {object} Pair
 * @property {number} similarity
 * @property {string} score the name of the similarity
 * @property {string} form
 * @property {string[]} notes what a person should know about the choices
 * @property {PairSide} a what in `a` makes it like `b`
 * @property {PairSide} b
 * @property {number} embedded how many images went through the network for this call
 * @property {number} ms
 * @property {"webgpu" | "cpu"} backend
 * @property {string | null} note
 *
 * The similarity as a sum over pairs of cells: `terms` has one row for each cell of `a`, one column for each cell of
 * `b`, cells row by row; they sum to `sum`, and with `constant` to the `similarity`. `a` and `b` are the numbers of
 * cells across and down.
 * @typedef {{a: [number, number], b: [number, number], terms: Float32Array, sum: number, constant: number, similarity:
 *   number, score: string}} CellPairs
 *
 * What is allowed to happen to a photo; all of it unless told otherwise.
 * @typedef {{seed?: number, crop?: boolean, flip?: boolean, jitter?: boolean, grey?: boolean, blur?: boolean}}
 *   ViewOptions
 *
 * What happened to it, in this order. `crop` is in pixels of the photo (x0, y0, x1, y1), `hue` in turns, `blur` the
 * standard deviation in pixels of a view whose shorter side has 224.
 * @typedef {{crop: [number, number, number, number] | null, flip: boolean, grey: boolean, blur: number | null, jitter:
 *   {brightness: number, contrast: number, saturation: number, hue: number} | null}} ViewParameters
 *
 * @typedef {{image: ImageData, view: ViewParameters, seed: number}} View
 */

/**
 * What the cells of the other image add to the similarity together with one cell of this one.
 * @param {CellPairs} pairs
 * @param {"a" | "b"} side the image that the cell belongs to
 * @param {number} cell its number, row by row
 * @returns {Float32Array} one value for each cell of the other image
 */
export function termsOf(pairs, side, cell) {
  const columns = pairs.b[0] * pairs.b[1];
  if (side === "a") return pairs.terms.subarray(cell * columns, (cell + 1) * columns);
  return Float32Array.from({ length: pairs.a[0] * pairs.a[1] }, (_, row) => pairs.terms[row * columns + cell]);
}
