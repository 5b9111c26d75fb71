// Types of the public module that are too long to stand in it.

/** @import { BackendChoice, Explanation, LensImage, Progress } from "../famlens.js" */

/**
 * @typedef {object} EngineInfo
 * @property {"webgpu" | "cpu"} kind
 * @property {string} describe
 * @property {boolean | null} available null while nobody has tried
 * @property {string | null} reason why it is not available
 * @property {boolean} software whether it is a GPU that the processor imitates
 * @property {number | null} milliseconds measured time of one warm forward pass
 */

/**
 * @typedef {object} LensInfo
 * @property {{name: string, licence: string, inputSize: number, geometry: string, target: string, targets: string[], parameters: number}} model
 * @property {EngineInfo} backend the engine that is used
 * @property {EngineInfo[]} engines
 * @property {string | null} note
 */

/**
 * @typedef {object} RenderOptions
 * @property {number} width of the picture, in pixels; it covers the whole photo
 * @property {number} height
 * @property {string} [colormap] `"inferno"` by default
 * @property {"constant" | "value"} [mode] opaque everywhere, or as opaque as the value is high
 * @property {number} [threshold] of contour and box, as a part of the range; 0.2 by default
 */

/**
 * The coloured map and its shapes; `contour` holds closed lines x, y, x, y, ... in pixels of the photo.
 * @typedef {object} Rendered
 * @property {ImageData} image
 * @property {ArrayLike<number>[]} contour
 * @property {[number, number, number, number] | null} box
 * @property {[number, number] | null} peak
 */

/**
 * What the statistics behind the whitened and discriminative forms rest on: how many `images`, of what (`source`), at which layer and input size.
 * `adapted` says that they are not those that came with the model.
 * @typedef {{layer: string, width: number, height: number, images: number, cells: number, source: string, adapted: boolean}} StatisticsInfo
 */

/**
 * A mosaic of one photo of each class and what each form makes of it. `tiles` run row by row; `chance` is, for each class, the part of the
 * mosaic that shows it. In `forms`, one for each form asked for, `energy[k][t]` is the part of class k's map that lies in tile t (null if the
 * map has nothing positive), `own[k]` the part in the class's own tiles, `hits[k]` whether the map's peak is there, and `auc[k]` how well
 * the map's values tell its tile from the rest (0.5 by chance).
 * @typedef {object} Mosaic
 * @property {LensImage} image to draw maps on with `lens.render`; `lens.forget` it when it is no longer shown
 * @property {ImageData} picture
 * @property {number} side tiles a side
 * @property {{class: number, image: number}[]} tiles
 * @property {number[]} chance
 * @property {string[]} notes
 * @property {(Explanation & {energy: (number[] | null)[], own: (number | null)[], hits: boolean[], auc: number[]})[]} forms
 */
/**
 * @typedef {object} LensOptions
 * @property {string | URL | {manifest: object | string, bytes: ArrayBuffer | Uint8Array | Blob, statistics?: ArrayBuffer | Uint8Array | Blob}} [model] address of a model folder or its
 *   `model.json`, or both files' content; the model that comes with famlens by default
 * @property {BackendChoice} [backend] `"auto"` (default) starts on the CPU at once, measures both engines after the first explanation and
 *   goes on with the faster one
 * @property {(progress: Progress) => void} [onProgress]
 * @property {(info: LensInfo) => void} [onInfo] called when `lens.info` changes by itself, after the engines were measured
 */

export {};
