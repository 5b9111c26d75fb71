export { evaluate, readBoxes } from "./lens/evaluate.js";
export { createGallery, Gallery } from "./lens/gallery.js";
export { measureInt8 } from "./lens/int8.js";
export type ImageLike = File | Blob | string | URL | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement | LensImage;
export type LensImage = {
    id: number;
    name: string;
    width: number;
    height: number;
};
export type BackendChoice = "auto" | "webgpu" | "cpu";
export type Form = "fam" | "centred" | "contrastive" | "cam" | "magnitude" | "whitened" | "discriminative";
export type ExplainOptions = import("./lens/types.js").ExplainOptions;
export type MethodResult = import("./lens/types.js").MethodResult;
export type Comparison = import("./lens/types.js").Comparison;
export type Choice = import("./lens/types.js").Choice;
export type Network = import("./lens/types.js").Network;
export type ClassSpec = {
    name: string;
    supports: ImageLike[];
};
export type LensMap = import("./lens/types.js").LensMap;
export type ChannelShare = {
    channel: number;
    contribution: number;
    share: number;
};
export type ClassScore = {
    name: string;
    similarity: number;
    constant: number;
    residual: number;
};
export type Explanation = import("./lens/types.js").Explanation;
export type SupportCheck = import("./lens/types.js").SupportCheck;
export type EngineInfo = import("./lens/types.js").EngineInfo;
export type LensInfo = import("./lens/types.js").LensInfo;
export type Progress = import("./lens/types.js").Progress;
export type LensOptions = import("./lens/types.js").LensOptions;
export type RenderOptions = import("./lens/types.js").RenderOptions;
export type Rendered = import("./lens/types.js").Rendered;
export type StoredWeights = import("./lens/types.js").StoredWeights;
export type Int8Cost = import("./lens/types.js").Int8Cost;
export type StatisticsInfo = import("./lens/types.js").StatisticsInfo;
export type Mosaic = import("./lens/types.js").Mosaic;
export type Benchmark = import("./lens/types.js").Benchmark;
export type CallOptions = {
    signal?: AbortSignal;
};
import type { CellPairs, Pair, View, ViewOptions } from "./lens/pair.js";
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
export declare class LensError extends Error {
    code: string;
    /**
     * @param {string} code one of `network`, `image`, `too_large`, `manifest`, `onnx`, `unsupported`, `node`, `target`, `argument`, `no_gpu`,
     *   `gpu_lost`, `engine`, `crashed`, `disposed`
     * @param {string} message
     */
    constructor(code: string, message: string);
}
/**
 * Loads a model in a worker and makes it ready to explain.
 *
 * @param {LensOptions} [options]
 * @returns {Promise<Lens>}
 * @throws {LensError} `network` if the download failed or was cut off: call again to retry
 */
export declare function createLens(options?: LensOptions): Promise<Lens>;
/** A loaded model in its worker. Made by {@link createLens}. */
export declare class Lens {
    #private;
    /** @type {LensInfo} */
    info: LensInfo;
    /** Where the model came from, for whoever loads it once more. @type {import("./lens/model.js").Source | null} */
    model: import("./lens/model.js").Source | null;
    /** What it was given beside the model, as requests to repeat, for whoever loads it once more. @type {Map<string, [string, object]>} */
    given: Map<string, [string, object]>;
    /** @param {Worker} worker @param {LensOptions} options */
    constructor(worker: Worker, options: LensOptions);
    /**
     * Loads program and model; {@link createLens} calls this.
     * @param {NonNullable<LensOptions["model"]>} model
     * @param {BackendChoice} backend
     * @param {"stored" | "int8"} [weights]
     */
    ready(model: NonNullable<LensOptions["model"]>, backend: BackendChoice, weights?: "stored" | "int8"): Promise<void>;
    /**
     * Decodes an image and keeps it, so that it is embedded only once. Other calls do this by themselves.
     * @param {ImageLike} image
     * @param {{name?: string} & CallOptions} [options]
     * @returns {Promise<LensImage>}
     */
    open(image: ImageLike, options?: {
        name?: string;
    } & CallOptions): Promise<LensImage>;
    /** Lets go of an image that was opened. @param {ImageLike} image */
    forget(image: ImageLike): any;
    /** Everything that can be chosen about an explanation, with a sentence on each value and its source. @returns {Promise<Choice[]>} */
    choices(): Promise<Choice[]>;
    /** The network: layers, blocks, shapes, costs, and what follows a target layer (the model's own by default). @param {string} [target] @returns {Promise<Network>} */
    network(target?: string): Promise<Network>;
    /**
     * Takes a projection head from a `.safetensors` file (the state of a torch `nn.Sequential` of Linear and BatchNorm1d), for `head: "file"`;
     * null forgets the one before.
     * @param {Blob | ArrayBuffer | Uint8Array | null} file
     * @returns {Promise<string>} what it is, such as `"Linear 512 -> 512, ReLU, Linear 512 -> 128"`
     */
    loadHead(file: Blob | ArrayBuffer | Uint8Array | null): Promise<string>;
    /**
     * Gives the matrix of the similarities `bilinear` and `mahalanobis`, symmetric, row by row; null to learn it from the images again.
     * @param {Float32Array | null} values
     * @returns {Promise<void>}
     */
    setMatrix(values: Float32Array | null): Promise<void>;
    /**
     * The same from a NumPy file (`.npy`, float32 or float64).
     * @param {Blob | ArrayBuffer | Uint8Array} file
     * @returns {Promise<string>} what it is, such as `"1280 x 1280"`
     */
    loadMatrix(file: Blob | ArrayBuffer | Uint8Array): Promise<string>;
    /**
     * Whether images opened from now on keep their photo, so that further scales (`finer.scales`) are made from it. It costs three bytes a pixel.
     * @param {boolean} keep
     * @returns {Promise<void>}
     */
    keepPhotos(keep: boolean): Promise<void>;
    /**
     * Takes each support image out in turn and asks the others which class it is.
     * @param {{classes: ClassSpec[]} & ExplainOptions & CallOptions} request
     * @returns {Promise<SupportCheck>}
     */
    checkSupports(request: {
        classes: ClassSpec[];
    } & ExplainOptions & CallOptions): Promise<SupportCheck>;
    /**
     * The embedding of an image: the pooled target layer, or the model's own embedding where the pooling is "model"; not normalised. Of the options `target`, `pooling` and `gemExponent` count.
     * @param {ImageLike} image
     * @param {ExplainOptions & CallOptions} [options]
     * @returns {Promise<{embedding: Float32Array, ms: number, cached: boolean}>}
     */
    embed(image: ImageLike, options?: ExplainOptions & CallOptions): Promise<{
        embedding: Float32Array;
        ms: number;
        cached: boolean;
    }>;
    /**
     * Which class a query is most like, and which parts of it say so. Only images that are new go through the network.
     * @param {{query: ImageLike, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
     * @returns {Promise<Explanation>}
     */
    explain(request: {
        query: ImageLike;
        classes: ClassSpec[];
    } & ExplainOptions & CallOptions): Promise<Explanation>;
    /**
     * Several methods side by side, with what each costs. With `against` it needs no classes. Those that run the model often tell `onProgress`.
     * @param {{query: ImageLike, classes?: ClassSpec[], methods: string[]} & ExplainOptions & CallOptions} request
     * @returns {Promise<Comparison>}
     */
    compareMethods({ methods, classes, ...request }: {
        query: ImageLike;
        classes?: ClassSpec[];
        methods: string[];
    } & ExplainOptions & CallOptions): Promise<Comparison>;
    /**
     * The map of a support image under one of the classes.
     * @param {{image: ImageLike, index: number, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
     * @returns {Promise<{map: LensMap, similarity: number}>}
     */
    explainSupport(request: {
        image: ImageLike;
        index: number;
        classes: ClassSpec[];
    } & ExplainOptions & CallOptions): Promise<{
        map: LensMap;
        similarity: number;
    }>;
    /**
     * What makes two images alike, on both sides.
     * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
     * @returns {Promise<Pair>}
     */
    pair(request: {
        a: ImageLike;
        b: ImageLike;
    } & ExplainOptions & CallOptions): Promise<Pair>;
    /**
     * What every pair of a cell of `a` and a cell of `b` adds to the similarity of the two, all at once.
     * @param {{a: ImageLike, b: ImageLike} & ExplainOptions & CallOptions} request
     * @returns {Promise<CellPairs>}
     */
    whereToWhere(request: {
        a: ImageLike;
        b: ImageLike;
    } & ExplainOptions & CallOptions): Promise<CellPairs>;
    /**
     * A random view of an image, as contrastive training makes them: a picture, and what was done to the photo. Equal seeds give equal views.
     * @param {Exclude<ImageLike, LensImage>} image
     * @param {ViewOptions & CallOptions} [options]
     * @returns {Promise<View>}
     */
    view(image: Exclude<ImageLike, LensImage>, options?: ViewOptions & CallOptions): Promise<View>;
    /**
     * Tiles one photo of each class and explains the mosaic for every class under each of the `forms`: a map that tells classes apart lights
     * the tile of its own class.
     * @param {{classes: ClassSpec[], forms?: Form[], side?: 2 | 3 | 4} & ExplainOptions & CallOptions} request
     * @returns {Promise<Mosaic>}
     */
    mosaic({ forms, side, ...request }: {
        classes: ClassSpec[];
        forms?: Form[];
        side?: 2 | 3 | 4;
    } & ExplainOptions & CallOptions): Promise<Mosaic>;
    /** What the whitened and discriminative forms know of images in general; null while they have not been used. @returns {Promise<StatisticsInfo | null>} */
    statistics(): Promise<StatisticsInfo | null>;
    /**
     * Computes these statistics from your own images (a hundred make them steady), and uses them from now on. Keep `bytes` for the next visit.
     * @param {ImageLike[]} images
     * @param {{source?: string} & CallOptions} [options] `source` says in words what the images are
     * @returns {Promise<StatisticsInfo & {bytes: Uint8Array}>}
     */
    adaptStatistics(images: ImageLike[], options?: {
        source?: string;
    } & CallOptions): Promise<StatisticsInfo & {
        bytes: Uint8Array;
    }>;
    /** Uses statistics made by {@link Lens.adaptStatistics} or `famlens statistics`; null goes back to the model's. @param {Uint8Array | null} bytes @returns {Promise<StatisticsInfo | null>} */
    setStatistics(bytes: Uint8Array | null): Promise<StatisticsInfo | null>;
    /**
     * The activation maps of single channels of the target layer.
     * @param {ImageLike} image
     * @param {ArrayLike<number>} indices
     * @param {{target?: string | null} & CallOptions} [options]
     * @returns {Promise<LensMap[]>}
     */
    channels(image: ImageLike, indices: ArrayLike<number>, options?: {
        target?: string | null;
    } & CallOptions): Promise<LensMap[]>;
    /**
     * Colours a map, laid over the whole of its photo.
     * @param {ImageLike} image the photo that the map belongs to
     * @param {LensMap} map
     * @param {RenderOptions & CallOptions} options
     * @returns {Promise<Rendered>}
     */
    render(image: ImageLike, map: LensMap, options: RenderOptions & CallOptions): Promise<Rendered>;
    /**
     * The value of a map at a place of its photo, as it is shown; null outside of what the network saw.
     * @param {ImageLike} image
     * @param {LensMap} map
     * @param {number} x in pixels of the photo
     * @param {number} y
     * @param {CallOptions} [options]
     * @returns {Promise<number | null>}
     */
    valueAt(image: ImageLike, map: LensMap, x: number, y: number, options?: CallOptions): Promise<number | null>;
    /**
     * Changes the engine. Images stay, and are embedded again when they are needed.
     * @param {BackendChoice} backend
     * @returns {Promise<LensInfo>}
     */
    setBackend(backend: BackendChoice): Promise<LensInfo>;
    /**
     * Times warm passes on an image (the last query by default), in milliseconds, one value a run and all in turn: see {@link Benchmark}.
     * @param {{image?: ImageLike, runs?: number} & CallOptions} [request]
     * @returns {Promise<Benchmark>}
     */
    bench(request?: {
        image?: ImageLike;
        runs?: number;
    } & CallOptions): Promise<Benchmark>;
    /** Loses the GPU as a driver reset would. For tests of what happens then. */
    loseGpu(): Promise<any>;
    /** Ends the worker and frees everything. Calls that wait are rejected. */
    dispose(): void;
    /**
     * Asks the worker. For the other parts of this module; what there is to ask may change with every version.
     * @param {string} op
     * @param {object} args
     * @param {CallOptions & {transfer?: Transferable[]}} [options]
     * @returns {Promise<any>}
     */
    ask(op: string, args: object, options?: CallOptions & {
        transfer?: Transferable[];
    }): Promise<any>;
}
