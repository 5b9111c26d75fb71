// Evaluation of a folder of photos: each photo is explained for its own class and measured against its boxes. Which
// photos support which, and the figures, are the wasm's, which draws and measures as `famlens evaluate` does; this
// gives
// it one photo after the other, so that a page can show how far it is and stop it.

import { sha256 } from "./digest.js";
import { LensError, bounded } from "./errors.js";
import { FEW, Pool, isOfWorker, poolSize, sendable } from "./pool.js";
import { isHandle } from "./sources.js";

/**
 * @import { Lens } from "./lens.js"
 * @import { PoolWorker } from "./pool.js"
 * @import { CallOptions, ExplainOptions, ImageLike, LensImage } from "./types.js"
 *
 * A photo that could be opened: its number in the lens, and what a worker can be sent.
 * @typedef {{id: number, path: string, source: Blob | string | null}} Known
 *
 * A photo that is measured: its boxes, and the classes that it is explained among.
 * @typedef {Known & {boxes: Box[], episode: Episode | null}} Query
 *
 * The classes that a photo is explained among, each with the places of its supports, and which is the photo's own.
 * @typedef {{classes: string[], supports: number[][], own: number}} Episode
 */

/** @typedef {[number, number, number, number]} Box left, top, right and bottom in pixels of the photo */

/**
 * A photo of a class. Boxes that are given here, drawn by hand say, come before those of files; `path` finds the photo
 * in files of boxes and is a file's own path by default.
 * @typedef {{image: ImageLike, path?: string, boxes?: Box[]}} EvaluatePhoto
 */

/**
 * @typedef {object} EvaluateRequest
 * @property {{name: string, photos: EvaluatePhoto[]}[]} classes
 * @property {(File | {name: string, text: string})[]} [boxes] Pascal VOC XML, COCO JSON, CUB-200-2011's text files or
 *   tables
 * @property {{name: string, options?: ExplainOptions}[]} [variants] ways to explain; the others are compared with the
 *   first one. FAM by default
 * @property {number} [shots] how many other photos of each class are its supports; 5 by default
 * @property {number} [against] how many other classes are in each explanation; 19 by default
 * @property {number} [seed] of the draws: which photos support which, and among which other classes; 1 by default, as
 *   on the command line
 * @property {number | string} [threshold] what counts as the object: a share of a map's range, or of its energy
 *   (`"energy:0.94"`); each form's own by default
 * @property {{temperature?: number, fill?: "mean" | "blur", steps?: number, seed?: number, controls?: boolean} | null}
 *   [faithfulness] takes dozens of passes a photo and variant
 * @property {number} [workers] how many workers share the photos; by default what cores and memory allow, and none
 *   where a GPU computes
 * @property {(progress: {done: number, total: number, secondsLeft: number}) => void} [onProgress]
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {{mean: number, low: number, high: number, n: number}} Interval a mean with its 95 % bootstrap interval over
 *   `n` photos
 */

/**
 * @typedef {object} Evaluation
 * @property {{table: string, setting: string, variant: string, image: string, class: string, size?: "small" | "medium"
 *   | "large", values: Record<string, number>}[]} rows one for each photo and variant, floor or control
 * @property {{table: string, setting: string, variant: string, size: string | null, values: Record<string,
 *   Interval>}[]} aggregates
 * @property {{table: string, setting: string, variant: string, baseline: string, values: Record<string, {difference:
 *   Interval, wins: number, losses: number}>}[]} differences
 * @property {{name: string, label: string, sentence: string, source: string, more_is_better: boolean | null}[]}
 *   measures what the figures mean
 * @property {{photo: string, reason: string}[]} skipped photos that could not be measured
 */

/**
 * The boxes in files (Pascal VOC XML, COCO JSON, CUB-200-2011's text files, tables) for each of the photos' paths.
 * @param {Lens} lens
 * @param {(File | {name: string, text: string})[]} files
 * @param {string[]} paths
 * @param {CallOptions} [options]
 * @returns {Promise<{photos: ({file: string, size: [number, number] | null, objects: {label: string | null, box: Box,
 *   difficult: boolean}[]} | null)[], annotated: number}>}
 */
export function readBoxes(lens, files, paths, options = {}) {
  return bounded([options], async () => {
    const texts = await Promise.all(
      files.map(async file =>
        file instanceof File ? { name: file.webkitRelativePath || file.name, text: await file.text() } : file,
      ),
    );
    return lens.ask("readBoxes", { files: texts, paths }, options);
  });
}

/**
 * Measures explanations over photos of several classes and the boxes around their objects: accuracy, localisation with
 * its floors, and faithfulness if it is asked for, with intervals. Several workers share the photos; the figures are
 * those that one would give.
 * @param {Lens} lens
 * @param {EvaluateRequest} request
 * @returns {Promise<Evaluation>}
 */
export function evaluate(lens, request) {
  return bounded([request], () => lens.whileUsing(() => measureAll(lens, request)));
}

/**
 * @param {Lens} lens
 * @param {EvaluateRequest} request
 * @returns {Promise<Evaluation>}
 */
async function measureAll(lens, request) {
  const { shots = 5, against = 19, seed = 1, signal } = request;
  const all = request.classes.flatMap(({ name, photos }) =>
    photos.map(photo => ({ ...photo, name, path: pathOf(photo) })),
  );
  // Which other classes are taken depends on the photo's content, and on nothing where all of them are.
  const everyClass = request.classes.length - 1 <= against;
  const labelled = await Promise.all(
    all.map(async ({ name, path, image }) => ({
      class: name,
      name: path,
      content: everyClass || !(image instanceof Blob) ? path : ((await sha256(await image.arrayBuffer())) ?? path),
    })),
  );
  /** @type {{photos: (Episode | null)[]}} */
  const { photos: episodes } = await lens.ask("episodes", { photos: labelled, seed, shots, against }, { signal });
  const files = request.boxes ?? [];
  const annotated =
    files.length > 0
      ? (
          await readBoxes(
            lens,
            files,
            all.map(({ path }) => path),
            { signal },
          )
        ).photos
      : [];

  /** @type {Evaluation["skipped"]} */
  const skipped = [];
  /** The photos that could be opened, by their place. @type {Map<number, Known>} */
  const known = new Map();
  /** @type {Query[]} */
  const queries = [];
  for (const [index, photo] of all.entries()) {
    signal?.throwIfAborted();
    try {
      const handle = await lens.open(photo.image, { name: photo.path, signal });
      const source = isHandle(photo.image) ? null : sendable(photo.image);
      const entry = { id: handle.id, path: photo.path, source };
      known.set(index, entry);
      const boxes = photo.boxes ?? fitted(annotated[index], photo.name, handle);
      queries.push({ ...entry, boxes, episode: episodes[index] });
    } catch (reason) {
      signal?.throwIfAborted();
      skipped.push({ photo: photo.path, reason: messageOf(reason) });
    }
  }

  const options = {
    variants: request.variants,
    threshold: request.threshold,
    faithfulness: request.faithfulness ?? undefined,
  };
  const pool = new Pool(lens, workersFor(lens, request.workers, [...known.values()]));
  const end = () => pool.end();
  signal?.addEventListener("abort", end, { once: true });
  /**
   * What each photo came to, in the order of the photos whoever is done first.
   * @type {({rows: any[]} | {reason: string})[]}
   */
  const found = [];
  let done = 0;
  const begun = performance.now();
  /** @param {number} place */
  const measure = async place => {
    const photo = queries[place];
    const { classes, own } = among(photo.episode, known);
    if (own < 0) found[place] = { reason: "Its class has no other photo to compare it with." };
    else {
      try {
        const { rows } = await measured(lens, pool, photo, own, classes, options, signal);
        // A session names a photo after the first file with its content.
        found[place] = { rows: rows.map((/** @type {object} */ row) => ({ ...row, image: photo.path })) };
      } catch (reason) {
        signal?.throwIfAborted();
        // What is wrong with one photo's boxes is its own affair; a wrong option would be every photo's.
        if (place === 0) throw reason;
        found[place] = { reason: messageOf(reason) };
      }
    }
    done += 1;
    const secondsLeft = ((performance.now() - begun) / 1000 / done) * (queries.length - done);
    request.onProgress?.({ done, total: queries.length, secondsLeft });
  };
  try {
    // The first one alone, for what it says of the options.
    if (queries.length > 0) await measure(0);
    let next = 1;
    const work = async () => {
      while (next < queries.length && !signal?.aborted) await measure(next++);
    };
    await Promise.all(Array.from({ length: pool.width }, work));
    signal?.throwIfAborted();
  } finally {
    signal?.removeEventListener("abort", end);
    pool.end();
  }
  const rows = found.flatMap(one => ("rows" in one ? one.rows : []));
  skipped.push(
    ...found.flatMap((one, place) => ("reason" in one ? [{ photo: queries[place].path, reason: one.reason }] : [])),
  );
  return { rows, skipped, ...(await lens.ask("summarise", { rows }, { signal })) };
}

/**
 * How many workers take part besides the lens. A GPU is one device, which more workers do not make faster.
 * @param {Lens} lens
 * @param {number | undefined} asked
 * @param {Known[]} known
 */
function workersFor(lens, asked, known) {
  if (known.some(({ source }) => source === null)) return 0;
  if (asked !== undefined) return asked;
  return lens.info.backend.kind === "cpu" && known.length > FEW ? poolSize(lens.info.model.bytes) : 0;
}

/**
 * The photos that a worker has open, by their number in the lens.
 * @type {WeakMap<PoolWorker, Map<number, Promise<number>>>}
 */
const opened = new WeakMap();

/**
 * The rows of one photo, by the next worker that is free or, without a pool, by the lens.
 * @param {Lens} lens
 * @param {Pool} pool
 * @param {Query} photo
 * @param {number} own
 * @param {{name: string, supports: Known[]}[]} classes
 * @param {object} options
 * @param {AbortSignal} [signal]
 * @returns {Promise<{rows: any[]}>}
 */
async function measured(lens, pool, photo, own, classes, options, signal) {
  const alone = () => {
    const ids = classes.map(({ name, supports }) => ({ name, supports: supports.map(({ id }) => id) }));
    return lens.ask("evaluateImage", { id: photo.id, own, classes: ids, boxes: photo.boxes, options }, { signal });
  };
  if (pool.width === 1) return alone();
  const work = async (/** @type {PoolWorker} */ worker) => {
    const known = opened.get(worker) ?? new Map();
    opened.set(worker, known);
    /** @param {Known} photo @returns {Promise<number>} */
    const open = ({ id, path, source }) => {
      if (!known.has(id))
        known.set(
          id,
          worker.ask("open", { name: path, source }).then(image => image.id),
        );
      return known.get(id);
    };
    const ids = [];
    for (const { name, supports } of classes) ids.push({ name, supports: await Promise.all(supports.map(open)) });
    const isSupport = known.has(photo.id);
    const id = await open(photo);
    try {
      return await worker.ask("evaluateImage", { id, own, classes: ids, boxes: photo.boxes, options });
    } finally {
      // Supports come again, other photos do not.
      if (!isSupport) {
        known.delete(photo.id);
        worker.release(id);
      }
    }
  };
  try {
    return await pool.use(work, alone);
  } catch (error) {
    if (isOfWorker(error)) return alone();
    throw error;
  }
}

/** @param {EvaluatePhoto} photo */
function pathOf({ path, image }) {
  if (path !== undefined) return path;
  if (image instanceof File) return image.webkitRelativePath || image.name;
  return typeof image === "object" && "name" in image ? String(image.name) : String(image);
}

/** @param {unknown} reason */
const messageOf = reason => (reason instanceof Error ? reason.message : String(reason));

/**
 * The classes of an episode, each with its supports, without supports that could not be opened and classes that are
 * left
 * without; `own` is -1 if the photo's own class is.
 * @param {Episode | null} episode
 * @param {Map<number, Known>} known
 */
function among(episode, known) {
  const own = episode?.classes[episode.own];
  const classes = (episode?.classes ?? [])
    .map((name, at) => ({ name, supports: episode?.supports[at].flatMap(place => known.get(place) ?? []) ?? [] }))
    .filter(({ supports }) => supports.length > 0);
  return { classes, own: classes.findIndex(({ name }) => name === own) };
}

/**
 * The boxes that count, in pixels of the photo as it is: those of the class where they say so, none that is marked as
 * difficult.
 * @param {{size: [number, number] | null, objects: {label: string | null, box: Box, difficult: boolean}[]} | null |
 *   undefined} annotated
 * @param {string} name
 * @param {LensImage} photo
 * @returns {Box[]}
 */
function fitted(annotated, name, { width, height }) {
  const counting = (annotated?.objects ?? []).filter(({ difficult }) => !difficult);
  const own = counting.filter(({ label }) => label === name);
  const [w, h] = annotated?.size ?? [width, height];
  const [sx, sy] = [width / w, height / h];
  if (counting.length > 0 && Math.abs(sx / sy - 1) > 0.02) {
    throw new LensError("argument", `It is ${width} x ${height} pixels and its boxes are for ${w} x ${h}.`);
  }
  return (own.length > 0 ? own : counting).map(({ box: [x0, y0, x1, y1] }) => [x0 * sx, y0 * sy, x1 * sx, y1 * sy]);
}
