// The face of the wasm module, as types. It is built later than the page is checked, so it is written down here;
// src/web is the other side.

/**
 * @typedef {{data: Float32Array, width: number, height: number, min: number, max: number, box: [number, number,
 *   number, number] | null,
 *   peak: [number, number] | null, threshold: number | null, constant: boolean, input?: number[]}} WasmMap
 * @typedef {{id: number, width: number, height: number}} WasmImage
 * @typedef {{name: string, supports: number[]}} WasmClass
 *
 * @typedef {{kind: string, describe: string, available: boolean | null, reason: string | null, software: boolean,
 *   milliseconds: number | null}} WasmEngine
 *
 * @typedef {object} WasmExplanation
 * @property {string} form
 * @property {string} score
 * @property {string} target
 * @property {string[]} notes
 * @property {{name: string, similarity: number, constant: number, residual: number}[]} classes
 * @property {number} predicted
 * @property {import("./types.js").Decision | null} decision
 * @property {number[]} evidence
 * @property {import("./types.js").Scale} scale
 * @property {number} channels
 * @property {WasmMap[]} maps
 * @property {Float32Array[]} contributions
 * @property {Float32Array[]} weights
 * @property {Float32Array} present
 * @property {{target: string, maps: {data: Float32Array, width: number, height: number}[]}[]} layers
 * @property {number} passes
 * @property {[number, number, number, number] | null} looked
 * @property {{total: number, supports: number, forward: number, mix: number, finer: number}} timings
 * @property {number} embedded
 * @property {string} backend
 * @property {string | null} note
 *
 * @typedef {{id: number, width: number, height: number, side: number, rgba: Uint8ClampedArray<ArrayBuffer>, tiles:
 *   {class: number, image: number}[], chance: number[], notes: string[], forms: {explanation: WasmExplanation, energy:
 *   (number[] | null)[], own: (number | null)[], hits: boolean[], auc: number[]}[]}} WasmMosaic
 *
 * @typedef {object} WasmLens
 * @property {() => {model: any, backend: WasmEngine, engines: WasmEngine[], note: string | null}} info
 * @property {() => any[]} choices
 * @property {(classes: number) => string} usualForm the form for who has chosen none
 * @property {(target: string) => import("./types.js").Network} network
 * @property {(bytes: Uint8Array) => string} loadHead
 * @property {(values?: Float32Array) => void} setMatrix
 * @property {(bytes: Uint8Array) => string} loadMatrix
 * @property {(keep: boolean) => void} keepPhotos
 * @property {(classes: WasmClass[], options: object) => Promise<any>} checkSupports
 * @property {(backend: string) => Promise<unknown>} setBackend
 * @property {(id: number) => Promise<unknown>} calibrate
 * @property {(name: string, bytes: Uint8Array) => WasmImage} addImage
 * @property {(name: string, width: number, height: number, rgba: Uint8ClampedArray | Uint8Array) => WasmImage}
 *   addPixels
 * @property {(id: number) => void} removeImage
 * @property {(id: number, options?: object) => Promise<{embedding: Float32Array, ms: number, cached: boolean}>} embed
 * @property {(query: number, classes: WasmClass[], options: object) => Promise<WasmExplanation>} explain
 * @property {(query: number, classes: WasmClass[], options: object, cover: object) =>
 *   Promise<import("./types.js").WhatIf>} whatIf
 * @property {(query: number, classes: WasmClass[], methods: string[], options: object, watch: (method: string, done:
 *   number, total: number) => Promise<boolean>) => Promise<{score: string, classes: {name: string, score: number}[],
 *   predicted: number, layer: string, methods: {method: string, label: string, maps: WasmMap[], weights:
 *   Float32Array[], notes: string[], cost: any}[], backend: string}>} compareMethods
 * @property {(id: number, index: number, classes: WasmClass[], options: object) => Promise<{map: WasmMap, similarity:
 *   number}>} explainSupport
 * @property {(id: number, indices: Uint32Array, target?: string) => Promise<{width: number, height: number, data:
 *   Float32Array<ArrayBuffer>}>} channels
 * @property {(id: number, data: Float32Array, width: number, height: number, options: object, input?:
 *   number[]) => {width: number, height: number,
 *   rgba: Uint8ClampedArray<ArrayBuffer>, contour: ArrayLike<number>[], box: [number, number, number, number] | null,
 *   peak: [number, number] | null, threshold: number | null}} render
 * @property {(id: number, data: Float32Array, width: number, height: number, x: number, y: number, input?:
 *   number[]) => number | null} valueAt
 * @property {(files: {name: string, text: string}[], paths: string[]) => object} readBoxes
 * @property {(photos: {class: string, name: string, content: string}[], seed: number, shots: number, against: number)
 *   => object} episodes
 * @property {(id: number, own: number, classes: WasmClass[], boxes: number[][], options: object) => Promise<{rows:
 *   object[]}>} evaluateImage
 * @property {(rows: object[], bootstrap?: object) => object} summarise
 * @property {(id: number, runs: number) => Promise<import("./types.js").Benchmark>} bench
 * @property {(id: number, options: object) => Promise<{ms: number, cached: boolean}>} prepare
 * @property {() => {layer: string, channels: number, width: number, height: number, images: number, cells: number,
 *   source: string} | null} statistics
 * @property {(bytes: Uint8Array) => void} setStatistics
 * @property {() => void} startCounting
 * @property {(id: number) => Promise<void>} count
 * @property {(source: string) => Uint8Array} finishCounting
 * @property {(classes: WasmClass[], options: object[], side: number) => Promise<WasmMosaic>} mosaic
 * @property {(a: number, b: number, options: object) => Promise<{similarity: number, a: WasmExplanation, b:
 *   WasmExplanation}>} pair
 * @property {(a: number, b: number, options: object) => Promise<import("./pair.js").CellPairs>} whereToWhere
 * @property {(name: string, bytes: Uint8Array, seed: number, allowed: object) => WasmView} view
 * @property {(width: number, height: number, rgba: Uint8ClampedArray | Uint8Array, seed: number, allowed: object) =>
 *   WasmView} viewPixels
 * @property {(options: object) => Origin} origin
 * @property {(id: number, content: string, origin: object) => Promise<{item: WasmItem, embedding: Float32Array}>}
 *   galleryRow
 * @property {() => void} loseGpu
 * @property {() => void} free
 *
 * @typedef {{width: number, height: number, rgba: Uint8ClampedArray<ArrayBuffer>, view:
 *   import("./pair.js").ViewParameters}} WasmView
 * @typedef {{model: string, weights: string, input: string, target: string, pooling: string, channels: number, key:
 *   string}} Origin
 * @typedef {{name: string, content: string, picture: string, width: number, height: number}} WasmItem
 * @typedef {{index: number, similarity: number, duplicate: {of: "sameFile" | "query"} | {of: "hit", rank: number} |
 *   null}} WasmHit
 *
 * @typedef {object} WasmGallery
 * @property {() => number} len
 * @property {(item: WasmItem, embedding: Float32Array) => number} push
 * @property {() => WasmItem[]} items
 * @property {(index: number) => Float32Array | undefined} embedding
 * @property {(indices: Uint32Array) => void} remove
 * @property {(query: WasmItem, embedding: Float32Array, top: number, rule: object | null) => WasmHit[]} rank
 * @property {(embedding: Float32Array, top: number) => import("./types.js").Likeness} likeness
 * @property {(rule: object | null) => WasmDuplicates} search
 * @property {() => Uint8Array<ArrayBuffer>} toNpy
 * @property {() => string} toCsv
 * @property {() => void} free
 *
 * @typedef {{step: (gallery: WasmGallery, images: number) => number, groups: () => number[][], free: () => void}}
 *   WasmDuplicates
 *
 * @typedef {{create: (origin: Origin) => WasmGallery, fromFiles: (npy: Uint8Array, csv: string, origin: Origin) =>
 *   WasmGallery}} WasmGalleries
 *
 * @typedef {{default: (from: {module_or_path: Response}) => Promise<{memory: WebAssembly.Memory}>, withExternalData:
 *   (model: Uint8Array, load: (name: string) => Uint8Array | undefined) => Uint8Array, tryRelaxedSimd:
 *   () => void, LensGallery:
 *   WasmGalleries, Lens: {create: (manifest: string, model: Uint8Array, backend: string) => Promise<WasmLens>}}}
 *   WasmModule
 */

export {};
