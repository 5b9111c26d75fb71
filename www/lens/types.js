// The types of options and answers of the public module: comments only, which famlens.js passes on.

/**
 * An image in any form that a page has one in. Strings and URLs are fetched by the worker.
 * @typedef {File | Blob | string | URL | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas |
 *   HTMLImageElement | LensImage} ImageLike
 */

/**
 * An image that a lens has decoded: what {@link Lens.open} gives. `width` and `height` are those of the upright photo.
 * @typedef {{id: number, name: string, width: number, height: number}} LensImage
 */

/** @typedef {"auto" | "webgpu" | "cpu"} BackendChoice */

/** @typedef {import("./options.js").Form} Form */
/** @typedef {import("./options.js").ExplainOptions} ExplainOptions */

/**
 * One class: its name and the support images that define it.
 * @typedef {{name: string, supports: ImageLike[]}} ClassSpec
 */

/**
 * A channel and the part of a class's similarity that it carries; `share` is its part of all positive contributions.
 * @typedef {{channel: number, contribution: number, share: number}} ChannelShare
 */

/**
 * A class and how similar the query is to it. `constant` is the part of what is explained that no channel carries by
 * construction, `residual` what the contributions and the constant miss of it.
 * @typedef {{name: string, similarity: number, constant: number, residual: number}} ClassScore
 */

/**
 * A call with a `signal` rejects with the signal's reason when it is aborted.
 * @typedef {{signal?: AbortSignal}} CallOptions
 */

/**
 * How many seconds may pass without a sign before something is given up with a message: `start` until the worker's
 * scripts run (60), `download` between two pieces of a download (30), `call` between two steps of a call (120; ten
 * times as much for calls of many steps, such as the evaluation of a photo), and `silence` in which a worker that
 * computes says nothing at all (300).
 * @typedef {{start?: number, download?: number, call?: number, silence?: number}} Patience
 */

/**
 * What a method gives, one map a class. `cost` is for all classes: `passes` beside the one forward pass that all share,
 * `bytes` an estimate.
 * @typedef {{method: string, label: string, maps: LensMap[], weights: Float32Array[], notes: string[], cost:
 *   {milliseconds: number, own: number, passes: {forward: number, tail: number, backward: number}, bytes: number}}}
 *   MethodResult
 * @typedef {{score: string, classes: {name: string, score: number}[], predicted: number, layer: string, methods:
 *   MethodResult[], backend: "webgpu" | "cpu"}} Comparison
 */

/**
 * One thing that can be chosen: a field of {@link ExplainOptions} (a dot leads into an object), what control it needs,
 * and its values.
 * @typedef {object} Choice
 * @property {string} kind
 * @property {string} label
 * @property {string} sentence
 * @property {"one" | "switch" | "number" | "numbers" | "class" | "layers" | "layer" | "logits"} input
 * @property {{name: string, label: string, sentence: string, source: string, note: string,
 *   needs: ("classes" | "statistics" | "mean" | "matrix" | "head")[]}[]} [values] a value may need two classes or more,
 *   statistics of images in general, a mean embedding that came with the model, a matrix from a file or learned, or a
 *   head's file
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [step]
 * @property {any} default
 * @property {"map" | "decision" | "embedding" | "place"} group the part of an explanation that it is about
 * @property {boolean} ofModel whether its value may name something that only this model has
 * @property {{kind: string, values: string[]}[]} applies it counts while one of these other choices has one of these
 *   values; always if there are none
 */

/**
 * The network as people draw it, at the model's input size: layers in an order that they can run in, and blocks as
 * ranges of layers. `target` is the place of the target layer.
 * @typedef {object} Network
 * @property {number[]} input `[1, C, H, W]`
 * @property {NetworkLayer[]} layers
 * @property {NetworkBlock[]} blocks
 * @property {number} parameters weights and biases, each counted once
 * @property {number} multiplyAdds products of one forward pass
 * @property {number} target
 * @property {AfterTarget} after
 */

/**
 * One layer. `name` is what the option `target` takes, if `whyNot` is null. `maps` are channels, height and width;
 * `tokens` those before and after the grid of cells; `cost` the part (0 to 1) of the network's products that a pass up
 * to this layer takes; `bytes` its output's size for one image; `inputs` the places of the layers that it reads.
 * @typedef {{name: string, label: string, op: string, detail: string, shape: number[], parameters: number,
 *   multiplyAdds: number, cost: number, bytes: number, inputs: number[], maps: [number, number, number] | null, layout:
 *   "channels first" | "channels last" | "tokens" | null, tokens: [number, number], whyNot: string | null}}
 *   NetworkLayer
 * @typedef {{label: string, kind: "transformer" | "attention" | "mlp" | "residual" | "gate" | "branches" | "dense" |
 *   "branch" | "layers", first: number, count: number, blocks: NetworkBlock[]}} NetworkBlock
 */

/**
 * What follows the target layer. `module` is all of it as pooling and transformation module, where it is that, and
 * `whyNot` says why it is not.
 * @typedef {{says: string, steps: {layer: number | null, says: string, kind: "pooling" | "linear" | "normalisation" |
 *   "activation" | "layers"}[], module: {pooling: string, head: string, affine: boolean, stoppedAt: string | null} |
 *   null, whyNot: string | null}} AfterTarget
 */

/**
 * How sure a few-shot decision is. `class` is null where the photo is none of the classes (`known` is false) or the
 * first two are too close; `known` is null where that cannot be told. `evidence` of the `first` class has to reach
 * `bound`, and its lead over the `second`, `margin`, has to reach `clear` to be clear and half of it to be close; all
 * are counted in `unit`. For each class `strongest` is the greatest score that its own supports have, and `bars`
 * where its bar runs, 0 to 1. `headline`, `says` and `numbers` say it in words, the same on the command line.
 * @typedef {{class: string | null, known: boolean | null, closeness: "clear" | "close" | "too close" | null, first:
 *   string, second: string | null, evidence: number | null, bound: number | null, margin: number | null, clear:
 *   number | null, unit: string, strongest: number[], bars: ([number, number] | null)[], headline: string, says:
 *   string, numbers: string}} Decision
 */

/**
 * One scale for the maps of all classes: raw values of both ends, and what they mean.
 * @typedef {{low: number, high: number, lowSays: string, highSays: string}} Scale
 */

/**
 * What covering a part of a photo does. For each class `predicted` is what its map says about the change of the
 * score, and `measured` the change; `predicted` is null if the map shows nothing. `share` is the covered part of the
 * map, `covered` that of the photo. `decision` is about the covered photo.
 * @typedef {{classes: {name: string, before: number, after: number, measured: number, predicted: number | null, share:
 *   number | null, says: string}[], decision: Decision | null, score: string, covered: number}} WhatIf
 */

/**
 * Whether anything in a gallery is like a query: the best hit's cosine, with the gallery's mean subtracted, against
 * what it takes. `like` is null where the gallery is too small to tell.
 * @typedef {{like: boolean | null, reached: number | null, bound: number | null, says: string}} Likeness
 */

/**
 * @typedef {object} Explanation
 * @property {Decision | null} decision how sure it is; null for outputs of the model's classifier
 * @property {number[]} evidence for every class, the mean evidence of the cells above the offset, before classes share
 *   them; empty for forms that weigh channels
 * @property {Scale} scale that the maps of all classes share, for `range` of {@link RenderOptions}
 * @property {ClassScore[]} classes in the order they were given
 * @property {number} predicted index of the most similar class
 * @property {Form} form
 * @property {string} score what `similarity` is, and so what ranks the classes: `"cosine"`, `"centred cosine"` and so
 *   on
 * @property {string[]} notes plain sentences about the choices: that one cannot change the map, that a map is zero
 *   everywhere, and why
 * @property {LensMap} map the map of the predicted class
 * @property {LensMap[]} maps one for every class
 * @property {Float32Array[]} contributions for every class, what each channel adds to its score
 * @property {Float32Array[]} weights for every class, what the activation maps were multiplied with
 * @property {{target: string, maps: {data: Float32Array, width: number, height: number}[]}[]} layers of several target
 *   layers, the maps before they were fused
 * @property {number} passes how many forward passes of the query the maps are made of
 * @property {[number, number, number, number] | null} looked the part of the photo that a second look saw, in pixels
 * @property {ChannelShare[][]} top for every class, the ten channels that contribute most of those that fire in the
 *   query
 * @property {Float32Array} present what each channel has in the query, above what the form measures it from: 0, or the
 *   mean of photos in general; channels over 0 fire. Empty where no features are weighed
 * @property {number} channels how many channels the target layer has
 * @property {[number, number, number, number] | null} box of the predicted class's map, in pixels of the photo
 * @property {[number, number] | null} peak of the predicted class's map, in pixels of the photo
 * @property {{width: number, height: number}} query size of the query photo
 * @property {string} target the layer whose channels `contributions` are of
 * @property {{total: number, supports: number, forward: number, mix: number, finer: number}} timings milliseconds: the
 *   whole call, the network on new support images, the network on the query, weights and maps, and the further looks of
 *   a finer map
 * @property {number} embedded how many images went through the network for this call
 * @property {"webgpu" | "cpu"} backend
 * @property {string | null} note something to tell people, such as a lost GPU
 */

/**
 * The leave-one-out check of a support set. `confusion` has a row for the class an image was put in and a column for
 * the class that the others say it is. An image that is the only one of its class has no `predicted`; a negative
 * `margin` is an image that is not recognised.
 * @typedef {object} SupportCheck
 * @property {string[]} classes
 * @property {number[][]} confusion
 * @property {{image: number, name: string, class: number, predicted: number | null, scores: number[], margin: number |
 *   null, decision: Decision | null}[]} images class by class, in the order given
 * @property {number | null} accuracy
 * @property {string} score
 * @property {string[]} notes
 */

/**
 * What the statistics behind the whitened and discriminative forms rest on: how many `images`, of what (`source`), at
 * which layer and input size. `adapted` says that they are not those that came with the model.
 * @typedef {{layer: string, width: number, height: number, images: number, cells: number, source: string, adapted:
 *   boolean}} StatisticsInfo
 */

/**
 * A mosaic of one photo of each class and what each form makes of it. `tiles` run row by row; `chance` is, for each
 * class, the part of the mosaic that shows it. In `forms`, one for each form asked for, `energy[k][t]` is the part of
 * class k's map that lies in tile t (null if the map has nothing positive), `own[k]` the part in the class's own tiles,
 * `hits[k]` whether the map's peak is there, and `auc[k]` how well the map's values tell its tile from the rest (0.5 by
 * chance).
 * @typedef {object} Mosaic
 * @property {LensImage} image to draw maps on with `lens.render`; `lens.forget` it when it is no longer shown
 * @property {ImageData} picture
 * @property {number} side tiles a side
 * @property {{class: number, image: number}[]} tiles
 * @property {number[]} chance
 * @property {string[]} notes
 * @property {(Explanation & {energy: (number[] | null)[], own: (number | null)[], hits: boolean[], auc: number[]})[]}
 *   forms
 */

/**
 * A map of raw values, one for each cell of the target layer, row by row. `box` (x0, y0, x1, y1) surrounds the largest
 * region over the threshold and `peak` is the strongest place, both in pixels of the photo. `constant` maps have no
 * region and no peak.
 * @typedef {object} LensMap
 * @property {Float32Array} data
 * @property {number} width
 * @property {number} height
 * @property {number} min
 * @property {number} max
 * @property {number[]} [input] width and height of the network's input that the map is of; the model's own if absent
 * @property {[number, number, number, number] | null} [box]
 * @property {[number, number] | null} [peak]
 * @property {number | null} [threshold] the share of the range at which the box is cut: what the form's own threshold
 *   comes to for this map
 * @property {boolean} [constant]
 * @property {boolean} [zero] whether every value is zero; the notes say why
 * @property {string | null} [says] what is said in place of a map that shows nothing
 */

/**
 * @typedef {object} RenderOptions
 * @property {number} width of the picture, in pixels; it covers the whole photo
 * @property {number} height
 * @property {string} [colormap] `"inferno"` by default
 * @property {"constant" | "value"} [mode] opaque everywhere, or as opaque as the value is high
 * @property {[number, number]} [range] the raw values that the ends of the colours stand for; the map's own by
 *   default. A map that stays at the low end darkens the photo
 * @property {number | string} [threshold] of contour and box, as a part of the range; or as one of the energy, such as
 *   `"energy:0.94"`; 0.2 by default
 */

/**
 * The coloured map and its shapes; `contour` holds closed lines x, y, x, y, ... in pixels of the photo.
 * @typedef {object} Rendered
 * @property {ImageData} image
 * @property {ArrayLike<number>[]} contour
 * @property {[number, number, number, number] | null} box
 * @property {[number, number] | null} peak
 * @property {number | null} [threshold] what the threshold comes to, as a part of the range
 */

/**
 * What `onProgress` is told. `loaded` and `total` are bytes of program and model while these load, and images while
 * they are embedded; `total` is 0 if unknown. `measure` means that the engines are compared, for the choice `"auto"`;
 * `method` that one runs the model, with passes as the numbers.
 * @typedef {{phase: "code" | "load" | "compile" | "embed" | "measure" | "method", loaded: number, total: number,
 *   method?: string}} Progress
 */

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
 * Milliseconds of warm runs, one value a run.
 * @typedef {object} Benchmark
 * @property {"webgpu" | "cpu"} engine the engine that ran
 * @property {number[]} forward forward passes that end at the embedding
 * @property {number[]} explain forward passes with the maps of three classes in the same go
 * @property {number[]} fam the maps of three classes alone, on activation maps that are already there
 * @property {number[]} discriminative forward passes with discriminative FAM of three classes, at the model's input
 *   size; empty without statistics
 * @property {number[]} discriminative_large the same at the input size of the class-specific forms
 */

/**
 * @typedef {object} LensOptions
 * @property {string | URL | ModelFiles | {manifest: object | string, bytes: ArrayBuffer | Uint8Array | Blob,
 *   statistics?: ArrayBuffer | Uint8Array | Blob, external?: Record<string, ArrayBuffer | Uint8Array | Blob>}} [model]
 *   address of a model folder or its `model.json`, or what a model's npm package exports, or both files' content, and
 *   in `external` the files beside the ONNX file that hold its weights, by their names; the model that comes with
 *   famlens by default
 * @property {"stored" | "int8"} [weights] `"int8"` stores float weights as int8, for a quarter of the memory; what
 *   `model.json` says by default
 * @property {BackendChoice} [backend] `"auto"` (default) starts on the CPU at once, measures both engines after the
 *   first explanation and goes on with the faster one
 * @property {(progress: Progress) => void} [onProgress]
 * @property {(info: LensInfo) => void} [onInfo] called when `lens.info` changes by itself, after the engines were
 *   measured
 * @property {AbortSignal} [signal] ends the loading
 * @property {Patience} [patience]
 * @property {string | URL} [worker] address of the worker's module, where it is not the one that comes with this one
 * @property {string | URL} [program] address of the wasm, where it is not the one that comes with this module
 */

/**
 * Where the files of a model are; the default export of `@famlens/efficientnet-lite0` and of any package like it. `url`
 * is that of its `model.json`; `file` has the weights and `statistics` what the class-specific forms need, both beside
 * `url` under the names that it says if they are left out.
 * @typedef {{url: string | URL, file?: string | URL, statistics?: string | URL}} ModelFiles
 */

/**
 * What storing the weights as int8 changed: how many weights were float, their bytes then and now. `tensors` 0 is a
 * model whose weights were int8.
 * @typedef {{tensors: number, bytesBefore: number, bytesAfter: number}} StoredWeights
 */

/**
 * What int8 weights cost on some images, against the weights as the file has them. `agreement` is the part of the
 * images whose most similar other image is the same one under both, null with fewer than three images; `worst` is the
 * image with the least cosine.
 * @typedef {{stored: StoredWeights, images: number, mean: number, least: number, worst: number, agreement: number |
 *   null}} Int8Cost
 */

/**
 * @typedef {object} LensInfo
 * @property {{name: string, identity: string, licence: string, inputWidth: number, inputHeight: number, geometry:
 *   string, channels: string, assumptions: string[], target: string, targets: string[], parameters: number, bytes:
 *   number, pooling: string, hasMeanEmbedding: boolean, hasStatistics: boolean, usualForms: [Form, Form],
 *   storedWeights: StoredWeights | null}} model `usualForms` are the forms that {@link Lens.explain} uses if the
 *   request names none: for one class, and for several; `assumptions` are sentences on what famlens took from the file
 *   or assumed because the description does not say it
 * @property {EngineInfo} backend the engine that is used
 * @property {EngineInfo[]} engines
 * @property {string | null} note
 */

export {};
