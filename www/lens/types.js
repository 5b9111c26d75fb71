// The types of options and answers of the public module: comments only, which famlens.js passes on.

/**
 * @import { ChannelShare, ClassScore, Form, LensMap } from "../famlens.js"
 */

/**
 * What can be chosen about an explanation; {@link Lens.choices} describes every field and value. `rival` is the index of the class that the
 * contrastive form is against. Of several `targets` the first one decides and the maps of all are fused; `target` names a single one.
 * @typedef {object} ExplainOptions
 * @property {Form} [form]
 * @property {number | null} [rival]
 * @property {"cosine" | "dot" | "euclidean" | "centred-cosine" | "pearson" | "bilinear" | "mahalanobis"} [similarity]
 * @property {"gap" | "gmp" | "gem" | "crow" | "model" | null} [pooling]
 * @property {number} [gemExponent]
 * @property {"prototype" | "nearest" | "mean"} [decide]
 * @property {"none" | "model" | "supports" | "gallery"} [center]
 * @property {boolean} [l2]
 * @property {"none" | "model" | "file" | "whitening" | "lda"} [head]
 * @property {number} [shrinkage]
 * @property {boolean} [weightRelu]
 * @property {"none" | "minmax" | "sum" | "softmax"} [weightNorm]
 * @property {boolean} [mapRelu]
 * @property {"none" | "minmax" | "sum" | "softmax"} [mapNorm]
 * @property {string | null} [target]
 * @property {string[]} [targets]
 * @property {"mean" | "product" | "max"} [fusion]
 * @property {{flip?: boolean, shifts?: number, scales?: number[]}} [finer]
 * @property {string} [method] `"fam"`, or a method it is compared with, such as `"grad-cam"`
 * @property {{logit: string | number | (string | number)[]} | null} [against] labels or indices of the model's classifier to explain
 * @property {string | null} [layer] the layer that other methods weigh; the target layer by default
 * @property {{seed?: number, channels?: number, masks?: number, grid?: number, keep?: number, window?: number, stride?: number}} [methodOptions]
 */

/**
 * What a method gives, one map a class. `cost` is for all classes: `passes` beside the one forward pass that all share, `bytes` an estimate.
 * @typedef {{method: string, label: string, maps: LensMap[], weights: Float32Array[], notes: string[], cost: {milliseconds: number, own: number,
 *   passes: {forward: number, tail: number, backward: number}, bytes: number}}} MethodResult
 * @typedef {{score: string, classes: {name: string, score: number}[], predicted: number, layer: string, methods: MethodResult[],
 *   backend: "webgpu" | "cpu"}} Comparison
 */

/**
 * One thing that can be chosen: a field of {@link ExplainOptions} (a dot leads into an object), what control it needs, and its values.
 * @typedef {object} Choice
 * @property {string} kind
 * @property {string} label
 * @property {string} sentence
 * @property {"one" | "switch" | "number" | "numbers" | "class" | "layers" | "layer" | "logits"} input
 * @property {{name: string, label: string, sentence: string, source: string, note: string}[]} [values]
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [step]
 * @property {any} default
 */

/**
 * @typedef {object} Explanation
 * @property {ClassScore[]} classes in the order they were given
 * @property {number} predicted index of the most similar class
 * @property {Form} form
 * @property {string} score what `similarity` is, and so what ranks the classes: `"cosine"`, `"centred cosine"` and so on
 * @property {string[]} notes plain sentences about the choices: that one cannot change the map, that a map is zero everywhere, and why
 * @property {LensMap} map the map of the predicted class
 * @property {LensMap[]} maps one for every class
 * @property {Float32Array[]} contributions for every class, what each channel adds to its score
 * @property {Float32Array[]} weights for every class, what the activation maps were multiplied with
 * @property {{target: string, maps: {data: Float32Array, width: number, height: number}[]}[]} layers of several target layers, the maps
 *   before they were fused
 * @property {number} passes how many forward passes of the query the maps are made of
 * @property {ChannelShare[][]} top for every class, the ten channels that contribute most
 * @property {number} channels how many channels the target layer has
 * @property {[number, number, number, number] | null} box of the predicted class's map, in pixels of the photo
 * @property {[number, number] | null} peak of the predicted class's map, in pixels of the photo
 * @property {{width: number, height: number}} query size of the query photo
 * @property {string | null} target the target layer
 * @property {{total: number, supports: number, forward: number, mix: number, finer: number}} timings milliseconds: the whole call, the
 *   network on new support images, the network on the query, weights and maps, and the further looks of a finer map
 * @property {number} embedded how many images went through the network for this call
 * @property {"webgpu" | "cpu"} backend
 * @property {string | null} note something to tell people, such as a lost GPU
 */

/**
 * The leave-one-out check of a support set. `confusion` has a row for the class an image was put in and a column for the class that the others
 * say it is. An image that is the only one of its class has no `predicted`; a negative `margin` is an image that is not recognised.
 * @typedef {object} SupportCheck
 * @property {string[]} classes
 * @property {number[][]} confusion
 * @property {{image: number, name: string, class: number, predicted: number | null, scores: number[], margin: number | null}[]} images class by
 *   class, in the order given
 * @property {number | null} accuracy
 * @property {string} score
 * @property {string[]} notes
 */

export {};
