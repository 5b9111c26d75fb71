// What a task's view gets from the page: the lens, the ways to speak to people, what is remembered, and files.
//
// A view is a module `<task>/view.js` that exports `mount(container, context)` and is loaded when its task is first
// chosen. It fills the container, which is hidden and shown from outside, and gives back a {@link View}. The container
// and all that is in it stay when another task is shown.

import { pickFiles } from "./drop.js";
import { trouble } from "./engine.js";
import { notify, report, say } from "./notices.js";
import { examplePhoto, examples, letGo, photoOf } from "./photo.js";
import { recall, remember } from "./settings.js";
import { drawing, on, set, state } from "./state.js";

/**
 * @import { Lens } from "../famlens.js"
 * @import { Taker } from "./drop.js"
 * @import { Photo } from "./state.js"
 *
 * @typedef {object} View
 * @property {Taker} [taker] what it does with files that are dropped, pasted or handed over while it is shown
 * @property {() => boolean} [isReady] whether what it shows is the answer to what was asked; true if it has nothing to
 *   compute
 * @property {() => Photo[]} [photos] the photos that it is about, the one to show first at the front
 * @property {(lens: Lens, signal: AbortSignal) => Promise<unknown> | null} [explainOn] explains what it shows with
 *   another
 *   lens, which is tried out before it takes over; null if there is nothing to explain
 * @property {() => Record<string, unknown>} [tells] what it shows, for programs that drive the page (`window.famlens`)
 * @property {() => import("./picture.js").Shown | null} [picture] what it shows, as a picture to save
 * @property {() => URLSearchParams} [link] what an address needs to show the same
 * @property {() => {shell: string, script: string} | null} [code] the same on the command line and with famlens.js
 * @property {(keep: import("./project.js").Keep) => object | null} [save] what it adds to a project; null for
 *   nothing
 * @property {(saved: any, found: import("./project.js").Found) => unknown} [restore] puts that back, in place of
 *   what it has
 * @property {(run: () => void) => void} [onChange] calls `run` whenever what `save` gives may have changed
 * @property {() => void} [show] called whenever it comes on screen, after `mount` too
 * @property {() => void} [hide] called whenever another task takes its place
 *
 * @typedef {typeof context} Context
 */

export const context = {
  /**
   * The lens, or null while there is none: at the start and after a failure. Of all that is asked of it, one thing is
   * done at a time.
   */
  get lens() {
    return state.lens;
  },

  /**
   * Calls `run` with the lens, now or as soon as there is one, and again whenever it is another one or computes on
   * another engine.
   * @param {(lens: Lens) => void} run
   */
  onLens(run) {
    on(["lens"], () => {
      if (state.lens) run(state.lens);
    });
  },

  /**
   * How maps are drawn (colours, fading, threshold), and `opacity`, which canvases over photos take as their CSS
   * opacity.
   */
  look: () => ({ ...drawing(), opacity: state.look.opacity }),

  /** Calls `run` now and whenever {@link context.look} changes. @param {() => void} run */
  onLook: run => on(["look"], run),

  /**
   * Shows the page's progress box, or hides it with null. `total` 0 is a bar without an end; `inPlace` leaves the box
   * away, where the view itself shows that it works.
   * @param {{text: string, loaded: number, total: number, inPlace?: boolean} | null} progress
   */
  busy: progress =>
    set({
      busy: progress && {
        phase: progress.text,
        loaded: progress.loaded,
        total: progress.total,
        inPlace: progress.inPlace,
      },
    }),

  notify,
  report,
  say,
  trouble,
  recall,
  remember,
  pickFiles,
  photoOf,
  letGo,
  examplePhoto,
  examples,
};
