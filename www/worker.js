// The worker: owns the wasm, the device and the session. One request at a time, since the session is one machine.

import { begin } from "./lens/begun.js";
import { setStall } from "./lens/download.js";
import { galleryOperations } from "./lens/gallery-worker.js";
import { Library } from "./lens/library.js";
import { loadModel, wholeModel } from "./lens/model.js";
import { Failure, plain } from "./lens/failure.js";
import { loadProgram, startProgram, sumOf } from "./lens/program.js";
import { Queue } from "./lens/queue.js";
import { Specific } from "./lens/specific.js";
import { topChannels } from "./lens/top.js";

/**
 * @import { WasmExplanation, WasmLens, WasmMap } from "./lens/wasm.js"
 * @import { Progress } from "./lens/types.js"
 */

/** @type {WasmLens | null} */
let lens = null;
/** @type {Library | null} */
let library = null;
/** @type {Specific | null} */
let specific = null;
/** @type {import("./lens/wasm.js").WasmGalleries | null} */
let galleries = null;
/** Whether the engines are still to be compared: the choice is "auto", and nothing has been explained yet. */
let unmeasured = false;
/** What the wasm exports. @type {{memory: WebAssembly.Memory} | null} */
let program = null;
/** How many seconds a script may take, of which nobody sees how far it is. */
let scriptSeconds = 60;
/** Size of the model's file. */
let modelBytes = 0;
/** @type {number | null} */
let lastQuery = null;

/** @param {Progress} progress */
function report(progress) {
  queue.progress();
  postMessage({ id: 0, progress });
}

/**
 * @returns {{lens: WasmLens, library: Library, specific: Specific, galleries: import("./lens/wasm.js").WasmGalleries}}
 */
function session() {
  if (!lens || !library || !specific || !galleries) throw new Failure("argument", "The model has not been loaded yet.");
  return { lens, library, specific, galleries };
}

/** The public name of an engine. @param {string} kind @returns {"webgpu" | "cpu"} */
const publicKind = kind => (kind === "gpu" ? "webgpu" : "cpu");

/** @param {string} choice */
const wasmChoice = choice => (choice === "webgpu" ? "gpu" : choice);

function info() {
  const { lens, specific } = session();
  const found = lens.info();
  return {
    ...found,
    model: { ...found.model, bytes: modelBytes, usualForms: specific.usualForms },
    backend: found.backend && { ...found.backend, kind: publicKind(found.backend.kind) },
    engines: found.engines.map(engine => ({ ...engine, kind: publicKind(engine.kind) })),
  };
}

/**
 * What each request does. `cancelled` says whether nobody waits any more.
 * @type {Record<string, (args: any, cancelled: () => boolean) => unknown>}
 */
const operations = {
  async create({ model, backend, program: at, patience }) {
    if (patience?.start) scriptSeconds = patience.start;
    if (patience?.download) setStall(patience.download);
    if (patience?.call) queue.patience = patience.call;
    report({ phase: "code", loaded: 0, total: 0 });
    const sum = sumOf("url" in model ? 2 : 1, (loaded, total) => report({ phase: "load", loaded, total }));
    const [wasm, files] = await Promise.all([
      loadProgram(at, scriptSeconds, sum[0]).then(loaded => {
        program = loaded.program;
        return loaded.module;
      }),
      loadModel(model, sum[1] ?? (() => {})),
    ]);
    report({ phase: "compile", loaded: 0, total: 0 });
    const bytes = wholeModel(files, wasm.withExternalData);
    modelBytes = bytes.length;
    lens = await wasm.Lens.create(files.manifest, bytes, wasmChoice(backend));
    library = new Library(lens);
    specific = new Specific(lens, files.statistics);
    galleries = wasm.LensGallery;
    unmeasured = backend === "auto";
    return info();
  },

  async setBackend({ backend }) {
    const { lens } = session();
    try {
      await lens.setBackend(wasmChoice(backend));
    } catch (error) {
      // Why it is not to be had stands in the info, for whoever shows the choice.
      postMessage({ id: 0, info: info() });
      throw error;
    }
    unmeasured = backend === "auto";
    if (unmeasured && lastQuery !== null) await calibrate(lastQuery);
    return info();
  },

  release({ id }) {
    if (session().library.release(id) && id === lastQuery) lastQuery = null;
  },

  choices: () => session().lens.choices(),

  network: ({ target }) => session().lens.network(target),

  loadHead({ bytes }) {
    // To the wasm no bytes mean to forget the one before.
    if (bytes?.length === 0) throw new Failure("argument", "The file is empty.");
    return session().lens.loadHead(bytes ?? new Uint8Array());
  },

  setMatrix: ({ values }) => session().lens.setMatrix(values ?? undefined),

  loadMatrix: ({ bytes }) => session().lens.loadMatrix(bytes),

  keepPhotos: ({ keep }) => session().lens.keepPhotos(keep),

  async checkSupports({ classes, options }) {
    const { lens, specific } = session();
    return lens.checkSupports(classes, await specific.settle(options, classes));
  },

  embed: ({ id, options }) => session().lens.embed(id, options),

  async explain({ query, classes, options: chosen }, cancelled) {
    const { lens, specific } = session();
    const begun = performance.now();
    const options = await specific.settle(chosen, classes);
    const supports = /** @type {number[]} */ ([...new Set(classes.flatMap((/** @type {any} */ one) => one.supports))]);
    // One by one, so that a request nobody waits for any more ends between two images.
    let embedded = 0;
    let before = 0;
    for (const [done, id] of supports.entries()) {
      const { cached, ms } = await lens.prepare(id, options);
      if (cached) continue;
      embedded += 1;
      before += ms;
      report({ phase: "embed", loaded: done + 1, total: supports.length + 1 });
      await tick();
      if (cancelled()) throw new Failure("cancelled", "Nobody waits for this any more.");
    }
    const found = await lens.explain(query, classes, options);
    lastQuery = query;
    tellChange();
    const timings = { ...found.timings, supports: before + found.timings.supports, total: performance.now() - begun };
    return { ...publicExplanation(found, session().library.size(query)), embedded: embedded + found.embedded, timings };
  },

  async whatIf({ query, photo, classes, options: chosen, cover }) {
    const { lens, specific } = session();
    const options = await specific.settle(chosen, classes);
    return lens.whatIf(query, classes, options, { ...cover, ...(photo !== undefined && { photo }) });
  },

  async explainSupport({ id, index, classes, options }) {
    const { lens, specific } = session();
    return lens.explainSupport(id, index, classes, await specific.settle(options, classes));
  },

  statistics: () => session().specific.describe(),

  setStatistics({ bytes }) {
    const found = session().specific.set(bytes);
    // With statistics, other forms are usual.
    postMessage({ id: 0, info: info() });
    return found;
  },

  async adaptStatistics({ ids, source }, cancelled) {
    const found = await session().specific.adapt(ids, source, async loaded => {
      report({ phase: "embed", loaded, total: ids.length });
      await tick();
      if (cancelled()) throw new Failure("cancelled", "Nobody waits for this any more.");
    });
    postMessage({ id: 0, info: info() });
    return found;
  },

  async mosaic({ classes, options, side }, cancelled) {
    const { specific, library } = session();
    await specific.need(options);
    const { id, width, height, forms, ...found } = await specific.mosaic(classes, options, side);
    const image = library.adopt({ id, name: "mosaic", width, height });
    await tick();
    if (cancelled()) {
      library.release(id);
      throw new Failure("cancelled", "Nobody waits for this any more.");
    }
    const own = forms.map(({ explanation, ...scores }) => ({ ...publicExplanation(explanation, image), ...scores }));
    return { ...found, image, forms: own };
  },

  async compareMethods({ query, classes, methods, options }, cancelled) {
    const found = await session().lens.compareMethods(
      query,
      classes,
      methods,
      options,
      async (method, loaded, total) => {
        report({ phase: "method", method, loaded, total });
        await tick();
        return !cancelled();
      },
    );
    return { ...found, backend: publicKind(found.backend) };
  },

  async pair({ a, b, options }) {
    const { lens, library } = session();
    const found = await lens.pair(a, b, options);
    lastQuery = a;
    tellChange();
    const side = (/** @type {WasmExplanation} */ one, /** @type {number} */ id) => ({
      map: one.maps[0],
      contributions: one.contributions[0],
      width: library.size(id).width,
      height: library.size(id).height,
    });
    const { form, score, notes, note } = found.a;
    const ms = found.a.timings.total + found.b.timings.total;
    const embedded = found.a.embedded + found.b.embedded;
    return {
      similarity: found.similarity,
      form,
      score,
      notes: [...new Set([...notes, ...found.b.notes])],
      a: side(found.a, a),
      b: side(found.b, b),
      embedded,
      ms,
      backend: publicKind(found.a.backend),
      note,
    };
  },

  whereToWhere: ({ a, b, options }) => session().lens.whereToWhere(a, b, options),

  async channels({ id, indices, target }) {
    const { width, height, data } = await session().lens.channels(id, indices, target ?? undefined);
    const size = width * height;
    return Array.from(indices, (_, i) => mapOf(data.slice(i * size, (i + 1) * size), width, height));
  },

  render({ id, map, options }) {
    const { width, height, rgba, contour, box, peak } = session().lens.render(
      id,
      map.data,
      map.width,
      map.height,
      options,
      map.input,
    );
    return { image: new ImageData(rgba, width, height), contour, box, peak };
  },

  valueAt: ({ id, map, x, y }) => session().lens.valueAt(id, map.data, map.width, map.height, x, y, map.input),

  readBoxes: ({ files, paths }) => session().lens.readBoxes(files, paths),

  episodes: ({ photos, seed, shots, against }) => session().lens.episodes(photos, seed, shots, against),

  async evaluateImage({ id, own, classes, boxes, options }) {
    const { lens, specific } = session();
    await specific.need((options.variants ?? []).map((/** @type {any} */ variant) => variant.options ?? {}));
    return lens.evaluateImage(id, own, classes, boxes, options);
  },

  summarise: ({ rows, bootstrap }) => session().lens.summarise(rows, bootstrap),

  async bench({ id, runs }) {
    const image = id ?? lastQuery;
    if (image === null) throw new Failure("argument", "Nothing has been explained yet, so there is no image to time.");
    const { lens, specific } = session();
    await specific.need([{ form: "discriminative" }]);
    return lens.bench(image, runs);
  },

  loseGpu: () => session().lens.loseGpu(),

  /** Bytes of the wasm's memory, which never shrinks. For the tests. */
  memory: () => program?.memory.buffer.byteLength ?? 0,

  ...galleryOperations(session),
};

/**
 * An explanation as pages get it.
 * @param {WasmExplanation} found
 * @param {{width: number, height: number}} size of the query
 */
function publicExplanation(found, { width, height }) {
  const best = found.maps[found.predicted];
  return {
    ...found,
    map: best,
    box: best.box,
    peak: best.peak,
    query: { width, height },
    top: found.contributions.map(all => topChannels(all, 10, found.present)),
    backend: publicKind(found.backend),
  };
}

/** The engine in use and its note, as the page knows them. */
let engineOnPage = "";

/** Tells the page when another engine has taken over, or there is something new to say. */
function tellChange() {
  const now = info();
  const text = `${now.backend?.kind} ${now.note}`;
  if (text !== engineOnPage && engineOnPage !== "") postMessage({ id: 0, info: now });
  engineOnPage = text;
}

/** Compares the engines on an image and goes on with the faster one. @param {number} id */
async function calibrate(id) {
  unmeasured = false;
  report({ phase: "measure", loaded: 0, total: 0 });
  await session().lens.calibrate(id);
}

/** How long nothing must be asked for before the engines are compared: the first explanation is to be seen first. */
const QUIET = 600;
let quiet = 0;

function calibrateWhenQuiet() {
  clearTimeout(quiet);
  quiet = setTimeout(async () => {
    // All in one job, since the session may not be asked anything while another job has it.
    await queue.push({
      id: -1,
      run: async () => {
        // The user may have chosen an engine while this waited.
        if (!unmeasured || lastQuery === null) return;
        try {
          await calibrate(lastQuery);
        } catch {
          // The engine that runs goes on running; what is wrong with the other one stands in the info.
        }
        postMessage({ id: 0, info: info() });
      },
    });
  }, QUIET);
}

/**
 * A map with its range.
 * @param {Float32Array<ArrayBuffer>} data
 * @param {number} width
 * @param {number} height
 * @returns {WasmMap}
 */
function mapOf(data, width, height) {
  let min = Infinity;
  let max = -Infinity;
  for (const value of data) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { data, width, height, min, max, box: null, peak: null, threshold: null, constant: min === max };
}

/** Lets messages in. */
function tick() {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
}

const queue = new Queue();

/** What takes many passes of the model and tells of none of them. */
const OF_MANY_STEPS = new Set(["bench", "checkSupports", "evaluateImage", "mosaic", "setBackend"]);

/** Requests under way, and how the page is told now and then that the worker is there while it waits for something. */
let underWay = 0;
const HEARTBEAT = 5000;
setInterval(() => {
  if (underWay > 0) postMessage({ id: 0 });
}, HEARTBEAT);

/**
 * @param {{id: number, op: string, args: any, urgent?: boolean}} request
 * @returns {Promise<any>}
 */
async function answer({ id, op, args, urgent }) {
  // Fetching and hashing images needs no session, so many run at once; only the decoding waits its turn.
  if (op === "open") return session().library.open(args.name, args.source, run => queue.push({ id, run }));
  if (op === "view")
    return session().library.view(args.name, args.source, args.seed, args.allowed, run => queue.push({ id, run }));
  const steps = OF_MANY_STEPS.has(op);
  return queue.push({ id, urgent, steps, run: cancelled => operations[op](args, cancelled) });
}

/** Has files come that will be asked for. @param {{program: string, files: {url: string, what: string}[]}} all */
function beginAll({ program, files }) {
  startProgram(program);
  for (const { url, what } of files) begin(url, what);
}

addEventListener("message", async ({ data }) => {
  if (data.op === "cancel") return queue.cancel(data.id);
  if (data.op === "alive") return postMessage({ id: 0 });
  if (data.op === "begin") return beginAll(data.args);
  underWay += 1;
  try {
    postMessage({ id: data.id, value: await answer(data) });
  } catch (error) {
    if (error instanceof Failure && error.code === "cancelled") return;
    postMessage({ id: data.id, error: plain(error) });
  } finally {
    underWay -= 1;
  }
  if (unmeasured && lastQuery !== null) calibrateWhenQuiet();
});

// The page knows by this that the scripts have been loaded.
postMessage({ id: 0 });
