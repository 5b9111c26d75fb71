export { createGallery, Gallery } from "./lens/gallery.js";
export type ImageLike = File | Blob | string | URL | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement | LensImage;
export type LensImage = {
    id: number;
    name: string;
    width: number;
    height: number;
};
export type BackendChoice = "auto" | "webgpu" | "cpu";
export type Form = "fam" | "centred" | "contrastive" | "cam" | "magnitude";
export type ExplainOptions = {
    form?: Form;
    rival?: number | null;
    similarity?: "cosine" | "dot" | "euclidean" | "centred-cosine" | "pearson" | "bilinear" | "mahalanobis";
    pooling?: "gap" | "gmp" | "gem" | "crow" | "model" | null;
    gemExponent?: number;
    decide?: "prototype" | "nearest" | "mean";
    center?: "none" | "model" | "supports" | "gallery";
    l2?: boolean;
    head?: "none" | "model" | "file" | "whitening" | "lda";
    shrinkage?: number;
    weightRelu?: boolean;
    weightNorm?: "none" | "minmax" | "sum" | "softmax";
    mapRelu?: boolean;
    mapNorm?: "none" | "minmax" | "sum" | "softmax";
    target?: string | null;
    targets?: string[];
    fusion?: "mean" | "product" | "max";
    finer?: {
        flip?: boolean;
        shifts?: number;
        scales?: number[];
    };
    /**
     * `"fam"`, or a method it is compared with, such as `"grad-cam"`
     */
    method?: string;
    /**
     * labels or indices of the model's classifier to explain
     */
    against?: {
        logit: string | number | (string | number)[];
    } | null;
    /**
     * the layer that other methods weigh; the target layer by default
     */
    layer?: string | null;
    methodOptions?: {
        seed?: number;
        channels?: number;
        masks?: number;
        grid?: number;
        keep?: number;
        window?: number;
        stride?: number;
    };
};
export type MethodResult = {
    method: string;
    label: string;
    maps: LensMap[];
    weights: Float32Array[];
    notes: string[];
    cost: {
        milliseconds: number;
        own: number;
        passes: {
            forward: number;
            tail: number;
            backward: number;
        };
        bytes: number;
    };
};
export type Comparison = {
    score: string;
    classes: {
        name: string;
        score: number;
    }[];
    predicted: number;
    layer: string;
    methods: MethodResult[];
    backend: "webgpu" | "cpu";
};
export type Choice = {
    kind: string;
    label: string;
    sentence: string;
    input: "one" | "switch" | "number" | "numbers" | "class" | "layers" | "layer" | "logits";
    values?: {
        name: string;
        label: string;
        sentence: string;
        source: string;
        note: string;
    }[];
    min?: number;
    max?: number;
    step?: number;
    default: any;
};
export type ClassSpec = {
    name: string;
    supports: ImageLike[];
};
export type LensMap = {
    data: Float32Array;
    width: number;
    height: number;
    min: number;
    max: number;
    box?: [number, number, number, number] | null;
    peak?: [number, number] | null;
    constant?: boolean;
};
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
export type Explanation = {
    /**
     * in the order they were given
     */
    classes: ClassScore[];
    /**
     * index of the most similar class
     */
    predicted: number;
    form: Form;
    /**
     * what `similarity` is, and so what ranks the classes: `"cosine"`, `"centred cosine"` and so on
     */
    score: string;
    /**
     * plain sentences about the choices: that one cannot change the map, that a map is zero everywhere, and why
     */
    notes: string[];
    /**
     * the map of the predicted class
     */
    map: LensMap;
    /**
     * one for every class
     */
    maps: LensMap[];
    /**
     * for every class, what each channel adds to its score
     */
    contributions: Float32Array[];
    /**
     * for every class, the ten channels that contribute most
     */
    top: ChannelShare[][];
    /**
     * how many channels the target layer has
     */
    channels: number;
    /**
     * of the predicted class's map, in pixels of the photo
     */
    box: [number, number, number, number] | null;
    /**
     * of the predicted class's map, in pixels of the photo
     */
    peak: [number, number] | null;
    /**
     * size of the query photo
     */
    query: {
        width: number;
        height: number;
    };
    /**
     * the target layer
     */
    target: string | null;
    /**
     * milliseconds: the whole call, the network on new
     * support images, the network on the query, and weights and maps
     */
    timings: {
        total: number;
        supports: number;
        forward: number;
        mix: number;
    };
    /**
     * how many images went through the network for this call
     */
    embedded: number;
    backend: "webgpu" | "cpu";
    /**
     * something to tell people, such as a lost GPU
     */
    note: string | null;
};
export type EngineInfo = {
    kind: "webgpu" | "cpu";
    describe: string;
    /**
     * null while nobody has tried
     */
    available: boolean | null;
    /**
     * why it is not available
     */
    reason: string | null;
    /**
     * whether it is a GPU that the processor imitates
     */
    software: boolean;
    /**
     * measured time of one warm forward pass
     */
    milliseconds: number | null;
};
export type LensInfo = {
    model: {
        name: string;
        licence: string;
        inputSize: number;
        geometry: string;
        target: string;
        targets: string[];
        parameters: number;
    };
    /**
     * the engine that is used
     */
    backend: EngineInfo;
    engines: EngineInfo[];
    note: string | null;
};
export type Progress = {
    phase: "code" | "model" | "compile" | "embed" | "measure" | "method";
    loaded: number;
    total: number;
    method?: string;
};
export type LensOptions = {
    /**
     * address of a model folder or its
     * `model.json`, or both files' content; the model that comes with famlens by default
     */
    model?: string | URL | {
        manifest: object | string;
        bytes: ArrayBuffer | Uint8Array | Blob;
    };
    /**
     * `"auto"` (default) starts on the CPU at once, measures both engines after the first explanation and
     * goes on with the faster one
     */
    backend?: BackendChoice;
    onProgress?: (progress: Progress) => void;
    /**
     * called when {@link Lens.info} changes by itself, after the engines were measured
     */
    onInfo?: (info: LensInfo) => void;
};
export type RenderOptions = {
    /**
     * of the picture, in pixels; it covers the whole photo
     */
    width: number;
    height: number;
    /**
     * `"inferno"` by default
     */
    colormap?: string;
    /**
     * opaque everywhere, or as opaque as the value is high
     */
    mode?: "constant" | "value";
    /**
     * of contour and box, as a part of the range; 0.2 by default
     */
    threshold?: number;
};
export type Rendered = {
    image: ImageData;
    contour: ArrayLike<number>[];
    box: [number, number, number, number] | null;
    peak: [number, number] | null;
};
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
 * @typedef {"fam" | "centred" | "contrastive" | "cam" | "magnitude"} Form
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
 * One class: its name and the support images that define it.
 * @typedef {{name: string, supports: ImageLike[]}} ClassSpec
 */
/**
 * A map of raw values, one for each cell of the target layer, row by row. `box` (x0, y0, x1, y1) surrounds the largest region over
 * the threshold and `peak` is the strongest place, both in pixels of the photo. `constant` maps have no region and no peak.
 * @typedef {object} LensMap
 * @property {Float32Array} data
 * @property {number} width
 * @property {number} height
 * @property {number} min
 * @property {number} max
 * @property {[number, number, number, number] | null} [box]
 * @property {[number, number] | null} [peak]
 * @property {boolean} [constant]
 */
/**
 * A channel and the part of a class's similarity that it carries; `share` is its part of all positive contributions.
 * @typedef {{channel: number, contribution: number, share: number}} ChannelShare
 */
/**
 * A class and how similar the query is to it. `constant` is the part of what is explained that no channel carries by construction, `residual`
 * what the contributions and the constant miss of it.
 * @typedef {{name: string, similarity: number, constant: number, residual: number}} ClassScore
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
 * @property {ChannelShare[][]} top for every class, the ten channels that contribute most
 * @property {number} channels how many channels the target layer has
 * @property {[number, number, number, number] | null} box of the predicted class's map, in pixels of the photo
 * @property {[number, number] | null} peak of the predicted class's map, in pixels of the photo
 * @property {{width: number, height: number}} query size of the query photo
 * @property {string | null} target the target layer
 * @property {{total: number, supports: number, forward: number, mix: number}} timings milliseconds: the whole call, the network on new
 *   support images, the network on the query, and weights and maps
 * @property {number} embedded how many images went through the network for this call
 * @property {"webgpu" | "cpu"} backend
 * @property {string | null} note something to tell people, such as a lost GPU
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
 * @typedef {object} LensInfo
 * @property {{name: string, licence: string, inputSize: number, geometry: string, target: string, targets: string[], parameters: number}} model
 * @property {EngineInfo} backend the engine that is used
 * @property {EngineInfo[]} engines
 * @property {string | null} note
 */
/**
 * What `onProgress` is told. `loaded` and `total` are bytes while a model loads and images while they are embedded; `total` is 0 if unknown.
 * `measure` means that the engines are compared, for the choice `"auto"`; `method` that one runs the model, with passes as the numbers.
 * @typedef {{phase: "code" | "model" | "compile" | "embed" | "measure" | "method", loaded: number, total: number, method?: string}} Progress
 */
/**
 * @typedef {object} LensOptions
 * @property {string | URL | {manifest: object | string, bytes: ArrayBuffer | Uint8Array | Blob}} [model] address of a model folder or its
 *   `model.json`, or both files' content; the model that comes with famlens by default
 * @property {BackendChoice} [backend] `"auto"` (default) starts on the CPU at once, measures both engines after the first explanation and
 *   goes on with the faster one
 * @property {(progress: Progress) => void} [onProgress]
 * @property {(info: LensInfo) => void} [onInfo] called when {@link Lens.info} changes by itself, after the engines were measured
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
    /** Where the model came from, for whoever loads it once more. @type {{url: string} | {manifest: object | string, bytes: ArrayBuffer | Uint8Array | Blob} | null} */
    model: {
        url: string;
    } | {
        manifest: object | string;
        bytes: ArrayBuffer | Uint8Array | Blob;
    } | null;
    /**
     * @param {Worker} worker
     * @param {LensOptions} options
     */
    constructor(worker: Worker, options: LensOptions);
    /**
     * Loads program and model; {@link createLens} calls this.
     * @param {NonNullable<LensOptions["model"]>} model
     * @param {BackendChoice} backend
     */
    ready(model: NonNullable<LensOptions["model"]>, backend: BackendChoice): Promise<void>;
    /**
     * Decodes an image and keeps it, so that it is embedded only once. Other calls do this by themselves.
     * @param {ImageLike} image
     * @param {{name?: string} & CallOptions} [options]
     * @returns {Promise<LensImage>}
     */
    open(image: ImageLike, options?: {
        name?: string;
    } & CallOptions): Promise<LensImage>;
    /**
     * Lets go of an image that was opened.
     * @param {ImageLike} image
     */
    forget(image: ImageLike): any;
    /**
     * Everything that can be chosen about an explanation, with a sentence on what each value is and where it comes from.
     * @returns {Promise<Choice[]>}
     */
    choices(): Promise<Choice[]>;
    /**
     * The embedding of an image: the pooled target layer, not normalised.
     * @param {ImageLike} image
     * @param {CallOptions} [options]
     * @returns {Promise<{embedding: Float32Array, ms: number, cached: boolean}>}
     */
    embed(image: ImageLike, options?: CallOptions): Promise<{
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
     * Times warm passes on an image (the last query by default), in milliseconds: `forward` alone, `explain` (forward pass and the maps of
     * three classes in one go), and `fam` (the maps alone).
     * @param {{image?: ImageLike, runs?: number} & CallOptions} [request]
     * @returns {Promise<{engine: string, forward: number[], explain: number[], fam: number[]}>}
     */
    bench(request?: {
        image?: ImageLike;
        runs?: number;
    } & CallOptions): Promise<{
        engine: string;
        forward: number[];
        explain: number[];
        fam: number[];
    }>;
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
