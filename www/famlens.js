// The public module: the explanations of famlens for any page. The page of this project uses nothing else.
//
// Everything heavy happens in a worker that this module starts; calls return promises. See docs/embedding.md.

import { Channel } from "./lens/channel.js";
import { absolute, sendImage, startWorker } from "./lens/host.js";
import { isHandle, Sources } from "./lens/sources.js";

export { evaluate, readBoxes } from "./lens/evaluate.js";
export { createGallery, Gallery } from "./lens/gallery.js";
export { measureInt8 } from "./lens/int8.js";

/**
 * An image in any form that a page has one in. Strings and URLs are fetched by the worker.
 * @typedef {File | Blob | string | URL | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement | LensImage} ImageLike
 */

/**
 * An image that a lens has decoded and keeps: what {@link Lens.open} gives. `width` and `height` are those of the upright photo.
 * @typedef {{id: number, name: string, width: number, height: number}} LensImage
 */

/** @typedef {"auto" | "webgpu" | "cpu"} BackendChoice */

/**
 * How channel weights are made. `fam` is the faithful form; `centred` and `contrastive` tell classes apart. {@link Lens.choices} says
 * what each is.
 * @typedef {"fam" | "centred" | "contrastive" | "cam" | "magnitude" | "whitened" | "discriminative"} Form
 */

/** @typedef {import("./lens/types.js").ExplainOptions} ExplainOptions */
/** @typedef {import("./lens/types.js").MethodResult} MethodResult */
/** @typedef {import("./lens/types.js").Comparison} Comparison */
/** @typedef {import("./lens/types.js").Choice} Choice */
/** @typedef {import("./lens/types.js").Network} Network */

/**
 * One class: its name and the support images that define it.
 * @typedef {{name: string, supports: ImageLike[]}} ClassSpec
 */

/** @typedef {import("./lens/types.js").LensMap} LensMap */

/**
 * A channel and the part of a class's similarity that it carries; `share` is its part of all positive contributions.
 * @typedef {{channel: number, contribution: number, share: number}} ChannelShare
 */

/**
 * A class and how similar the query is to it. `constant` is the part of what is explained that no channel carries by construction, `residual`
 * what the contributions and the constant miss of it.
 * @typedef {{name: string, similarity: number, constant: number, residual: number}} ClassScore
 */

/** @typedef {import("./lens/types.js").Explanation} Explanation */
/** @typedef {import("./lens/types.js").SupportCheck} SupportCheck */

/** @typedef {import("./lens/types.js").EngineInfo} EngineInfo */
/** @typedef {import("./lens/types.js").LensInfo} LensInfo */

/** @typedef {import("./lens/types.js").Progress} Progress */
/** @typedef {import("./lens/types.js").LensOptions} LensOptions */
/** @typedef {import("./lens/types.js").RenderOptions} RenderOptions */
/** @typedef {import("./lens/types.js").Rendered} Rendered */

/** @typedef {import("./lens/types.js").StoredWeights} StoredWeights */
/** @typedef {import("./lens/types.js").Int8Cost} Int8Cost */
/** @typedef {import("./lens/types.js").StatisticsInfo} StatisticsInfo */
/** @typedef {import("./lens/types.js").Mosaic} Mosaic */
/** @typedef {import("./lens/types.js").Benchmark} Benchmark */
/** @typedef {{signal?: AbortSignal}} CallOptions */

/** @import { CellPairs, Pair, View, ViewOptions } from "./lens/pair.js" */

/** An error with a code a program can act on and a message meant for people. */
export class LensError extends Error {
  /**
   * @param {string} code one of `network`, `image`, `too_large`, `manifest`, `onnx`, `unsupported`, `node`, `target`, `argument`, `no_gpu`,
   *   `gpu_lost`, `engine`, `crashed`, `disposed`
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "LensError";
    this.code = code;
  }
}

/** The model that comes with famlens, beside this module. */
const DEFAULT_MODEL = new URL("../models/efficientnet_lite0/model.json", import.meta.url).href;

/**
 * Loads a model in a worker and makes it ready to explain.
 *
 * @param {LensOptions} [options]
 * @returns {Promise<Lens>}
 * @throws {LensError} `network` if the download failed or was cut off: call again to retry
 */
export async function createLens(options = {}) {
  const worker = startWorker();
  const lens = new Lens(worker, options);
  try {
    await lens.ready(options.model ?? DEFAULT_MODEL, options.backend ?? "auto", options.weights);
  } catch (error) {
    lens.dispose();
    throw error;
  }
  return lens;
}

/** A loaded model in its worker. Made by {@link createLens}. */
export class Lens {
  /** @type {LensInfo} */
  info = /** @type {any} */ (null);

  /** Where the model came from, for whoever loads it once more. @type {import("./lens/model.js").Source | null} */
  model = null;

  /** What it was given beside the model, as requests to repeat, for whoever loads it once more. @type {Map<string, [string, object]>} */
  given = new Map();

  #channel;
  #sources = new Sources(id => this.#channel.release(id));

  /** @param {Worker} worker @param {LensOptions} options */
  constructor(worker, options) {
    this.#channel = new Channel(worker, {
      error: (code, message) => new LensError(code, message),
      progress: progress => options.onProgress?.(progress),
      info: info => {
        this.info = info;
        options.onInfo?.(info);
      },
      loaded: () => this.info !== null,
    });
  }

  /**
   * Loads program and model; {@link createLens} calls this.
   * @param {NonNullable<LensOptions["model"]>} model
   * @param {BackendChoice} backend
   * @param {"stored" | "int8"} [weights]
   */
  async ready(model, backend, weights) {
    const source = typeof model === "string" || model instanceof URL ? { url: absolute(model) } : model;
    this.model = weights ? { ...source, weights } : source;
    this.info = await this.#call("create", { model: this.model, backend });
  }

  /**
   * Decodes an image and keeps it, so that it is embedded only once. Other calls do this by themselves.
   * @param {ImageLike} image
   * @param {{name?: string} & CallOptions} [options]
   * @returns {Promise<LensImage>}
   */
  open(image, options = {}) {
    if (isHandle(image)) return Promise.resolve(image);
    return this.#sources.open(image, () => this.#open(image, options));
  }

  /** Lets go of an image that was opened. @param {ImageLike} image */
  forget(image) {
    return this.#sources.forget(image);
  }

  /** Everything that can be chosen about an explanation, with a sentence on each value and its source. @returns {Promise<Choice[]>} */
  choices() {
    return this.#call("choices", {});
  }

  /** The network: layers, blocks, shapes, costs, and what follows a target layer (the model's own by default). @param {string} [target] @returns {Promise<Network>} */
  network(target = "") {
    return this.#call("network", { target });
  }

  /**
   * Takes a projection head from a `.safetensors` file (the state of a torch `nn.Sequential` of Linear and BatchNorm1d), for `head: "file"`;
   * null forgets the one before.
   * @param {Blob | ArrayBuffer | Uint8Array | null} file
   * @returns {Promise<string>} what it is, such as `"Linear 512 -> 512, ReLU, Linear 512 -> 128"`
   */
  async loadHead(file) {
    return this.#give("head", "loadHead", { bytes: file && (await bytesOf(file)) });
  }

  /**
   * Gives the matrix of the similarities `bilinear` and `mahalanobis`, symmetric, row by row; null to learn it from the images again.
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
   * Whether images opened from now on keep their photo, so that further scales (`finer.scales`) are made from it. It costs three bytes a pixel.
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
    return this.#sources.whileUsing(async () => {
      const classes = await this.#openClasses(request.classes, request);
      return this.#call("checkSupports", { classes, options: mixOptions(request) }, request);
    });
  }

  /**
   * The embedding of an image: the pooled target layer, or the model's own embedding where the pooling is "model"; not normalised. Of the options `target`, `pooling` and `gemExponent` count.
   * @param {ImageLike} image
   * @param {ExplainOptions & CallOptions} [options]
   * @returns {Promise<{embedding: Float32Array, ms: number, cached: boolean}>}
   */
  async embed(image, options = {}) {
    const { id } = await this.open(image, options);
    return this.#call("embed", { id, options: mixOptions(options) }, options);
  }

  /**
   * Which class a query is most like, and which parts of it say so. Only images that are new go through the network.
   * @param {{query: ImageLike, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<Explanation>}
   */
  async explain(request) {
    return this.#sources.whileUsing(async () => {
      const [query, classes] = await Promise.all([
        this.open(request.query, request),
        this.#openClasses(request.classes, request),
      ]);
      return this.#call("explain", { query: query.id, classes, options: mixOptions(request) }, request);
    });
  }

  /**
   * Several methods side by side, with what each costs. With `against` it needs no classes. Those that run the model often tell `onProgress`.
   * @param {{query: ImageLike, classes?: ClassSpec[], methods: string[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<Comparison>}
   */
  async compareMethods({ methods, classes = [], ...request }) {
    return this.#sources.whileUsing(async () => {
      const [query, opened] = await Promise.all([
        this.open(request.query, request),
        this.#openClasses(classes, request),
      ]);
      return this.#call(
        "compareMethods",
        { query: query.id, classes: opened, methods, options: mixOptions(request) },
        request,
      );
    });
  }

  /**
   * The map of a support image under one of the classes.
   * @param {{image: ImageLike, index: number, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
   * @returns {Promise<{map: LensMap, similarity: number}>}
   */
  async explainSupport(request) {
    return this.#sources.whileUsing(async () => {
      const [image, classes] = await Promise.all([
        this.open(request.image, request),
        this.#openClasses(request.classes, request),
      ]);
      return this.#call(
        "explainSupport",
        { id: image.id, index: request.index, classes, options: mixOptions(request) },
        request,
      );
    });
  }

  /**
   * What makes two images alike, on both sides.
   * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
   * @returns {Promise<Pair>}
   */
  pair(request) {
    return this.#ofTwo("pair", request);
  }

  /**
   * What every pair of a cell of `a` and a cell of `b` adds to the similarity of the two, all at once.
   * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
   * @returns {Promise<CellPairs>}
   */
  whereToWhere(request) {
    return this.#ofTwo("whereToWhere", request);
  }

  /**
   * A random view of an image, as contrastive training makes them: a picture, and what was done to the photo. Equal seeds give equal views.
   * @param {Exclude<ImageLike, LensImage>} image
   * @param {ViewOptions & CallOptions} [options]
   * @returns {Promise<View>}
   */
  view(image, options = {}) {
    const { seed = 0, signal, ...allowed } = options;
    return this.#open(image, {}, "view", { seed, allowed });
  }

  /**
   * Tiles one photo of each class and explains the mosaic for every class under each of the `forms`: a map that tells classes apart lights
   * the tile of its own class.
   * @param {{classes: ClassSpec[], forms?: Form[], side?: 2 | 3 | 4} & ExplainOptions & CallOptions} request
   * @returns {Promise<Mosaic>}
   */
  async mosaic({ forms = ["fam", "discriminative"], side, ...request }) {
    return this.#sources.whileUsing(async () => {
      const classes = await this.#openClasses(request.classes, request);
      const found = await this.#call(
        "mosaic",
        { classes, options: forms.map(form => ({ ...mixOptions(request), form })), side: side ?? 0 },
        request,
      );
      this.#sources.adopt(found.image.id);
      return found;
    });
  }

  /** What the whitened and discriminative forms know of images in general; null while they have not been used. @returns {Promise<StatisticsInfo | null>} */
  statistics() {
    return this.#call("statistics", {});
  }

  /**
   * Computes these statistics from your own images (a hundred make them steady), and uses them from now on. Keep `bytes` for the next visit.
   * @param {ImageLike[]} images
   * @param {{source?: string} & CallOptions} [options] `source` says in words what the images are
   * @returns {Promise<StatisticsInfo & {bytes: Uint8Array}>}
   */
  async adaptStatistics(images, options = {}) {
    return this.#sources.whileUsing(async () => {
      const ids = (await Promise.all(images.map(image => this.open(image, options)))).map(({ id }) => id);
      const found = await this.#call(
        "adaptStatistics",
        { ids: [...new Set(ids)], source: options.source ?? "your images" },
        options,
      );
      this.given.set("statistics", ["setStatistics", { bytes: found.bytes }]);
      return found;
    });
  }

  /** Uses statistics made by {@link Lens.adaptStatistics} or `famlens statistics`; null goes back to the model's. @param {Uint8Array | null} bytes @returns {Promise<StatisticsInfo | null>} */
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
  async channels(image, indices, options = {}) {
    const { id } = await this.open(image, options);
    return this.#call("channels", { id, indices: Uint32Array.from(indices), target: options.target ?? null }, options);
  }

  /**
   * Colours a map, laid over the whole of its photo.
   * @param {ImageLike} image the photo that the map belongs to
   * @param {LensMap} map
   * @param {RenderOptions & CallOptions} options
   * @returns {Promise<Rendered>}
   */
  async render(image, map, options) {
    const { id } = await this.open(image, options);
    const { signal, ...rest } = options;
    return this.#call("render", { id, map, options: rest }, { signal, urgent: true });
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
  async valueAt(image, map, x, y, options = {}) {
    const { id } = await this.open(image, options);
    return this.#call("valueAt", { id, map, x, y }, { ...options, urgent: true });
  }

  /**
   * Changes the engine. Images stay, and are embedded again when they are needed.
   * @param {BackendChoice} backend
   * @returns {Promise<LensInfo>}
   */
  async setBackend(backend) {
    this.info = await this.#call("setBackend", { backend });
    return this.info;
  }

  /**
   * Times warm passes on an image (the last query by default), in milliseconds, one value a run and all in turn: see {@link Benchmark}.
   * @param {{image?: ImageLike, runs?: number} & CallOptions} [request]
   * @returns {Promise<Benchmark>}
   */
  async bench(request = {}) {
    const id = request.image ? (await this.open(request.image, request)).id : null;
    return this.#call("bench", { id, runs: request.runs ?? 10 }, request);
  }

  /** Loses the GPU as a driver reset would. For tests of what happens then. */
  loseGpu() {
    return this.#call("loseGpu", {});
  }

  /** Ends the worker and frees everything. Calls that wait are rejected. */
  dispose() {
    this.#channel.end(new LensError("disposed", "This lens was disposed of."));
  }

  /**
   * @param {ClassSpec[]} classes
   * @param {CallOptions} options
   */
  #openClasses(classes, options) {
    return Promise.all(
      classes.map(async ({ name, supports }) => {
        const handles = await Promise.all(supports.map(support => this.open(support, options)));
        return { name, supports: handles.map(handle => handle.id) };
      }),
    );
  }

  /**
   * @param {string} op
   * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
   */
  #ofTwo(op, request) {
    return this.#sources.whileUsing(async () => {
      const [a, b] = await Promise.all([this.open(request.a, request), this.open(request.b, request)]);
      return this.#call(op, { a: a.id, b: b.id, options: mixOptions(request) }, request);
    });
  }

  /**
   * Asks the worker. For the other parts of this module; what there is to ask may change with every version.
   * @param {string} op
   * @param {object} args
   * @param {CallOptions & {transfer?: Transferable[]}} [options]
   * @returns {Promise<any>}
   */
  ask(op, args, options) {
    return this.#call(op, args, options);
  }

  /**
   * @param {Exclude<ImageLike, LensImage>} image
   * @param {{name?: string}} options
   * @param {string} op what is done with the image's content
   * @param {object} more what else that needs
   * @returns {Promise<any>}
   */
  #open(image, options, op = "open", more = {}) {
    const ask = (/** @type {object} */ source, /** @type {Transferable[]} */ transfer) =>
      this.#call(op, { ...source, ...more }, { transfer });
    return sendImage(image, options.name, ask, message => new LensError("image", message));
  }

  /**
   * @param {string} what
   * @param {string} op
   * @param {object} args
   */
  async #give(what, op, args) {
    const answer = await this.#call(op, args);
    this.given.set(what, [op, args]);
    return answer;
  }

  /**
   * @param {string} op
   * @param {object} args
   * @param {import("./lens/channel.js").AskOptions} [options]
   * @returns {Promise<any>}
   */
  #call(op, args, options) {
    return this.#channel.ask(op, args, options);
  }
}

/** @param {Blob | ArrayBuffer | Uint8Array} file */
const bytesOf = async file =>
  file instanceof Uint8Array ? file : new Uint8Array(file instanceof Blob ? await file.arrayBuffer() : file);

/** What a request says about the method. @param {ExplainOptions & {[key: string]: any}} request */
function mixOptions({ query, image, index, classes, name, a, b, signal, ...options }) {
  return options;
}
