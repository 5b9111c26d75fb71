// The photo in the middle with the map over it.

import { byId, figure, paint, svgEl } from "../dom.js";
import { trouble } from "../engine.js";
import { current, drawing, on, shownClass, shownIndex, shownMap, state } from "../state.js";

/** @import { Rendered } from "../../famlens.js" */

/** Longest side of the overlay in pixels: a map of a few cells has no detail that more would show. */
const LONGEST = 768;

const stage = byId("stage", HTMLElement);
const figureBox = byId("stage-photo", HTMLElement);
const image = byId("stage-image", HTMLImageElement);
const overlay = byId("stage-overlay", HTMLCanvasElement);
const shapes = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (byId("stage-shapes", SVGElement)));
const backdrop = byId("stage-backdrop", HTMLImageElement);
const caption = byId("stage-caption", HTMLElement);
const readout = byId("readout", HTMLElement);
const mark = byId("legend-mark", HTMLElement);

/** @type {AbortController | null} */
let rendering = null;
/** @type {AbortController | null} */
let probing = null;

export function mountStage() {
  on(["query"], showPhoto);
  on(["result", "picked", "channel", "channelMaps", "look", "query"], () => void showMap());
  on(["result", "picked", "channel", "channelMaps"], describe);
  image.addEventListener("load", () => shape(image.naturalWidth, image.naturalHeight));
  probeByPointer();
  probeByKeys();
}

function showPhoto() {
  const { query } = state;
  byId("stage-empty", HTMLElement).hidden = query !== null;
  figureBox.hidden = query === null;
  byId("query-name", HTMLElement).textContent = query?.name ?? "";
  backdrop.hidden = query === null;
  if (query && image.src !== query.src) {
    image.src = backdrop.src = query.src;
    image.alt = query.name;
  }
  if (!query) for (const each of [image, backdrop]) each.removeAttribute("src");
}

/**
 * @param {number} width
 * @param {number} height
 */
function shape(width, height) {
  if (width > 0 && height > 0) stage.style.setProperty("--ratio", String(width / height));
}

async function showMap() {
  rendering?.abort();
  const { lens, look } = state;
  const result = current();
  const map = shownMap();
  if (!lens || !result || !map) {
    overlay.hidden = true;
    shapes.replaceChildren();
    readout.hidden = true;
    return;
  }
  overlay.style.opacity = String(look.opacity);
  rendering = new AbortController();
  const { signal } = rendering;
  const { width, height } = result.found.query;
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  try {
    const drawn = await lens.render(result.query.source, map, {
      width: Math.max(1, Math.round(width * scale)),
      height: Math.max(1, Math.round(height * scale)),
      ...drawing(),
      signal,
    });
    if (signal.aborted) return;
    paint(overlay, drawn.image);
    overlay.hidden = false;
    drawShapes(drawn, width, height);
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

/**
 * @param {Rendered} drawn
 * @param {number} width of the photo
 * @param {number} height
 */
function drawShapes({ contour, box, peak }, width, height) {
  shapes.setAttribute("viewBox", `0 0 ${width} ${height}`);
  shapes.replaceChildren();
  /** Every line twice, dark under light, so that it shows on any photo. @param {"path" | "rect" | "circle"} tag @param {Record<string, string | number>} attributes @param {string} kind */
  const line = (tag, attributes, kind) => {
    for (const layer of ["under", "over"]) shapes.append(svgEl(tag, { ...attributes, class: `${kind} ${layer}` }));
  };
  if (state.look.contour) {
    const d = contour.map((points) => `M${pairs(points).join("L")}Z`).join("");
    if (d) line("path", { d }, "contour");
  }
  if (state.look.box && box) {
    const [x0, y0, x1, y1] = box;
    line("rect", { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), rx: Math.min(width, height) / 80 }, "box");
  }
  if (peak && (state.look.box || state.look.contour)) line("circle", { cx: peak[0], cy: peak[1], r: Math.max(width, height) / 110 }, "peak");
}

/** @param {ArrayLike<number>} points x, y, x, y, ... */
function pairs(points) {
  const texts = [];
  for (let i = 0; i + 1 < points.length; i += 2) texts.push(`${points[i].toFixed(1)} ${points[i + 1].toFixed(1)}`);
  return texts;
}

function describe() {
  const result = current();
  const shown = shownClass();
  caption.hidden = byId("scale", HTMLElement).hidden = !result || !shown;
  if (!result || !shown) return;
  const channel = state.channel !== null ? result.found.top[shownIndex()][state.channel] : null;
  caption.dataset.color = String(shown.color);
  const text = channel ? `Channel ${channel.channel} of ${shown.name}` : `What speaks for ${shown.name}`;
  caption.textContent = text;
  overlay.setAttribute("aria-label", `${result.query.name}. ${text}.${where(shownMap()?.peak)}`);
}

/** @param {[number, number] | null | undefined} peak */
function where(peak) {
  const size = current()?.found.query;
  if (!peak || !size) return "";
  return ` Strongest at ${Math.round((100 * peak[0]) / size.width)} percent from the left and ${Math.round((100 * peak[1]) / size.height)} percent from the top.`;
}

/**
 * Asks for the map's value at a place and shows it. Only the last place asked for is answered.
 * @param {number} x in parts of the width
 * @param {number} y
 */
async function probe(x, y) {
  probing?.abort();
  const { lens } = state;
  const result = current();
  const map = shownMap();
  if (!lens || !result || !map) return;
  probing = new AbortController();
  const { signal } = probing;
  const { width, height } = result.found.query;
  try {
    const value = await lens.valueAt(result.query.source, map, x * width, y * height, { signal });
    if (signal.aborted) return;
    readout.hidden = false;
    const range = map.max - map.min;
    const part = value === null || range === 0 ? null : (value - map.min) / range;
    readout.textContent = value === null ? "outside of what the model saw" : `${figure(value)}${part === null ? "" : ` · ${Math.round(100 * part)} % of the range`}`;
    mark.hidden = part === null;
    if (part !== null) mark.style.left = `${100 * part}%`;
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

function hideProbe() {
  probing?.abort();
  readout.hidden = true;
  mark.hidden = true;
  stage.classList.remove("probing");
}

function probeByPointer() {
  let waiting = false;
  /** @type {[number, number]} */
  let place = [0, 0];
  /** @param {PointerEvent} event */
  const follow = (event) => {
    const { left, top, width, height } = overlay.getBoundingClientRect();
    place = [clamp((event.clientX - left) / width), clamp((event.clientY - top) / height)];
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (overlay.matches(":hover") || event.pointerType !== "mouse") void probe(...place);
    });
  };
  overlay.addEventListener("pointermove", follow);
  overlay.addEventListener("pointerdown", follow);
  overlay.addEventListener("pointerleave", hideProbe);
}

function probeByKeys() {
  let [x, y] = [0.5, 0.5];
  overlay.addEventListener("focus", () => {
    const peak = shownMap()?.peak;
    const size = state.result?.found.query;
    [x, y] = peak && size ? [peak[0] / size.width, peak[1] / size.height] : [0.5, 0.5];
  });
  overlay.addEventListener("blur", hideProbe);
  overlay.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.1 : 0.02;
    const by = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] })[event.key];
    if (!by) return;
    event.preventDefault();
    [x, y] = [clamp(x + by[0]), clamp(y + by[1])];
    stage.classList.add("probing");
    figureBox.style.setProperty("--x", `${100 * x}%`);
    figureBox.style.setProperty("--y", `${100 * y}%`);
    void probe(x, y);
  });
}

/** @param {number} value */
const clamp = (value) => Math.min(1, Math.max(0, value));
