// The one lens of the page: made at the start and again after a failure, put on another engine, and what went wrong
// with it.

import { createLens, LensError } from "../famlens.js";
import { notify, report, sentence } from "./notices.js";
import { set, state } from "./state.js";

/** @import { BackendChoice, LensInfo, LensOptions, Progress } from "../famlens.js" */

/** @type {string | null} the last note, so that it is told once */
let lastNote = null;

/** Which loading is the last one that was asked for: one that ends after it is let go of. */
let turn = 0;

/** Loads program and model; again after a failure. */
export async function start() {
  const mine = (turn += 1);
  state.lens?.dispose();
  set({ lens: null, failed: null, measuring: false, busy: { phase: "code", loaded: 0, total: 0 } });
  try {
    const lens = await create();
    if (mine !== turn) return lens.dispose();
    set({ lens, info: lens.info, busy: null });
    tell(lens.info.note);
  } catch (error) {
    if (mine === turn) set({ failed: sentence(error instanceof Error ? error.message : String(error)), busy: null });
  }
}

/**
 * The lens on the engine that was asked for; on the CPU if that is a GPU which is not to be had.
 * @param {NonNullable<LensOptions["model"]> | null} [from]
 */
async function create(from = state.model) {
  const model = from ?? undefined;
  try {
    return await createLens({ model, backend: state.backend, onProgress, onInfo });
  } catch (error) {
    if (!(error instanceof LensError) || error.code !== "no_gpu") throw error;
    set({ backend: "cpu" });
    const lens = await createLens({ model, backend: "cpu", onProgress, onInfo });
    // Asked once more on a lens that lives, so that its info tells why there is no GPU.
    await lens.setBackend("webgpu").catch(report);
    return lens;
  }
}

/** @param {Progress} progress */
function onProgress(progress) {
  // Measuring goes on behind an explanation that is there already, so it covers nothing.
  if (progress.phase === "measure") set({ measuring: true });
  else set({ busy: progress });
}

/** @param {LensInfo} info */
function onInfo(info) {
  set({ info, measuring: false });
  tell(info.note);
}

/** What names parts of one model, or needs what only that model has; it means nothing for another one. */
const OF_A_MODEL = new Set(["target", "targets", "layer", "against", "head", "center", "pooling", "form"]);

/** @type {(() => void)[]} */
const leaving = [];
/** Calls `run` when another model takes over, in the same turn, for what was only true of the one before. @param {() => void} run */
export const onNewModel = run => void leaving.push(run);

/**
 * Goes on with another model. The one before is let go of once the other is there, so that one which cannot be loaded
 * changes nothing.
 * @param {NonNullable<LensOptions["model"]> | null} model null for the one that comes with famlens
 * @returns {Promise<string | null>} why it cannot be
 */
export async function chooseModel(model) {
  const mine = (turn += 1);
  set({ busy: { phase: "code", loaded: 0, total: 0 } });
  try {
    const lens = await create(model);
    if (mine !== turn) {
      lens.dispose();
      return "Another model has been chosen meanwhile.";
    }
    state.lens?.dispose();
    const choices = Object.fromEntries(Object.entries(state.choices).filter(([name]) => !OF_A_MODEL.has(name)));
    set({
      model,
      lens,
      info: lens.info,
      failed: null,
      busy: null,
      measuring: false,
      choices,
    });
    for (const run of leaving) run();
    tell(lens.info.note);
    return null;
  } catch (error) {
    set({ busy: null });
    return sentence(error instanceof Error ? error.message : String(error));
  }
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
  if (error.code === "crashed") set({ failed: sentence(error.message), busy: null, lens: null, info: null });
  return true;
}

/** Tells of an error, and offers a new engine if it was the end of this one. @param {unknown} error */
export function trouble(error) {
  if (!restartable(error)) report(error);
}
