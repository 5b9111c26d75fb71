// A photo with its map over it, small: in the classes and among the channels.

import { el, paint } from "./dom.js";
import { drawing, state } from "./state.js";

/**
 * @import { ImageLike, LensMap } from "../famlens.js"
 */

/** Longest side of a small overlay, in pixels. */
const LONGEST = 160;

/**
 * @param {string} src
 * @param {string} alt
 */
export function thumb(src, alt) {
  const image = el("img", { src, alt, loading: "lazy", decoding: "async", draggable: "false" });
  const overlay = el("canvas", { class: "thumb-map", "aria-hidden": "true", hidden: true });
  return { image, overlay, box: el("span", { class: "thumb" }, image, overlay) };
}

/**
 * Draws a map over a small photo.
 * @param {HTMLCanvasElement} overlay
 * @param {ImageLike} source
 * @param {LensMap & Partial<import("./few-shot/opening.js").EarlyMap>} map drawn by itself if it can be
 * @param {AbortSignal} signal
 * @param {[number, number] | null} [range] the scale that the map shares with others
 */
export async function drawThumb(overlay, source, map, signal, range = null) {
  if (map.early) {
    paint(overlay, map.early(LONGEST, range).image);
    overlay.hidden = false;
    return;
  }
  const { lens } = state;
  if (!lens) return;
  // What dims a photo has its strength already.
  overlay.style.opacity = map.says ? "1" : "";
  const { width, height } = await lens.open(source);
  const scale = LONGEST / Math.max(width, height);
  const drawn = await lens.render(source, map, {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
    ...drawing(),
    ...(range && { range }),
    signal,
  });
  if (signal.aborted) return;
  paint(overlay, drawn.image);
  overlay.hidden = false;
}
