// The types of famlens.js. Made by tests/web/types.mjs from the comments in www; do not edit.

/** An error with a code a program can act on and a message meant for people. */
export declare class LensError extends Error {
    code: string;
    /**
     * @param {string} code one of `network`, `image`, `file`, `too_large`, `manifest`, `onnx`, `unsupported`, `node`,
     *   `target`, `argument`, `no_gpu`, `gpu_lost`, `engine`, `crashed`, `disposed`, `storage`, `policy`,
     *   `environment`
     * @param {string} message
     * @param {unknown} [cause] what it was made from
     */
    constructor(code: string, message: string, cause?: unknown);
}

/**
 * Measures explanations over photos of several classes and the boxes around their objects: accuracy, localisation with
 * its floors, and faithfulness if it is asked for, with intervals. Several workers share the photos; the figures are
 * those that one would give.
 * @param {Lens} lens
 * @param {EvaluateRequest} request
 * @returns {Promise<Evaluation>}
 */
export declare function evaluate(lens: Lens, request: EvaluateRequest): Promise<Evaluation>;

/**
 * The boxes in files (Pascal VOC XML, COCO JSON, CUB-200-2011's text files, tables) for each of the photos' paths.
 * @param {Lens} lens
 * @param {(File | {name: string, text: string})[]} files
 * @param {string[]} paths
 * @param {CallOptions} [options]
 * @returns {Promise<{photos: ({file: string, size: [number, number] | null, objects: {label: string | null, box: Box,
 *   difficult: boolean}[]} | null)[], annotated: number}>}
 */
export declare function readBoxes(lens: Lens, files: (File | {
    name: string;
    text: string;
})[], paths: string[], options?: CallOptions): Promise<{
    photos: ({
        file: string;
        size: [number, number] | null;
        objects: {
            label: string | null;
            box: Box;
            difficult: boolean;
        }[];
    } | null)[];
    annotated: number;
}>;

/**
 * An empty gallery for the model of a lens.
 * @param {Lens} lens
 * @param {GalleryOptions} [options]
 * @returns {Promise<Gallery>}
 */
export declare function createGallery(lens: Lens, options?: GalleryOptions): Promise<Gallery>;

/** Many embedded images. Made by {@link createGallery}. */
export declare class Gallery {
    #private;
    /** The images, in the order of their places. @type {GalleryItem[]} */
    items: GalleryItem[];
    /** What makes the embeddings: model, weights, input, target layer, pooling. @type {Origin} */
    origin: Origin;
    /**
     * Adds images. What was embedded before, in this visit or an earlier one, is not embedded again. After an abort what
     * is done stays.
     * @param {Iterable<File | Blob | string>} images
     * @param {{names?: string[], onProgress?: (progress: GalleryProgress) => void} & CallOptions} [options]
     * @returns {Promise<{embedded: number, known: number, failed: {name: string, message: string}[], notKept: string |
     *   null}>} `notKept` says why the browser does not keep these embeddings for the next visit, where it should and
     *   cannot
     */
    add(images: Iterable<File | Blob | string>, { names, onProgress, signal }?: {
        names?: string[];
        onProgress?: (progress: GalleryProgress) => void;
    } & CallOptions): Promise<{
        embedded: number;
        known: number;
        failed: {
            name: string;
            message: string;
        }[];
        notKept: string | null;
    }>;
    /**
     * The images most like a query, best first.
     * @param {ImageLike} query
     * @param {{top?: number, rule?: DuplicateRule} & CallOptions} [options]
     * @returns {Promise<{hits: GalleryHit[], likeness: Likeness, ms: {embed: number, rank: number}}>}
     */
    rank(query: ImageLike, { top, rule, signal }?: {
        top?: number;
        rule?: DuplicateRule;
    } & CallOptions): Promise<{
        hits: GalleryHit[];
        likeness: Likeness;
        ms: {
            embed: number;
            rank: number;
        };
    }>;
    /**
     * What makes a query and an image of the gallery alike, on both sides. The image has to be there, not only its
     * embedding.
     * @param {ImageLike} query
     * @param {number} index
     * @param {ExplainOptions & CallOptions} [options]
     * @returns {Promise<Pair>}
     */
    explain(query: ImageLike, index: number, options?: ExplainOptions & CallOptions): Promise<Pair>;
    /**
     * Groups of near-duplicates, each a list of places. Takes seconds for thousands of images, during which the gallery
     * can be asked other things.
     * @param {{rule?: DuplicateRule, onProgress?: (progress: {done: number, total: number}) => void} & CallOptions}
     *   [options] `onProgress` is told how many images have been compared with all before them
     * @returns {Promise<number[][]>}
     */
    duplicates({ rule, onProgress, signal }?: {
        rule?: DuplicateRule;
        onProgress?: (progress: {
            done: number;
            total: number;
        }) => void;
    } & CallOptions): Promise<number[][]>;
    /**
     * The embeddings as a NumPy file and the images as a CSV table, row by row the same; `famlens search` reads both.
     * @returns {Promise<{npy: Blob, csv: Blob}>}
     */
    export(): Promise<{
        npy: Blob;
        csv: Blob;
    }>;
    /**
     * Adds what {@link Gallery.export} or `famlens index` wrote. Embeddings of another model, layer or pooling are
     * refused.
     * @param {{npy: Blob, csv: Blob}} files
     * @returns {Promise<number>} how many images are new
     */
    import({ npy, csv }: {
        npy: Blob;
        csv: Blob;
    }): Promise<number>;
    /**
     * Takes images out by their places; those behind them move up.
     * @param {number[]} indices
     */
    remove(indices: number[]): Promise<void>;
    /** How many embeddings this browser keeps, of all models together. */
    kept(): Promise<number>;
    /** Forgets the embeddings that the browser keeps; this gallery stays. */
    forgetKept(): Promise<void>;
    /** Ends its workers and frees its memory. */
    dispose(): Promise<void>;
}

/**
 * Compares the embeddings of images under the weights as the file has them and under int8 weights. The lens itself is
 * one side; a second one, on the CPU, is the other and is gone afterwards. Stops at a `signal`.
 * @param {Lens} lens
 * @param {Exclude<ImageLike, LensImage>[]} images
 * @param {{onProgress?: (done: number, total: number) => void} & CallOptions} [options]
 * @returns {Promise<Int8Cost>}
 */
export declare function measureInt8(lens: Lens, images: Exclude<ImageLike, LensImage>[], options?: {
    onProgress?: (done: number, total: number) => void;
} & CallOptions): Promise<Int8Cost>;

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
    /** What it was made with, for whoever makes another one like it. @type {LensOptions} */
    options: LensOptions;
    /** Where the model came from, for whoever loads it once more. @type {Source | null} */
    model: Source | null;
    /**
     * What it was given beside the model, as requests to repeat, for whoever loads it once more.
     * @type {Map<string, [string, object]>}
     */
    given: Map<string, [string, object]>;
    /** @param {LensOptions} [options] */
    constructor(options?: LensOptions);
    /** Loads program and model; {@link createLens} calls this. */
    ready(): Promise<void>;
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
    forget(image: ImageLike): Promise<void>;
    /**
     * Everything that can be chosen about an explanation, with a sentence on each value and its source.
     * @returns {Promise<Choice[]>}
     */
    choices(): Promise<Choice[]>;
    /**
     * The network: layers, blocks, shapes, costs, and what follows a target layer (the model's own by default).
     * @param {string} [target]
     * @returns {Promise<Network>}
     */
    network(target?: string): Promise<Network>;
    /**
     * Takes a projection head from a `.safetensors` file (the state of a torch `nn.Sequential` of Linear and
     * BatchNorm1d), for `head: "file"`; null forgets the one before.
     * @param {Blob | ArrayBuffer | Uint8Array | null} file
     * @returns {Promise<string>} what it is, such as `"Linear 512 -> 512, ReLU, Linear 512 -> 128"`
     */
    loadHead(file: Blob | ArrayBuffer | Uint8Array | null): Promise<string>;
    /**
     * Gives the matrix of the similarities `bilinear` and `mahalanobis`, symmetric, row by row; null to learn it from the
     * images again.
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
     * Whether images opened from now on keep their photo, so that further scales (`finer.scales`) are made from it. It
     * costs three bytes a pixel.
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
     * The embedding of an image: the pooled target layer, or the model's own embedding where the pooling is "model"; not
     * normalised. Of the options `target`, `pooling` and `gemExponent` count.
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
     * Without a `form` it uses `info.model.usualForms`, as checkSupports and explainSupport do.
     * @param {{query: ImageLike, classes: ClassSpec[]} & ExplainOptions & CallOptions} request
     * @returns {Promise<Explanation>}
     */
    explain(request: {
        query: ImageLike;
        classes: ClassSpec[];
    } & ExplainOptions & CallOptions): Promise<Explanation>;
    /**
     * What if a part of the query were covered? Compares what the maps predict with what happens to the scores. `cover`
     * has `boxes` in pixels of the photo, or a `mask`: a grid of values from 0 to 1 over the whole photo, row by row.
     * `with` is `"grey"` (the default), `"blur"`, or another image whose texture is laid over the part.
     * @param {{query: ImageLike, classes: ClassSpec[], cover: {boxes?: [number, number, number, number][], mask?: {data:
     *   ArrayLike<number>, width: number, height: number}}, with?: "grey" | "blur" | ImageLike} & ExplainOptions &
     *   CallOptions} request
     * @returns {Promise<WhatIf>}
     */
    whatIf({ cover, with: fill, ...request }: {
        query: ImageLike;
        classes: ClassSpec[];
        cover: {
            boxes?: [number, number, number, number][];
            mask?: {
                data: ArrayLike<number>;
                width: number;
                height: number;
            };
        };
        with?: "grey" | "blur" | ImageLike;
    } & ExplainOptions & CallOptions): Promise<WhatIf>;
    /**
     * Several methods side by side, with what each costs. With `against` it needs no classes. Those that run the model
     * often tell `onProgress`.
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
     * A random view of an image, as contrastive training makes them: a picture, and what was done to the photo. Equal
     * seeds give equal views.
     * @param {Exclude<ImageLike, LensImage>} image
     * @param {ViewOptions & CallOptions} [options]
     * @returns {Promise<View>}
     */
    view(image: Exclude<ImageLike, LensImage>, options?: ViewOptions & CallOptions): Promise<View>;
    /**
     * Tiles one photo of each class and explains the mosaic for every class under each of the `forms`: a map that tells
     * classes apart lights the tile of its own class.
     * @param {{classes: ClassSpec[], forms?: Form[], side?: 2 | 3 | 4} & ExplainOptions & CallOptions} request
     * @returns {Promise<Mosaic>}
     */
    mosaic({ forms, side, ...request }: {
        classes: ClassSpec[];
        forms?: Form[];
        side?: 2 | 3 | 4;
    } & ExplainOptions & CallOptions): Promise<Mosaic>;
    /**
     * What the whitened and discriminative forms know of images in general; null while they have not been used.
     * @returns {Promise<StatisticsInfo | null>}
     */
    statistics(): Promise<StatisticsInfo | null>;
    /**
     * Computes these statistics from your own images (a hundred make them steady), and uses them from now on. Keep
     * `bytes` for the next visit.
     * @param {ImageLike[]} images
     * @param {{source?: string} & CallOptions} [options] `source` says in words what the images are
     * @returns {Promise<StatisticsInfo & {bytes: Uint8Array}>}
     */
    adaptStatistics(images: ImageLike[], options?: {
        source?: string;
    } & CallOptions): Promise<StatisticsInfo & {
        bytes: Uint8Array;
    }>;
    /**
     * Uses statistics made by {@link Lens.adaptStatistics} or `famlens statistics`; null goes back to the model's.
     * @param {Uint8Array | null} bytes
     * @returns {Promise<StatisticsInfo | null>}
     */
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
     * Times warm passes on an image (the last query by default), in milliseconds, one value a run and all in turn: see
     * {@link Benchmark}.
     * @param {{image?: ImageLike, runs?: number} & CallOptions} [request]
     * @returns {Promise<Benchmark>}
     */
    bench(request?: {
        image?: ImageLike;
        runs?: number;
    } & CallOptions): Promise<Benchmark>;
    /**
     * Explains a plain picture once: a model that loads and then cannot run is found out here, before anything is
     * replaced by it.
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    probe(options?: CallOptions): Promise<void>;
    /**
     * Lets no image go before `work` is done, which may use images by their numbers. For the other parts of this module.
     * @template T
     * @param {() => Promise<T>} work
     * @returns {Promise<T>}
     */
    whileUsing<T>(work: () => Promise<T>): Promise<T>;
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

/**
 * What the cells of the other image add to the similarity together with one cell of this one.
 * @param {CellPairs} pairs
 * @param {"a" | "b"} side the image that the cell belongs to
 * @param {number} cell its number, row by row
 * @returns {Float32Array} one value for each cell of the other image
 */
export declare function termsOf(pairs: CellPairs, side: "a" | "b", cell: number): Float32Array;

/**
 * Deletes all that famlens keeps in this browser for pages of this origin. Open galleries and lenses go on, and keep
 * anew what comes from now on.
 * @returns {Promise<void>}
 * @throws {LensError} `storage` naming what could not be deleted; the rest is gone
 */
export declare function forgetEverything(): Promise<void>;

/**
 * Lists all that famlens keeps in this browser for pages of this origin. Storage that does not answer is given up after
 * some seconds and says so.
 * @returns {Promise<Stored[]>}
 */
export declare function stored(): Promise<Stored[]>;

export type AfterTarget = {
    says: string;
    steps: {
        layer: number | null;
        says: string;
        kind: "pooling" | "linear" | "normalisation" | "activation" | "layers";
    }[];
    module: {
        pooling: string;
        head: string;
        affine: boolean;
        stoppedAt: string | null;
    } | null;
    whyNot: string | null;
};

export type BackendChoice = "auto" | "webgpu" | "cpu";

export type Benchmark = {
    /**
     * the engine that ran
     */
    engine: "webgpu" | "cpu";
    /**
     * forward passes that end at the embedding
     */
    forward: number[];
    /**
     * forward passes with the maps of three classes in the same go
     */
    explain: number[];
    /**
     * the maps of three classes alone, on activation maps that are already there
     */
    fam: number[];
    /**
     * forward passes with discriminative FAM of three classes, at the model's input
     * size; empty without statistics
     */
    discriminative: number[];
    /**
     * the same at the input size of the class-specific forms
     */
    discriminative_large: number[];
};

export type Box = [number, number, number, number];

export type CallOptions = {
    signal?: AbortSignal;
};

export type CellPairs = {
    a: [number, number];
    b: [number, number];
    terms: Float32Array;
    sum: number;
    constant: number;
    similarity: number;
    score: string;
};

export type ChannelShare = {
    channel: number;
    contribution: number;
    share: number;
};

export type Choice = {
    kind: string;
    label: string;
    sentence: string;
    input: "one" | "switch" | "number" | "numbers" | "class" | "layers" | "layer" | "logits";
    /**
     * a value may need two classes or more,
     * statistics of images in general, a mean embedding that came with the model, a matrix from a file or learned, or a
     * head's file
     */
    values?: {
        name: string;
        label: string;
        sentence: string;
        source: string;
        note: string;
        needs: ("classes" | "statistics" | "mean" | "matrix" | "head")[];
    }[];
    min?: number;
    max?: number;
    step?: number;
    default: any;
    /**
     * the part of an explanation that it is about
     */
    group: "map" | "decision" | "embedding" | "place";
    /**
     * whether its value may name something that only this model has
     */
    ofModel: boolean;
    /**
     * it counts while one of these other choices has one of these
     * values; always if there are none
     */
    applies: {
        kind: string;
        values: string[];
    }[];
};

export type ClassScore = {
    name: string;
    similarity: number;
    constant: number;
    residual: number;
};

export type ClassSpec = {
    name: string;
    supports: ImageLike[];
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

export type Decision = {
    class: string | null;
    known: boolean | null;
    closeness: "clear" | "close" | "too close" | null;
    first: string;
    second: string | null;
    evidence: number | null;
    bound: number | null;
    margin: number | null;
    clear: number | null;
    unit: string;
    strongest: number[];
    bars: ([number, number] | null)[];
    headline: string;
    says: string;
    numbers: string;
};

export type DuplicateRule = {
    cosine?: number;
    confirmed?: number;
    bits?: number;
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

export type EvaluatePhoto = {
    image: ImageLike;
    path?: string;
    boxes?: Box[];
};

export type EvaluateRequest = {
    classes: {
        name: string;
        photos: EvaluatePhoto[];
    }[];
    /**
     * Pascal VOC XML, COCO JSON, CUB-200-2011's text files or
     * tables
     */
    boxes?: (File | {
        name: string;
        text: string;
    })[];
    /**
     * ways to explain; the others are compared with the
     * first one. FAM by default
     */
    variants?: {
        name: string;
        options?: ExplainOptions;
    }[];
    /**
     * how many other photos of each class are its supports; 5 by default
     */
    shots?: number;
    /**
     * how many other classes are in each explanation; 19 by default
     */
    against?: number;
    /**
     * of the draws: which photos support which, and among which other classes; 1 by default, as
     * on the command line
     */
    seed?: number;
    /**
     * what counts as the object: a share of a map's range, or of its energy
     * (`"energy:0.94"`); each form's own by default
     */
    threshold?: number | string;
    /**
     * takes dozens of passes a photo and variant
     */
    faithfulness?: {
        temperature?: number;
        fill?: "mean" | "blur";
        steps?: number;
        seed?: number;
        controls?: boolean;
    } | null;
    /**
     * how many workers share the photos; by default what cores and memory allow, and none
     * where a GPU computes
     */
    workers?: number;
    onProgress?: (progress: {
        done: number;
        total: number;
        secondsLeft: number;
    }) => void;
    signal?: AbortSignal;
};

export type Evaluation = {
    /**
     * one for each photo and variant, floor or control
     */
    rows: {
        table: string;
        setting: string;
        variant: string;
        image: string;
        class: string;
        size?: "small" | "medium" | "large";
        values: Record<string, number>;
    }[];
    aggregates: {
        table: string;
        setting: string;
        variant: string;
        size: string | null;
        values: Record<string, Interval>;
    }[];
    differences: {
        table: string;
        setting: string;
        variant: string;
        baseline: string;
        values: Record<string, {
            difference: Interval;
            wins: number;
            losses: number;
        }>;
    }[];
    /**
     * what the figures mean
     */
    measures: {
        name: string;
        label: string;
        sentence: string;
        source: string;
        more_is_better: boolean | null;
    }[];
    /**
     * photos that could not be measured
     */
    skipped: {
        photo: string;
        reason: string;
    }[];
};

export type ExplainOptions = {
    /**
     * How the map is made.
     */
    method?: "fam" | "mean" | "cam" | "grad-cam" | "grad-cam++" | "layer-cam" | "hires-cam" | "xgrad-cam" | "eigen-cam" | "score-cam" | "ablation-cam" | "rise" | "occlusion" | "random";
    /**
     * Outputs of the model's own classifier, in
     * place of similarities to your classes.
     */
    against?: {
        logit: string | number | (string | number)[];
    } | null;
    /**
     * Whose activation maps are weighed; the target if none.
     */
    layer?: string | null;
    /**
     * How the
     * weights of the channels are made.
     */
    form?: "fam" | "centred" | "contrastive" | "cam" | "magnitude" | "whitened" | "discriminative";
    /**
     * The class that the contrastive form is against; all others if none.
     */
    rival?: number | null;
    /**
     * How alike two embeddings are; it ranks the classes.
     */
    similarity?: "cosine" | "dot" | "euclidean" | "centred-cosine" | "pearson" | "bilinear" | "mahalanobis";
    /**
     * How activation maps become an embedding.
     */
    pooling?: "gap" | "gmp" | "gem" | "crow" | "model" | null;
    /**
     * 1 is the average; the larger, the closer to the maximum.
     */
    gemExponent?: number;
    /**
     * What stands for a class.
     */
    decide?: "prototype" | "nearest" | "mean";
    /**
     * What is subtracted from embeddings before they are
     * compared.
     */
    center?: "none" | "model" | "supports" | "gallery";
    /**
     * Before they are averaged and compared (the L2N of SimpleShot).
     */
    l2?: boolean;
    /**
     * Takes half of what the supports' borders look like off a class; for supports that
     * are not cropped tight.
     */
    borderTerm?: boolean;
    /**
     * What a cell must have more evidence than; the form's own if none.
     */
    offset?: number | null;
    /**
     * How strictly each cell goes to the class with the most evidence.
     */
    sharpness?: number;
    /**
     * 0 whitens fully, 1 only subtracts the mean.
     */
    cellShrinkage?: number;
    /**
     * What lies between pooled features and embedding.
     */
    head?: "none" | "model" | "file" | "whitening" | "lda";
    /**
     * How much learned covariances are pulled towards independent channels.
     */
    shrinkage?: number;
    /**
     * Channels that speak against are left out.
     */
    weightRelu?: boolean;
    /**
     * How the weights of the channels are scaled.
     */
    weightNorm?: "none" | "minmax" | "sum" | "softmax";
    /**
     * What speaks against is left out of the map.
     */
    mapRelu?: boolean;
    /**
     * How the values of the map are scaled.
     */
    mapNorm?: "none" | "minmax" | "sum" | "softmax";
    /**
     * The layers whose activation maps are shown; the first one decides.
     */
    targets?: string[];
    /**
     * How the maps of several layers become one.
     */
    fusion?: "mean" | "product" | "max";
    /**
     * seed: Start of the random numbers of RISE and of random weights. channels: How many
     * channels Score-CAM tries, the most active first; 0 for all. masks: How many random masks RISE takes. grid: Cells
     * along each side of the grid of RISE's masks. keep: How likely a cell of RISE's masks is to be kept. window: Side of
     * the grey square of occlusion, in pixels of the input. stride: How far the grey square of occlusion moves, in pixels
     * of the input.
     */
    methodOptions?: {
        seed?: number;
        channels?: number;
        masks?: number;
        grid?: number;
        keep?: number;
        window?: number;
        stride?: number;
    };
    /**
     * look:
     * The part of the photo around the box is looked at again, with smaller cells. flip: The map is averaged with that of
     * the mirror image: two passes for one. shifts: The image is looked at n x n times, shifted by parts of a cell, for n
     * times the cells along each side. scales: The image is also looked at smaller or larger.
     */
    finer?: {
        look?: "auto" | "never" | "always";
        flip?: boolean;
        shifts?: number;
        scales?: number[];
    };
    /**
     * a single target layer, in place of `targets`
     */
    target?: string | null;
};

export type Explanation = {
    /**
     * how sure it is; null for outputs of the model's classifier
     */
    decision: Decision | null;
    /**
     * for every class, the mean evidence of the cells above the offset, before classes share
     * them; empty for forms that weigh channels
     */
    evidence: number[];
    /**
     * that the maps of all classes share, for `range` of {@link RenderOptions}
     */
    scale: Scale;
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
     * what `similarity` is, and so what ranks the classes: `"cosine"`, `"centred cosine"` and so
     * on
     */
    score: string;
    /**
     * plain sentences about the choices: that one cannot change the map, that a map is zero
     * everywhere, and why
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
     * for every class, what the activation maps were multiplied with
     */
    weights: Float32Array[];
    /**
     * of several target
     * layers, the maps before they were fused
     */
    layers: {
        target: string;
        maps: {
            data: Float32Array;
            width: number;
            height: number;
        }[];
    }[];
    /**
     * how many forward passes of the query the maps are made of
     */
    passes: number;
    /**
     * the part of the photo that a second look saw, in pixels
     */
    looked: [number, number, number, number] | null;
    /**
     * for every class, the ten channels that contribute most of those that fire in the
     * query
     */
    top: ChannelShare[][];
    /**
     * what each channel has in the query, above what the form measures it from: 0, or the
     * mean of photos in general; channels over 0 fire. Empty where no features are weighed
     */
    present: Float32Array;
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
     * the layer whose channels `contributions` are of
     */
    target: string;
    /**
     * milliseconds: the
     * whole call, the network on new support images, the network on the query, weights and maps, and the further looks of
     * a finer map
     */
    timings: {
        total: number;
        supports: number;
        forward: number;
        mix: number;
        finer: number;
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

export type Form = NonNullable<ExplainOptions["form"]>;

export type GalleryHit = {
    index: number;
    name: string;
    similarity: number;
    duplicate: WasmHit["duplicate"];
    item: GalleryItem;
};

export type GalleryItem = {
    name: string;
    content: string;
    width: number;
    height: number;
    source: ImageLike | null;
};

export type GalleryOptions = {
    /**
     * the layer whose pooled activation maps are the embeddings; the model's by default
     */
    target?: string | null;
    pooling?: string | null;
    gemExponent?: number;
    /**
     * how many embed at once; by default what cores and memory allow, 0 for none beside the
     * lens
     */
    workers?: number;
    /**
     * whether the browser keeps the embeddings (not the images) for the next visit; true by
     * default
     */
    keep?: boolean;
};

export type GalleryProgress = {
    done: number;
    total: number;
    embedded: number;
    known: number;
    failed: number;
};

export type ImageLike = File | Blob | string | URL | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement | LensImage;

export type Int8Cost = {
    stored: StoredWeights;
    images: number;
    mean: number;
    least: number;
    worst: number;
    agreement: number | null;
};

export type Interval = {
    mean: number;
    low: number;
    high: number;
    n: number;
};

export type LensImage = {
    id: number;
    name: string;
    width: number;
    height: number;
};

export type LensInfo = {
    /**
     * `usualForms` are the forms that {@link Lens.explain} uses if the
     * request names none: for one class, and for several; `assumptions` are sentences on what famlens took from the file
     * or assumed because the description does not say it
     */
    model: {
        name: string;
        identity: string;
        licence: string;
        inputWidth: number;
        inputHeight: number;
        geometry: string;
        channels: string;
        assumptions: string[];
        target: string;
        targets: string[];
        parameters: number;
        bytes: number;
        pooling: string;
        hasMeanEmbedding: boolean;
        hasStatistics: boolean;
        usualForms: [Form, Form];
        storedWeights: StoredWeights | null;
    };
    /**
     * the engine that is used
     */
    backend: EngineInfo;
    engines: EngineInfo[];
    note: string | null;
};

export type LensMap = {
    data: Float32Array;
    width: number;
    height: number;
    min: number;
    max: number;
    /**
     * width and height of the network's input that the map is of; the model's own if absent
     */
    input?: number[];
    box?: [number, number, number, number] | null;
    peak?: [number, number] | null;
    /**
     * the share of the range at which the box is cut: what the form's own threshold
     * comes to for this map
     */
    threshold?: number | null;
    constant?: boolean;
    /**
     * whether every value is zero; the notes say why
     */
    zero?: boolean;
    /**
     * what is said in place of a map that shows nothing
     */
    says?: string | null;
};

export type LensOptions = {
    /**
     * address of a model folder or its `model.json`, or what a model's npm package exports, or both files' content, and
     * in `external` the files beside the ONNX file that hold its weights, by their names; the model that comes with
     * famlens by default
     */
    model?: string | URL | ModelFiles | {
        manifest: object | string;
        bytes: ArrayBuffer | Uint8Array | Blob;
        statistics?: ArrayBuffer | Uint8Array | Blob;
        external?: Record<string, ArrayBuffer | Uint8Array | Blob>;
    };
    /**
     * `"int8"` stores float weights as int8, for a quarter of the memory; what
     * `model.json` says by default
     */
    weights?: "stored" | "int8";
    /**
     * `"auto"` (default) starts on the CPU at once, measures both engines after the
     * first explanation and goes on with the faster one
     */
    backend?: BackendChoice;
    onProgress?: (progress: Progress) => void;
    /**
     * called when `lens.info` changes by itself, after the engines were
     * measured
     */
    onInfo?: (info: LensInfo) => void;
    /**
     * ends the loading
     */
    signal?: AbortSignal;
    patience?: Patience;
    /**
     * address of the worker's module, where it is not the one that comes with this one
     */
    worker?: string | URL;
    /**
     * address of the wasm, where it is not the one that comes with this module
     */
    program?: string | URL;
};

export type Likeness = {
    like: boolean | null;
    reached: number | null;
    bound: number | null;
    says: string;
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

export type ModelFiles = {
    url: string | URL;
    file?: string | URL;
    statistics?: string | URL;
};

export type Mosaic = {
    /**
     * to draw maps on with `lens.render`; `lens.forget` it when it is no longer shown
     */
    image: LensImage;
    picture: ImageData;
    /**
     * tiles a side
     */
    side: number;
    tiles: {
        class: number;
        image: number;
    }[];
    chance: number[];
    notes: string[];
    forms: (Explanation & {
        energy: (number[] | null)[];
        own: (number | null)[];
        hits: boolean[];
        auc: number[];
    })[];
};

export type Network = {
    /**
     * `[1, C, H, W]`
     */
    input: number[];
    layers: NetworkLayer[];
    blocks: NetworkBlock[];
    /**
     * weights and biases, each counted once
     */
    parameters: number;
    /**
     * products of one forward pass
     */
    multiplyAdds: number;
    target: number;
    after: AfterTarget;
};

export type NetworkBlock = {
    label: string;
    kind: "transformer" | "attention" | "mlp" | "residual" | "gate" | "branches" | "dense" | "branch" | "layers";
    first: number;
    count: number;
    blocks: NetworkBlock[];
};

export type NetworkLayer = {
    name: string;
    label: string;
    op: string;
    detail: string;
    shape: number[];
    parameters: number;
    multiplyAdds: number;
    cost: number;
    bytes: number;
    inputs: number[];
    maps: [number, number, number] | null;
    layout: "channels first" | "channels last" | "tokens" | null;
    tokens: [number, number];
    whyNot: string | null;
};

export type Origin = {
    model: string;
    weights: string;
    input: string;
    target: string;
    pooling: string;
    channels: number;
    key: string;
};

export type Pair = {
    similarity: number;
    /**
     * the name of the similarity
     */
    score: string;
    form: string;
    /**
     * what a person should know about the choices
     */
    notes: string[];
    /**
     * what in `a` makes it like `b`
     */
    a: PairSide;
    b: PairSide;
    /**
     * how many images went through the network for this call
     */
    embedded: number;
    ms: number;
    backend: "webgpu" | "cpu";
    /**
     * The similarity as a sum over pairs of cells: `terms` has one row for each cell of `a`, one column for each cell of
     * `b`, cells row by row; they sum to `sum`, and with `constant` to the `similarity`. `a` and `b` are the numbers of
     * cells across and down.
     */
    note: string | null;
};

export type PairSide = {
    map: LensMap;
    contributions: Float32Array;
    width: number;
    height: number;
};

export type Patience = {
    start?: number;
    download?: number;
    call?: number;
    silence?: number;
};

export type Progress = {
    phase: "code" | "load" | "compile" | "embed" | "measure" | "method";
    loaded: number;
    total: number;
    method?: string;
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
     * the raw values that the ends of the colours stand for; the map's own by
     * default. A map that stays at the low end darkens the photo
     */
    range?: [number, number];
    /**
     * of contour and box, as a part of the range; or as one of the energy, such as
     * `"energy:0.94"`; 0.2 by default
     */
    threshold?: number | string;
};

export type Rendered = {
    image: ImageData;
    contour: ArrayLike<number>[];
    box: [number, number, number, number] | null;
    peak: [number, number] | null;
    /**
     * what the threshold comes to, as a part of the range
     */
    threshold?: number | null;
};

export type Scale = {
    low: number;
    high: number;
    lowSays: string;
    highSays: string;
};

export type Source = ({
    url: string;
    file?: string;
    statistics?: string;
} | {
    manifest: object | string;
    bytes: ArrayBuffer | Uint8Array | Blob;
    statistics?: ArrayBuffer | Uint8Array | Blob;
    external?: Record<string, ArrayBuffer | Uint8Array | Blob>;
}) & {
    weights?: Weights;
};

export type StatisticsInfo = {
    layer: string;
    width: number;
    height: number;
    images: number;
    cells: number;
    source: string;
    adapted: boolean;
};

export type Stored = {
    kind: "models" | "embeddings" | "statistics" | "settings";
    where: string;
    says: string;
    count: number | null;
    error: string | null;
};

export type StoredWeights = {
    tensors: number;
    bytesBefore: number;
    bytesAfter: number;
};

export type SupportCheck = {
    classes: string[];
    confusion: number[][];
    /**
     * class by class, in the order given
     */
    images: {
        image: number;
        name: string;
        class: number;
        predicted: number | null;
        scores: number[];
        margin: number | null;
        decision: Decision | null;
    }[];
    accuracy: number | null;
    score: string;
    notes: string[];
};

export type View = {
    image: ImageData;
    view: ViewParameters;
    seed: number;
};

export type ViewOptions = {
    seed?: number;
    crop?: boolean;
    flip?: boolean;
    jitter?: boolean;
    grey?: boolean;
    blur?: boolean;
};

export type ViewParameters = {
    crop: [number, number, number, number] | null;
    flip: boolean;
    grey: boolean;
    blur: number | null;
    jitter: {
        brightness: number;
        contrast: number;
        saturation: number;
        hue: number;
    } | null;
};

export type WasmHit = {
    index: number;
    similarity: number;
    duplicate: {
        of: "sameFile" | "query";
    } | {
        of: "hit";
        rank: number;
    } | null;
};

export type Weights = "stored" | "int8";

export type WhatIf = {
    classes: {
        name: string;
        before: number;
        after: number;
        measured: number;
        predicted: number | null;
        share: number | null;
        says: string;
    }[];
    decision: Decision | null;
    score: string;
    covered: number;
};
