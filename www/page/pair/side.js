// One side of a pair: the picture, its map, and the cells that light up when one of the other side is pointed at.

import { el, paint, svgEl } from "../dom.js";
import { termsOf } from "../../famlens.js";

/**
 * @import { CellPairs } from "../../famlens.js"
 * @import { LensImage, LensMap } from "../../famlens.js"
 * @import { Context } from "../context.js"
 * @import { Subject } from "./view.js"
 */

/** Longest side of the overlay in pixels: a map of a few cells has no detail that more would show. */
const LONGEST = 640;

/** Side of the veil in pixels. */
const GLOW = 256;

/**
 * Where the cells lie on a photo, in parts of its width and height.
 * @param {string} geometry how the photo is fitted into the network's input
 * @param {number} width
 * @param {number} height
 */
export function gridOn(geometry, width, height) {
  if (geometry !== "crop" && geometry !== "letterbox") return { x: 0, y: 0, width: 1, height: 1 };
  const side = geometry === "crop" ? Math.min(width, height) : Math.max(width, height);
  return { x: (width - side) / 2 / width, y: (height - side) / 2 / height, width: side / width, height: side / height };
}

/**
 * @param {"a" | "b"} side
 * @param {{context: Context, choose: (files: File[]) => void, light: (cell: number | null) => void}} how
 */
export function mountSide(side, { context, choose, light }) {
  const which = side === "a" ? "first" : "second";
  const name = el("p", { class: "file-name" });
  const image = el("img", { alt: "", hidden: true });
  const view = el("canvas", { class: "pair-view", hidden: true });
  const map = el("canvas", { class: "pair-map", hidden: true });
  const glow = el("canvas", { class: "pair-glow", hidden: true, "data-testid": `pair-glow-${side}` });
  const cells = el("canvas");
  const shapes = svgEl("svg", {
    class: "shapes",
    viewBox: "0 0 1 1",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const hint = el(
    "p",
    { class: "unseen", id: `pair-keys-${side}` },
    "Arrow keys choose a cell of this photo; Escape ends it.",
  );
  const frame = el(
    "div",
    {
      class: "pair-frame",
      tabindex: 0,
      role: "group",
      "aria-label": `The ${which} photo`,
      "aria-describedby": `pair-keys-${side}`,
      "data-testid": `pair-${side}`,
    },
    image,
    view,
    map,
    glow,
  );
  frame.append(shapes);
  const empty = el("p", { class: "pair-empty" }, "Drop a photo here, or choose one.");
  const text = el("p", { class: "fine pair-text", "data-testid": `pair-text-${side}` });
  const button = el(
    "button",
    {
      type: "button",
      class: "button pair-choose",
      onclick: async () => choose(await context.pickFiles({ multiple: false })),
    },
    "Choose photo",
  );
  const element = el(
    "section",
    { class: "pair-side", "data-side": side, "aria-label": `The ${which} photo` },
    el("div", { class: "pair-head" }, el("h2", {}, side === "a" ? "First" : "Second"), name, button),
    el("div", { class: "pair-stage" }, empty, frame),
    text,
    hint,
  );

  /**
   * @type {{image: LensImage, map: LensMap, cells: [number, number] | null, grid: {x: number, y: number, width: number,
   *   height: number}} | null}
   */
  let now = null;
  let cell = -1;
  let drawing = 0;

  /** @param {number} width @param {number} height */
  function shape(width, height) {
    if (width > 0 && height > 0) frame.style.setProperty("--ratio", String(width / height));
  }
  image.addEventListener("load", () => {
    if (!image.hidden) shape(image.naturalWidth, image.naturalHeight);
  });

  function clear() {
    now = null;
    map.hidden = glow.hidden = true;
    shapes.replaceChildren();
  }

  /** The picture alone. @param {Subject | null} subject */
  function show(subject) {
    clear();
    empty.hidden = subject !== null;
    frame.hidden = subject === null;
    name.textContent = subject?.photo.name ?? "";
    text.textContent = subject?.text ?? "";
    text.hidden = !subject?.text;
    image.hidden = !subject || subject.image !== null;
    view.hidden = !subject?.image;
    if (subject?.image) {
      paint(view, subject.image);
      shape(subject.image.width, subject.image.height);
    } else if (subject) {
      if (image.src !== subject.photo.src) image.src = subject.photo.src;
      else shape(image.naturalWidth, image.naturalHeight);
    }
  }

  /**
   * The map over it.
   * @param {LensImage} of
   * @param {LensMap} found
   * @param {[number, number] | null} count of cells, across and down; null if none can be pointed at
   * @param {string} geometry
   */
  async function explain(of, found, count, geometry) {
    now = { image: of, map: found, cells: count, grid: gridOn(geometry, of.width, of.height) };
    shape(of.width, of.height);
    place(glow, now.grid);
    await draw();
  }

  /** @param {HTMLElement} layer @param {{x: number, y: number, width: number, height: number}} grid */
  function place(layer, grid) {
    Object.assign(layer.style, {
      left: `${100 * grid.x}%`,
      top: `${100 * grid.y}%`,
      width: `${100 * grid.width}%`,
      height: `${100 * grid.height}%`,
    });
  }

  async function draw() {
    const { lens } = context;
    if (!lens || !now) return;
    const mine = (drawing += 1);
    const { opacity, ...look } = context.look();
    const { width, height } = now.image;
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const drawn = await lens.render(now.image, now.map, {
      width: Math.max(1, Math.round(width * scale)),
      height: Math.max(1, Math.round(height * scale)),
      ...look,
    });
    if (mine !== drawing || !now) return;
    paint(map, drawn.image);
    map.style.opacity = String(opacity);
    map.hidden = !glow.hidden;
    map.setAttribute("data-peak", JSON.stringify(now.map.peak ?? null));
  }

  /**
   * Lights the cells by what they add; null shows the map again.
   * @param {Float32Array | null} terms
   * @returns {number} the cell that adds most
   */
  function lightUp(terms) {
    shapes.replaceChildren();
    glow.hidden = terms === null;
    map.hidden = !now || terms !== null;
    if (!terms || !now?.cells) {
      cell = terms ? cell : -1;
      return -1;
    }
    const [columns, rows] = now.cells;
    const data = new ImageData(columns, rows);
    let [best, high] = [0, 0];
    for (const [at, value] of terms.entries()) {
      if (value > terms[best]) best = at;
      high = Math.max(high, Math.abs(value));
    }
    // A veil over the photo, clear where the similarity comes from; what speaks against it is blue.
    for (const [at, value] of terms.entries()) {
      const part = high === 0 ? 0 : value / high;
      const color = part >= 0 ? [8, 6, 20, 225 * (1 - part) ** 1.4] : [40, 110, 255, 120 + 110 * -part];
      data.data.set(color, 4 * at);
    }
    paint(cells, data);
    // Scaled in steps of the canvas, which is smoother than the style sheet's scaling of so few pixels.
    glow.width = glow.height = GLOW;
    const context2d = glow.getContext("2d");
    if (context2d) {
      context2d.imageSmoothingQuality = "high";
      context2d.drawImage(cells, 0, 0, GLOW, GLOW);
    }
    outline(best, "box");
    return best;
  }

  /** @param {number} at @param {string} kind */
  function outline(at, kind) {
    if (!now?.cells) return;
    const [columns, rows] = now.cells;
    const { grid } = now;
    const attributes = {
      x: grid.x + (grid.width * (at % columns)) / columns,
      y: grid.y + (grid.height * Math.floor(at / columns)) / rows,
      width: grid.width / columns,
      height: grid.height / rows,
    };
    for (const layer of ["under", "over"]) shapes.append(svgEl("rect", { ...attributes, class: `${kind} ${layer}` }));
  }

  /** Marks the cell that is pointed at. @param {number} at */
  function mark(at) {
    glow.hidden = true;
    map.hidden = true;
    shapes.replaceChildren();
    outline(at, "cell");
  }

  /** The cell at a place of the picture. @param {PointerEvent} event */
  function cellAt(event) {
    if (!now?.cells) return null;
    const { left, top, width, height } = frame.getBoundingClientRect();
    const {
      grid,
      cells: [columns, rows],
    } = now;
    const x = ((event.clientX - left) / width - grid.x) / grid.width;
    const y = ((event.clientY - top) / height - grid.y) / grid.height;
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return null;
    return Math.floor(y * rows) * columns + Math.floor(x * columns);
  }

  /** @param {number | null} at */
  function point(at) {
    if (at === cell || (at === null && cell === -1)) return;
    cell = at ?? -1;
    light(at);
  }

  frame.addEventListener("pointermove", event => point(cellAt(event)));
  frame.addEventListener("pointerdown", event => point(cellAt(event)));
  frame.addEventListener("pointerleave", event => {
    // A finger that is lifted leaves what it pointed at.
    if (event.pointerType === "mouse" && frame !== document.activeElement) point(null);
  });
  frame.addEventListener("blur", () => point(null));
  frame.addEventListener("keydown", event => {
    if (!now?.cells) return;
    const [columns, rows] = now.cells;
    if (event.key === "Escape") return point(null);
    const step = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    })[event.key];
    if (!step) return;
    event.preventDefault();
    const from = cell >= 0 ? cell : strongest();
    const column = Math.min(columns - 1, Math.max(0, (from % columns) + (cell >= 0 ? step[0] : 0)));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(from / columns) + (cell >= 0 ? step[1] : 0)));
    point(row * columns + column);
  });

  /** The cell with the map's highest value, where the keys begin. */
  function strongest() {
    let best = 0;
    const data = now?.map.data ?? new Float32Array(1);
    for (const [at, value] of data.entries()) if (value > data[best]) best = at;
    return best;
  }

  return {
    element,
    show,
    clear,
    explain,
    light: lightUp,
    mark,
    redraw: () => void draw().catch(() => {}),
    /** @param {CellPairs} pairs @param {number} at */
    terms: (pairs, at) => termsOf(pairs, side, at),
  };
}
