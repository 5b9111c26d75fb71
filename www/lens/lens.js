// A model in its worker, and everything that can be asked of it.

import { Channel, PATIENCE } from "./channel.js";
import { LensError, bounded, boundMethods } from "./errors.js";
import { absolute } from "./host.js";
import { Requests, optionsOf, unlessAborted } from "./requests.js";
import { programAt, usualModel } from "./where.js";

/**
 * @import { BackendChoice, Benchmark, CallOptions, Choice, ClassSpec, Comparison, ExplainOptions, Explanation, Form,
 *   ImageLike, LensImage, LensInfo, LensMap, LensOptions, Mosaic, Network, RenderOptions, Rendered, StatisticsInfo,
 *   SupportCheck, WhatIf } from "./types.js"
 * @import { CellPairs, Pair, View, ViewOptions } from "./pair.js"
 */

/**
 * Loads a model in a worker and makes it ready to explain.
 *
 * @param {LensOptions} [options]
 * @returns {Promise<Lens>}
 * @throws {LensError} `network` if the download failed or was cut off: call again to retry
 */
export function createLens(options = {}) {
  return bounded([options], async () => {
    options.signal?.throwIfAborted();
    const lens = new Lens(options);
    try {
      await lens.ready();
    } catch (error) {
      lens.dispose();
      throw error;
    }
    return lens;
  });
}

/**
 * A model as the worker takes it: all addresses in full.
 * @param {NonNullable<LensOptions["model"]>} model
 * @returns {import("./model.js").Source}
 */
function sourceOf(model) {
  if (typeof model === "string" || model instanceof URL) return { url: absolute(model) };
  if (!("url" in model)) return model;
  const address = (/** @type {string | URL | undefined} */ at) => at && absolute(at);
  return { ...model, url: absolute(model.url), file: address(model.file), statistics: address(model.statistics) };
}

/** A loaded model in its worker. Made by {@link createLens}. */
export class Lens {
  /** @type {LensInfo} */
  info = /** @type {any} */ (null);

  /** What it was made with, for whoever makes another one like it. @type {LensOptions} */
  options;

  /** Where the model came from, for whoever loads it once more. @type {import("./model.js").Source | null} */
  model = null;

  /**
   * What it was given beside the model, as requests to repeat, for whoever loads it once more.
   * @type {Map<string, [string, object]>}
   */
  given = new Map();

  #requests;

  /** @param {LensOptions} [options] */
  constructor(options = {}) {
    this.options = options;
    const channel = new Channel({
      worker: options.worker ? absolute(options.worker) : null,
      patience: options.patience,
      onProgress: options.onProgress,
      onInfo: info => {
        this.info = info;
        options.onInfo?.(info);
      },
    });
    this.#requests = new Requests(channel);
  }

  /** Loads program and model; {@link createLens} calls this. */
  async ready() {
    const { model, backend = "auto", weights, patience, program, signal } = this.options;
    const source = model === undefined ? await usualModel() : sourceOf(model);
    this.model = weights ? { ...source, weights } : source;
    const at = program ? absolute(program) : programAt();
    const args = { model: this.model, backend, program: at, patience: { ...PATIENCE, ...patience } };
    this.info = await this.#requests.ask("create", args, { signal });
  }

  /**
   * Decodes an image and keeps it, so that it is embedded only once. Other calls do this by themselves.
   * @param {ImageLike} image
   * @param {{name?: string} & CallOptions} [options]
   * @returns {Promise<LensImage>}
   */
  open(image, options = {}) {
    return this.#requests.open(image, options);
  }

  /** Lets go of an image that was opened. @param {ImageLike} image */
  async forget(image) {
    return this.#requests.forget(image);
  }

  /**
   * Everything that can be chosen about an explanation, with a sentence on each value and its source.
   * @returns {Promise<Choice[]>}
   */
  async choices() {
    return this.#requests.ask("choices", {});
  }

  /**
   * The network: layers, blocks, shapes, costs, and what follows a target layer (the model's own by default).
   * @param {string} [target]
   * @returns {Promise<Network>}
   */
  network(target = "") {
    return this.#requests.ask("network", { target });
  }

  /**
   * Takes a projection head from a `.safetensors` file (the state of a torch `nn.Sequential` of Linear and
   * BatchNorm1d), for `head: "file"`; null forgets the one before.
   * @param {Blob | ArrayBuffer | Uint8Array | null} file
   * @returns {Promise<string>} what it is, such as `"Linear 512 -> 512, ReLU, Linear 512 -> 128"`
   */
  async loadHead(file) {
    return this.#give("head", "loadHead", { bytes: file && (await bytesOf(file)) });
  }

  /**
   * Gives the matrix of the similarities `bilinear` and `mahalanobis`, symmetric, row by row; null to learn it from the
   * images again.
   * @param {Float32Array | null} values
   * @returns {Promise<void>}
   */
  setMatrix(values) {
    return this.#give("matrix", "setMatrix", { values });
  }

  /**
   * The same from a NumPy file (`.npy`, float32 or float64).
   * @param {Blob | ArrayBuffer | Uint8Array} file
   * @returns {Promise<string>} what it is, such as `"1280 x 1280"`
   */
  async loadMatrix(file) {
    return this.#give("matrix", "loadMatrix", { bytes: await bytesOf(file) });
  }

  /**
   * Whether images opened from now on keep their photo, so that further scales (`finer.scales`) are made from it. It
   * costs three bytes a pixel.
   * @param {boolean} keep
   * @returns {Promise<void>}
   */
  keepPhotos(keep) {
    return this.#give("photos", "keepPhotos", { keep });
  }

  /**
   * Takes each support image out in turn and asks the others which class it is.
   * @param {{classes: ClassSpec[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<SupportCheck>}
   */
  async checkSupports(request) {
    return this.#requests.about("checkSupports", request, {}, request.classes);
  }

  /**
   * The embedding of an image: the pooled target layer, or the model's own embedding where the pooling is "model"; not
   * normalised. Of the options `target`, `pooling` and `gemExponent` count.
   * @param {ImageLike} image
   * @param {ExplainOptions & CallOptions} [options]
   * @returns {Promise<{embedding: Float32Array, ms: number, cached: boolean}>}
   */
  embed(image, options = {}) {
    return this.#requests.about("embed", options, { id: image }, null);
  }

  /**
   * Which class a query is most like, and which parts of it say so. Only images that are new go through the network.
   * Without a `form` it uses `info.model.usualForms`, as checkSupports and explainSupport do.
   * @param {{query: ImageLike, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<Explanation>}
   */
  async explain(request) {
    return this.#requests.about("explain", request, { query: request.query }, request.classes);
  }

  /**
   * What if a part of the query were covered? Compares what the maps predict with what happens to the scores. `cover`
   * has `boxes` in pixels of the photo, or a `mask`: a grid of values from 0 to 1 over the whole photo, row by row.
   * `with` is `"grey"` (the default), `"blur"`, or another image whose texture is laid over the part.
   * @param {{query: ImageLike, classes: ClassSpec[], cover: {boxes?: [number, number, number, number][], mask?: {data:
   *   ArrayLike<number>, width: number, height: number}}, with?: "grey" | "blur" | ImageLike} & ExplainOptions &
   *   CallOptions} request
   * @returns {Promise<WhatIf>}
   */
  async whatIf({ cover, with: fill = "grey", ...request }) {
    /** @type {Record<string, ImageLike>} */
    const images = { query: request.query };
    const plain = fill === "grey" || fill === "blur";
    if (!plain) images.photo = fill;
    const { boxes = [], mask } = cover;
    const covered = {
      boxes,
      ...(mask && { mask: { ...mask, data: Array.from(mask.data) } }),
      with: plain ? fill : null,
    };
    return this.#requests.about("whatIf", request, images, request.classes, { cover: covered });
  }

  /**
   * Several methods side by side, with what each costs. With `against` it needs no classes. Those that run the model
   * often tell `onProgress`.
   * @param {{query: ImageLike, classes?: ClassSpec[], methods: string[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<Comparison>}
   */
  async compareMethods({ methods, classes = [], ...request }) {
    return this.#requests.about("compareMethods", request, { query: request.query }, classes, { methods });
  }

  /**
   * The map of a support image under one of the classes.
   * @param {{image: ImageLike, index: number, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<{map: LensMap, similarity: number}>}
   */
  async explainSupport(request) {
    const { image, index, classes } = request;
    return this.#requests.about("explainSupport", request, { id: image }, classes, { index });
  }

  /**
   * What makes two images alike, on both sides.
   * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
   * @returns {Promise<Pair>}
   */
  pair(request) {
    return this.#requests.about("pair", request, { a: request.a, b: request.b }, null);
  }

  /**
   * What every pair of a cell of `a` and a cell of `b` adds to the similarity of the two, all at once.
   * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
   * @returns {Promise<CellPairs>}
   */
  whereToWhere(request) {
    return this.#requests.about("whereToWhere", request, { a: request.a, b: request.b }, null);
  }

  /**
   * A random view of an image, as contrastive training makes them: a picture, and what was done to the photo. Equal
   * seeds give equal views.
   * @param {Exclude<ImageLike, LensImage>} image
   * @param {ViewOptions & CallOptions} [options]
   * @returns {Promise<View>}
   */
  view(image, options = {}) {
    const { seed = 0, signal, ...allowed } = options;
    return unlessAborted(this.#requests.send(image, undefined, "view", { seed, allowed }), signal);
  }

  /**
   * Tiles one photo of each class and explains the mosaic for every class under each of the `forms`: a map that tells
   * classes apart lights the tile of its own class.
   * @param {{classes: ClassSpec[], forms?: Form[], side?: 2 | 3 | 4} & ExplainOptions & CallOptions} request
   * @returns {Promise<Mosaic>}
   */
  async mosaic({ forms = ["fam", "discriminative"], side, ...request }) {
    const options = forms.map(form => ({ ...optionsOf(request), form }));
    const found = await this.#requests.about("mosaic", request, {}, request.classes, { options, side: side ?? 0 });
    this.#requests.adopt(found.image);
    return found;
  }

  /**
   * What the whitened and discriminative forms know of images in general; null while they have not been used.
   * @returns {Promise<StatisticsInfo | null>}
   */
  statistics() {
    return this.#requests.ask("statistics", {});
  }

  /**
   * Computes these statistics from your own images (a hundred make them steady), and uses them from now on. Keep
   * `bytes` for the next visit.
   * @param {ImageLike[]} images
   * @param {{source?: string} & CallOptions} [options] `source` says in words what the images are
   * @returns {Promise<StatisticsInfo & {bytes: Uint8Array}>}
   */
  async adaptStatistics(images, options = {}) {
    return this.#requests.whileUsing(async () => {
      const ids = (await Promise.all(images.map(image => this.open(image, options)))).map(({ id }) => id);
      const found = await this.#requests.ask(
        "adaptStatistics",
        { ids: [...new Set(ids)], source: options.source ?? "your images" },
        options,
      );
      this.given.set("statistics", ["setStatistics", { bytes: found.bytes }]);
      return found;
    });
  }

  /**
   * Uses statistics made by {@link Lens.adaptStatistics} or `famlens statistics`; null goes back to the model's.
   * @param {Uint8Array | null} bytes
   * @returns {Promise<StatisticsInfo | null>}
   */
  setStatistics(bytes) {
    return this.#give("statistics", "setStatistics", { bytes });
  }

  /**
   * The activation maps of single channels of the target layer.
   * @param {ImageLike} image
   * @param {ArrayLike<number>} indices
   * @param {{target?: string | null} & CallOptions} [options]
   * @returns {Promise<LensMap[]>}
   */
  channels(image, indices, options = {}) {
    const args = { indices: Uint32Array.from(indices), target: options.target ?? null };
    return this.#requests.ofImage(image, options, id => this.#requests.ask("channels", { id, ...args }, options));
  }

  /**
   * Colours a map, laid over the whole of its photo.
   * @param {ImageLike} image the photo that the map belongs to
   * @param {LensMap} map
   * @param {RenderOptions & CallOptions} options
   * @returns {Promise<Rendered>}
   */
  render(image, map, options) {
    const { signal, ...rest } = options;
    const ask = (/** @type {number} */ id) =>
      this.#requests.ask("render", { id, map, options: rest }, { signal, urgent: true });
    return this.#requests.ofImage(image, { signal }, ask);
  }

  /**
   * The value of a map at a place of its photo, as it is shown; null outside of what the network saw.
   * @param {ImageLike} image
   * @param {LensMap} map
   * @param {number} x in pixels of the photo
   * @param {number} y
   * @param {CallOptions} [options]
   * @returns {Promise<number | null>}
   */
  valueAt(image, map, x, y, options = {}) {
    const ask = (/** @type {number} */ id) =>
      this.#requests.ask("valueAt", { id, map, x, y }, { ...options, urgent: true });
    return this.#requests.ofImage(image, options, ask);
  }

  /**
   * Changes the engine. Images stay, and are embedded again when they are needed.
   * @param {BackendChoice} backend
   * @returns {Promise<LensInfo>}
   */
  async setBackend(backend) {
    this.info = await this.#requests.ask("setBackend", { backend });
    return this.info;
  }

  /**
   * Times warm passes on an image (the last query by default), in milliseconds, one value a run and all in turn: see
   * {@link Benchmark}.
   * @param {{image?: ImageLike, runs?: number} & CallOptions} [request]
   * @returns {Promise<Benchmark>}
   */
  bench(request = {}) {
    const ask = (/** @type {number | null} */ id) =>
      this.#requests.ask("bench", { id, runs: request.runs ?? 10 }, request);
    return request.image ? this.#requests.ofImage(request.image, request, ask) : ask(null);
  }

  /**
   * Explains a plain picture once: a model that loads and then cannot run is found out here, before anything is
   * replaced by it.
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async probe(options = {}) {
    const plain = () =>
      new ImageData(
        Uint8ClampedArray.from({ length: 4 * 32 * 32 }, (_, at) => (at * 7) % 256),
        32,
      );
    const image = await this.open(plain(), options);
    try {
      const classes = [{ name: "probe", supports: [image] }];
      await this.explain({ query: image, classes, form: "fam", signal: options.signal });
    } finally {
      void this.forget(image);
    }
  }

  /**
   * Lets no image go before `work` is done, which may use images by their numbers. For the other parts of this module.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  whileUsing(work) {
    return this.#requests.whileUsing(work);
  }

  /** Loses the GPU as a driver reset would. For tests of what happens then. */
  loseGpu() {
    return this.#requests.ask("loseGpu", {});
  }

  /** Ends the worker and frees everything. Calls that wait are rejected. */
  dispose() {
    this.#requests.end(new LensError("disposed", "This lens was disposed of."));
  }

  /**
   * Asks the worker. For the other parts of this module; what there is to ask may change with every version.
   * @param {string} op
   * @param {object} args
   * @param {CallOptions & {transfer?: Transferable[]}} [options]
   * @returns {Promise<any>}
   */
  ask(op, args, options) {
    return this.#requests.ask(op, args, options);
  }

  /**
   * @param {string} what
   * @param {string} op
   * @param {object} args
   */
  async #give(what, op, args) {
    const answer = await this.#requests.ask(op, args);
    this.given.set(what, [op, args]);
    return answer;
  }
}

boundMethods(Lens, ["dispose", "ready", "whileUsing"]);

/** @param {Blob | ArrayBuffer | Uint8Array} file */
const bytesOf = async file =>
  file instanceof Uint8Array ? file : new Uint8Array(file instanceof Blob ? await file.arrayBuffer() : file);
