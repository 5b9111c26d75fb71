// What if a part of the photo were covered? A brush covers it, and the scores move beside what the map predicted.

import { el } from "../dom.js";
import { trouble } from "../engine.js";
import { FEW_SHOT } from "../words.js";
import { parts } from "./markup.js";
import { asked, filled, optionsNow } from "./options.js";
import { chosen } from "./stage.js";
import { current, on, shownIndex, state } from "./state.js";
import { state as page } from "../state.js";

/** @import { WhatIf } from "../../famlens.js" */

/** Cells along the longer side of what is painted on, and the brush's radius in them. */
const [CELLS, RADIUS] = [64, 5];

const WORDS = FEW_SHOT.cover;

export function mountCover() {
  const canvas = el("canvas", { class: "cover-canvas", "data-testid": "cover-canvas", "aria-hidden": "true" });
  const fill = el("select", { "data-testid": "cover-with", "aria-label": WORDS.with });
  const moves = el("ul", { class: "moves", "data-testid": "moves", "aria-live": "polite" });
  const now = el("p", { class: "says", "data-testid": "cover-now" });
  const clear = el("button", { type: "button", class: "button quiet", onclick: () => uncover() }, WORDS.clear);
  const close = el("button", { type: "button", class: "button", onclick: () => open(false) }, WORDS.close);
  parts.cover.append(
    el("p", { class: "says" }, WORDS.says),
    el("div", { class: "cover-row" }, el("label", { class: "tool" }, WORDS.with, fill), clear, close),
    moves,
    now,
  );
  parts.coverOpen.addEventListener("click", () => open(parts.cover.hidden === true));

  let mask = new Float32Array();
  let [width, height] = [0, 0];
  /** @type {AbortController | null} */
  let asking = null;
  let waiting = false;

  /** @param {boolean} whether */
  function open(whether) {
    parts.cover.hidden = !whether;
    parts.coverOpen.setAttribute("aria-expanded", String(whether));
    canvas.remove();
    if (!whether) return;
    chosen.photo.append(canvas);
    fill.replaceChildren(
      el("option", { value: "grey" }, WORDS.grey),
      el("option", { value: "blur" }, WORDS.blur),
      ...filled(state.classes).map(({ key, name }) => el("option", { value: key }, WORDS.photo(name))),
    );
    uncover();
  }

  function uncover() {
    const size = current()?.found.query;
    if (!size) return;
    const cell = Math.max(size.width, size.height) / CELLS;
    [width, height] = [Math.max(1, Math.round(size.width / cell)), Math.max(1, Math.round(size.height / cell))];
    mask = new Float32Array(width * height);
    draw();
    tell(null);
  }

  /** What lies over the photo at present. */
  function laid() {
    const own = filled(state.classes).find(({ key }) => key === fill.value);
    return own ? own.photos[0] : null;
  }

  function draw() {
    const result = current();
    if (!result) return;
    const { width: w, height: h } = result.found.query;
    const scale = Math.min(1, 640 / Math.max(w, h));
    [canvas.width, canvas.height] = [Math.round(w * scale), Math.round(h * scale)];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const [across, down] = [canvas.width / width, canvas.height / height];
    for (const [at, value] of mask.entries())
      if (value > 0) context.rect((at % width) * across, Math.floor(at / width) * down, across + 0.5, down + 0.5);
    context.fill();
    context.globalCompositeOperation = "source-in";
    const photo = laid();
    if (fill.value === "grey") {
      context.fillStyle = "rgb(128 128 128)";
      context.fillRect(0, 0, canvas.width, canvas.height);
      return;
    }
    if (!photo) context.filter = `blur(${Math.round(canvas.width / 24)}px)`;
    const image = new Image();
    image.src = photo ? photo.src : result.query.src;
    image
      .decode()
      .then(() => context.drawImage(image, 0, 0, canvas.width, canvas.height))
      .catch(() => {});
  }

  /** @param {PointerEvent} event */
  function paint(event) {
    const { left, top, width: w, height: h } = canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - left) / w) * width, ((event.clientY - top) / h) * height];
    for (let row = Math.max(0, Math.floor(y - RADIUS)); row < Math.min(height, y + RADIUS); row += 1)
      for (let column = Math.max(0, Math.floor(x - RADIUS)); column < Math.min(width, x + RADIUS); column += 1)
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= RADIUS) mask[row * width + column] = 1;
    draw();
    void ask();
  }
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    paint(event);
  });
  canvas.addEventListener("pointermove", event => {
    if (event.buttons > 0) paint(event);
  });
  fill.addEventListener("change", () => {
    draw();
    void ask();
  });

  /** Asks about what is covered now. While an answer is on its way only the last wish is kept. */
  async function ask() {
    if (asking) {
      waiting = true;
      return;
    }
    const { lens } = page;
    const result = current();
    if (!lens || !result || !mask.includes(1)) return;
    asking = new AbortController();
    const { signal } = asking;
    if (moves.childElementCount === 0) now.textContent = WORDS.working;
    try {
      const photo = laid();
      const found = await lens.whatIf({
        query: result.query.source,
        classes: asked(state.classes),
        cover: { mask: { data: mask, width, height } },
        with: photo ? photo.source : /** @type {"grey" | "blur"} */ (fill.value),
        ...optionsNow(),
        signal,
      });
      if (!signal.aborted && mask.includes(1)) tell(found);
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
    asking = null;
    if (!waiting) return;
    waiting = false;
    void ask();
  }

  /** @param {WhatIf | null} found */
  function tell(found) {
    const at = shownIndex();
    // The class that is shown comes first: its map is what is put to the test.
    const order = found ? [...found.classes.entries()].sort(([a], [b]) => Number(b === at) - Number(a === at)) : [];
    moves.replaceChildren(
      ...order.map(([k, { says }]) => el("li", { "data-color": String(state.result?.classes[k]?.color ?? 0) }, says)),
    );
    const decision = found?.decision;
    now.textContent = decision ? WORDS.now(decision.headline, decision.says) : "";
  }

  // Another photo, other classes: what was covered is not theirs.
  on(["query", "classes", "mode"], () => {
    if (!parts.cover.hidden) open(false);
  });
  on(["result", "picked"], () => {
    if (!parts.cover.hidden) void ask();
  });
}
