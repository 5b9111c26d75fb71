// The one lens of the page: made at the start and again after a failure, put on another engine, and what went wrong
// with it.

import { createLens, LensError } from "../famlens.js";
import { lasting } from "./catalogue.js";
import { notify, report, sentence } from "./notices.js";
import { set, state } from "./state.js";
import { photosOnPage, view } from "./views.js";

/** @import { BackendChoice, Lens, LensInfo, LensOptions } from "../famlens.js" */

/** @type {string | null} the last note, so that it is told once */
let lastNote = null;

/** The loading that goes on, if one does. A new one takes its place. @type {AbortController | null} */
let loading = null;

/** @returns {AbortController} */
function begin() {
  loading?.abort();
  const mine = new AbortController();
  loading = mine;
  set({ busy: { phase: "code", loaded: 0, total: 0, cancel: () => mine.abort() } });
  return mine;
}

/** @param {AbortController} mine @returns {boolean} whether it is still the loading that counts */
function end(mine) {
  if (loading !== mine) return false;
  loading = null;
  set({ busy: null });
  return true;
}

/** Loads program and model; again after a failure. */
export async function start() {
  const mine = begin();
  state.lens?.dispose();
  set({ lens: null, failed: null, measuring: false });
  try {
    const lens = await create(state.model, mine);
    if (!end(mine)) return lens.dispose();
    set({ lens, info: lens.info });
    tell(lens.info.note);
  } catch (error) {
    if (end(mine)) set({ failed: mine.signal.aborted ? "Loading was stopped." : inWords(error), info: null });
  }
}

/**
 * A lens that has explained once, on the engine that was asked for; on the CPU if that is a GPU which is not to be had.
 * @param {NonNullable<LensOptions["model"]> | null} model
 * @param {AbortController} mine
 */
async function create(model, mine) {
  const lens = await load(model, mine);
  try {
    // The model that comes with famlens is known to explain.
    if (model !== null) await tryOut(lens, mine.signal);
    mine.signal.throwIfAborted();
    return lens;
  } catch (error) {
    lens.dispose();
    throw error;
  }
}

/** @param {NonNullable<LensOptions["model"]> | null} from @param {AbortController} mine */
async function load(from, mine) {
  const { signal } = mine;
  /** @type {LensOptions} */
  const options = {
    model: from ?? undefined,
    signal,
    onInfo,
    onProgress(progress) {
      // Measuring goes on behind an explanation that is there already, so it covers nothing.
      if (progress.phase === "measure") set({ measuring: true });
      else if (loading === mine) set({ busy: { ...progress, cancel: () => mine.abort() } });
      else if (!signal.aborted) set({ busy: progress });
    },
  };
  try {
    return await createLens({ ...options, backend: state.backend });
  } catch (error) {
    if (!(error instanceof LensError) || error.code !== "no_gpu") throw error;
    set({ backend: "cpu" });
    const lens = await createLens({ ...options, backend: "cpu" });
    // Asked once more on a lens that lives, so that its info tells why there is no GPU.
    await lens.setBackend("webgpu").catch(report);
    return lens;
  }
}

/** What says something about a photo or a choice and nothing about the model. */
const NOT_THE_MODEL = new Set(["image", "network", "too_large", "argument", "target"]);

/**
 * Explains once, as the view on screen will: a model that cannot, or that crashes, shows it here, before anything rests
 * on it. What it computes for this is kept by the lens and not computed again.
 * @param {Lens} lens
 * @param {AbortSignal} signal
 */
async function tryOut(lens, signal) {
  const explain = (/** @type {import("../famlens.js").ImageLike} */ image) =>
    lens.explain({ query: image, classes: [{ name: "first", supports: [image] }], signal });
  const [photo] = photosOnPage();
  const ways = [() => view()?.explainOn?.(lens, signal), () => photo && explain(photo.source)];
  for (const way of ways) {
    try {
      if (await way()) return;
    } catch (error) {
      if (signal.aborted || !NOT_THE_MODEL.has(/** @type {LensError} */ (error).code)) throw error;
    }
  }
  await lens.probe({ signal });
}

/** @param {LensInfo} info */
function onInfo(info) {
  set({ info, measuring: false });
  tell(info.note);
}

/** @type {(() => void)[]} */
const leaving = [];
/**
 * Calls `run` when another model takes over, in the same turn, for what was only true of the one before.
 * @param {() => void} run
 */
export const onNewModel = run => void leaving.push(run);

/**
 * Goes on with another model. The one before is let go of once the other has explained, so that one which cannot be
 * loaded, cannot explain or crashes changes nothing.
 * @param {NonNullable<LensOptions["model"]> | null} model null for the one that comes with famlens
 * @returns {Promise<string | null>} why it cannot be
 */
export async function chooseModel(model) {
  const mine = begin();
  try {
    const lens = await create(model, mine);
    if (!end(mine)) {
      lens.dispose();
      return "Another model has been chosen meanwhile.";
    }
    state.lens?.dispose();
    set({ model, lens, info: lens.info, failed: null, measuring: false, choices: lasting(state.choices) });
    for (const run of leaving) run();
    tell(lens.info.note);
    return null;
  } catch (error) {
    if (!end(mine)) return "Another model has been chosen meanwhile.";
    const why = mine.signal.aborted ? "Loading was stopped." : inWords(error);
    if (state.lens) return `${why} ${state.lens.info.model.name} goes on.`;
    // There was none before, or it was still loading: somebody has to start one.
    set({ failed: why });
    return why;
  }
}

/** Why a model cannot be used. @param {unknown} error */
function inWords(error) {
  if (error instanceof LensError && error.code === "crashed") {
    const [, detail] = /\((.+)\)/.exec(error.message) ?? [];
    return `The program crashed with this model before it had explained a photo${detail ? ` (${detail})` : ""}.`;
  }
  return sentence(error instanceof Error ? error.message : String(error));
}

/** @param {BackendChoice} backend */
export async function chooseBackend(backend) {
  const before = state.backend;
  const { lens } = state;
  set({ backend });
  if (!lens) return;
  set({ busy: { phase: "compile", loaded: 0, total: 0 } });
  try {
    onInfo(await lens.setBackend(backend));
  } catch (error) {
    set({ backend: before });
    trouble(error);
  } finally {
    // The lens is the same one, but what it computed is another engine's: whoever shows a result asks again.
    set({ busy: null, measuring: false, lens: state.lens });
  }
}

/** Tells of something the engine has to say, once. @param {string | null} note */
export function tell(note) {
  if (note && note !== lastNote) notify({ text: sentence(note) });
  lastNote = note;
}

/** The engine is gone: say so and offer a new one. @param {unknown} error */
function restartable(error) {
  if (!(error instanceof LensError) || (error.code !== "crashed" && error.code !== "disposed")) return false;
  if (error.code === "crashed") {
    state.lens?.dispose();
    set({ failed: sentence(error.message), busy: null, lens: null, info: null });
  }
  return true;
}

/** Tells of an error, and offers a new engine if it was the end of this one. @param {unknown} error */
export function trouble(error) {
  if (!restartable(error)) report(error);
}
