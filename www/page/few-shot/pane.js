// One photo under one map, with a name, a sentence and a scale: the stage is made of these.

import { el, ends, figure, paint, svgEl } from "../dom.js";
import { trouble } from "../engine.js";
import { drawThumb, thumb } from "../thumb.js";
import { showWhilePointedAt } from "./switch.js";
import { FEW_SHOT } from "../words.js";
import { drawing as how, state as page } from "../state.js";
import { on, set } from "./state.js";

/**
 * @import { ImageLike, Lens, LensMap, Rendered, Scale } from "../../famlens.js"
 * @import { EarlyMap } from "./opening.js"
 * @import { Early, Result } from "./state.js"
 *
 * @typedef {{src: string, name: string, source: ImageLike}} Picture
 *
 * What a pane shows. `size` is that of the photo; without a map the photo is bare. `label` says it in words for who
 * does not see it. `scale` is what the map shares with those of the other classes; without it the map has its own.
 * @typedef {{name: string, says: string, photo: Picture, size: {width: number, height: number} | null,
 *   map: (LensMap & Partial<EarlyMap>) | null, label: string, scale?: Scale | null}} Content
 *
 * `key` tells panes apart, `pointed` is called with the place that is pointed at in parts of the photo, or null.
 * @typedef {ReturnType<typeof makePane>} Pane
 */

/** The part of the scale below which a map has no outline. */
const FAINT = 0.15;

/** Longest side of the overlay in pixels: a map of a few cells has no detail that more would show. */
const LONGEST = 768;

/**
 * What has been drawn, so that going from class to class and back draws nothing twice.
 * @type {WeakMap<LensMap, {look: string, drawn: Rendered}>}
 */
const drawings = new WeakMap();

/**
 * @param {string} key
 * @param {string} testid of the overlay
 * @param {(place: [number, number] | null) => void} pointed
 */
export function makePane(key, testid, pointed) {
  const image = el("img", { alt: "", draggable: "false", decoding: "async", fetchpriority: "high" });
  const overlay = el("canvas", {
    "data-testid": testid,
    role: "img",
    tabindex: "0",
    "aria-describedby": "stage-keys",
    hidden: true,
  });
  const shapes = svgEl("svg", { class: "shapes", "aria-hidden": "true", focusable: "false" });
  const [low, high] = [el("span"), el("span")];
  const ramp = el("canvas", { class: "ramp", width: "96", height: "10" });
  const mark = el("i", { hidden: true });
  const readout = el("p", { "data-testid": key === "chosen" ? "readout" : null, "aria-live": "polite", hidden: true });
  const scale = el(
    "div",
    { class: "chip scale", hidden: true },
    el("div", { class: "legend", "aria-hidden": "true" }, low, el("span", { class: "legend-bar" }, ramp, mark), high),
    readout,
  );
  const nothing = el("p", { class: "chip nothing", "data-testid": "nothing", hidden: true });
  const photo = el("div", { class: "pane-photo" }, image, overlay, shapes, nothing, scale);
  const [name, says] = [el("strong", { class: "pane-name" }), el("span", { class: "pane-says" })];
  const classes = el("div", { class: "pane-classes", role: "group" });
  const element = el(
    "figure",
    { class: "pane", "data-testid": "pane", "data-pane": key },
    photo,
    el("figcaption", { class: "pane-words" }, el("p", { class: "pane-text" }, name, " ", says), classes),
  );

  /** @type {Content | null} */
  let content = null;
  /** @type {AbortController | null} */
  let rendering = null;
  /** @type {AbortController | null} */
  let probing = null;

  /** @param {Content} next */
  function show(next) {
    content = next;
    name.textContent = next.name;
    says.textContent = next.says;
    if (image.src !== new URL(next.photo.src, location.href).href) {
      image.src = next.photo.src;
      image.alt = next.photo.name;
    }
    overlay.setAttribute("aria-label", next.label);
    nothing.hidden = !next.map?.says;
    nothing.textContent = next.map?.says ?? "";
    showScale();
    void draw();
  }

  /** The raw values of both ends of the colours, and what they mean. @returns {Scale | null} */
  function scaleNow() {
    const { map, scale: shared } = content ?? {};
    if (!map) return null;
    if (shared && !page.look.own) return shared;
    return { low: map.min, high: map.max, lowSays: FEW_SHOT.least, highSays: FEW_SHOT.most };
  }

  function showScale() {
    const now = scaleNow();
    scale.hidden = !now || !nothing.hidden;
    if (!now) return;
    const [from, to] = ends(now.low, now.high);
    [low.textContent, high.textContent] = [now.lowSays, now.highSays];
    [low.title, high.title] = [from, to];
  }

  /** @type {Result | Early | null} */
  let small = null;
  let smallLook = "";
  /** @type {AbortController | null} */
  let drawing = null;

  /**
   * The map of each class, small; the one at `shown` is marked.
   * @param {Result | Early | null} result
   * @param {number} shown
   */
  function showClasses(result, shown) {
    classes.hidden = !result || result.keys.length < 2 || result.keys.length > 6;
    if (result !== small) {
      small = result;
      smallLook = "";
      classes.replaceChildren(
        ...(result?.classes ?? []).map(({ key, name, color }) => {
          const { box } = thumb(/** @type {Result | Early} */ (result).query.src, "");
          const button = el(
            "button",
            {
              type: "button",
              class: "pane-class",
              "data-testid": "pane-class",
              "data-color": color,
              tabindex: "-1",
              onclick: () => set({ picked: key, channel: null }),
            },
            box,
            el("span", {}, name),
          );
          showWhilePointedAt(button, () => key);
          return button;
        }),
      );
    }
    for (const [at, button] of [...classes.children].entries())
      button.setAttribute("aria-pressed", String(at === shown));
    void drawClasses();
  }

  async function drawClasses() {
    const range = small && "scale" in small.found && !page.look.own ? rangeOf(small.found.scale) : null;
    const look = JSON.stringify([how(), range]);
    if (!small || classes.hidden || look === smallLook) return;
    smallLook = look;
    classes.style.setProperty("--map-opacity", String(Math.max(0.55, page.look.opacity)));
    drawing?.abort();
    const { signal } = (drawing = new AbortController());
    try {
      for (const [at, canvas] of [...classes.querySelectorAll("canvas")].entries())
        await drawThumb(canvas, small.query.source, small.found.maps[at], signal, range);
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
  }

  async function draw() {
    rendering?.abort();
    const { lens } = page;
    if (!element.isConnected) return;
    if (!content?.map || !content.size || !(lens || content.map.early)) {
      overlay.hidden = true;
      shapes.replaceChildren();
      return;
    }
    // What dims a photo has its strength already.
    overlay.style.opacity = String(content.map.says ? 1 : page.look.opacity);
    rendering = new AbortController();
    const { signal } = rendering;
    const { map, photo, size } = content;
    const factor = Math.min(1, LONGEST / Math.max(size.width, size.height));
    const range = content.scale && !page.look.own ? rangeOf(content.scale) : null;
    const look = JSON.stringify([how(), range]);
    try {
      let drawn = map.early ? { look, drawn: map.early(LONGEST, range) } : drawings.get(map);
      if (drawn?.look !== look) {
        const options = {
          width: Math.max(1, Math.round(size.width * factor)),
          height: Math.max(1, Math.round(size.height * factor)),
          ...how(),
          ...(range && { range }),
          signal,
        };
        drawn = { look, drawn: await /** @type {Lens} */ (lens).render(photo.source, map, options) };
        drawings.set(map, drawn);
      }
      if (signal.aborted) return;
      paint(overlay, drawn.drawn.image);
      overlay.hidden = false;
      // What is faint on the scale of all classes is not outlined like evidence.
      if (range && map.max < range[0] + FAINT * (range[1] - range[0])) shapes.replaceChildren();
      else drawShapes(shapes, drawn.drawn, size);
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
  }

  /**
   * Shows the map's value at a place. Only the last place asked for is answered.
   * @param {[number, number] | null} place
   * @param {boolean} own whether the pointer is here
   */
  async function probe(place, own) {
    probing?.abort();
    element.classList.toggle("probing", place !== null && !own);
    if (!place || !page.lens || !content?.map || !content.size) {
      readout.hidden = mark.hidden = true;
      return;
    }
    photo.style.setProperty("--x", `${100 * place[0]}%`);
    photo.style.setProperty("--y", `${100 * place[1]}%`);
    probing = new AbortController();
    const { signal } = probing;
    const { map, size } = content;
    try {
      const value = await page.lens.valueAt(content.photo.source, map, place[0] * size.width, place[1] * size.height, {
        signal,
      });
      if (signal.aborted) return;
      readout.hidden = false;
      const { low, high } = /** @type {Scale} */ (scaleNow());
      const part = value === null || high <= low ? null : clamp((value - low) / (high - low));
      readout.textContent =
        value === null
          ? "outside of what the model saw"
          : `${figure(value)}${part === null ? "" : ` · ${Math.round(100 * part)} %`}`;
      mark.hidden = part === null;
      if (part !== null) mark.style.left = `${100 * part}%`;
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
  }

  listen(overlay, element, () => peakOf(content), pointed);
  on(["look"], () => {
    showScale();
    void draw();
    void drawClasses();
  });
  return {
    key,
    element,
    photo,
    image,
    overlay,
    ramp,
    show,
    showClasses,
    probe,
    get content() {
      return content;
    },
  };
}

/** @param {Scale} scale @returns {[number, number]} */
export const rangeOf = ({ low, high }) => [low, high];

/** The strongest place in parts of the photo. @param {Content | null} content @returns {[number, number]} */
function peakOf(content) {
  const { map, size } = content ?? {};
  return map?.peak && size ? [map.peak[0] / size.width, map.peak[1] / size.height] : [0.5, 0.5];
}

/**
 * Pointer and arrow keys to places.
 * @param {HTMLCanvasElement} overlay
 * @param {HTMLElement} element
 * @param {() => [number, number]} start where the keys begin
 * @param {(place: [number, number] | null) => void} pointed
 */
function listen(overlay, element, start, pointed) {
  let waiting = false;
  /** @type {[number, number]} */
  let place = [0, 0];
  /** @param {PointerEvent} event */
  const follow = event => {
    const { left, top, width, height } = overlay.getBoundingClientRect();
    place = [clamp((event.clientX - left) / width), clamp((event.clientY - top) / height)];
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (overlay.matches(":hover") || event.pointerType !== "mouse") pointed(place);
    });
  };
  overlay.addEventListener("pointermove", follow);
  overlay.addEventListener("pointerdown", follow);
  overlay.addEventListener("pointerleave", () => pointed(null));
  overlay.addEventListener("focus", () => (place = start()));
  overlay.addEventListener("blur", () => {
    element.classList.remove("by-keys");
    pointed(null);
  });
  overlay.addEventListener("keydown", event => {
    const step = event.shiftKey ? 0.1 : 0.02;
    const by = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    })[event.key];
    if (!by) return;
    event.preventDefault();
    place = [clamp(place[0] + by[0]), clamp(place[1] + by[1])];
    element.classList.add("by-keys");
    pointed(place);
  });
}

/**
 * @param {SVGElement} shapes
 * @param {Rendered} drawn
 * @param {{width: number, height: number}} size of the photo
 */
function drawShapes(shapes, { contour, box, peak }, { width, height }) {
  shapes.setAttribute("viewBox", `0 0 ${width} ${height}`);
  shapes.replaceChildren();
  /**
   * Every line twice, dark under light, so that it shows on any photo.
   * @param {"path" | "rect" | "circle"} tag
   * @param {Record<string, string | number>} attributes
   * @param {string} kind
   */
  const line = (tag, attributes, kind) => {
    for (const layer of ["under", "over"]) shapes.append(svgEl(tag, { ...attributes, class: `${kind} ${layer}` }));
  };
  if (page.look.contour) {
    const d = contour.map(points => `M${pairs(points).join("L")}Z`).join("");
    if (d) line("path", { d }, "contour");
  }
  if (page.look.box && box) {
    const [x0, y0, x1, y1] = box;
    line(
      "rect",
      { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), rx: Math.min(width, height) / 80 },
      "box",
    );
  }
  if (peak && (page.look.box || page.look.contour))
    line("circle", { cx: peak[0], cy: peak[1], r: Math.max(width, height) / 110 }, "peak");
}

/** @param {ArrayLike<number>} points x, y, x, y, ... */
function pairs(points) {
  const texts = [];
  for (let i = 0; i + 1 < points.length; i += 2) texts.push(`${points[i].toFixed(1)} ${points[i + 1].toFixed(1)}`);
  return texts;
}

/** @param {number} value */
const clamp = value => Math.min(1, Math.max(0, value));
