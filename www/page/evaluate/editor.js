// Boxes drawn over a photo: with the mouse, a finger or the keyboard.

import { byId, el } from "../dom.js";
import { current, onItems, setBoxes } from "./items.js";

/** @import { Box, Item } from "./items.js" */

/** Boxes with a side below this part of the photo are slips of the hand. */
const LEAST = 0.01;

/** @param {HTMLElement} place */
export function mountEditor(place) {
  const image = el("img", { alt: "", draggable: "false" });
  const canvas = el("div", { class: "draw-photo", "data-testid": "draw" }, image);
  place.append(canvas);
  /** @type {Item | null} */
  let shown = null;

  const size = () => ({ width: image.naturalWidth || 1, height: image.naturalHeight || 1 });
  /** @param {PointerEvent} event @returns {[number, number]} */
  const at = event => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [clamp((event.clientX - left) / width), clamp((event.clientY - top) / height)];
  };

  canvas.addEventListener("pointerdown", event => {
    const item = current();
    if (!item || event.button !== 0) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const index = Number(target.closest("[data-box]")?.getAttribute("data-box") ?? -1);
    const start = at(event);
    const { width, height } = size();
    const old = item.boxes[index];
    const grip = target.dataset.grip;
    const before = item.boxes;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    /** @param {PointerEvent} event */
    const move = event => {
      const [x, y] = at(event);
      const [dx, dy] = [(x - start[0]) * width, (y - start[1]) * height];
      if (!old)
        return setBoxes(item, [...before, ordered([start[0] * width, start[1] * height, x * width, y * height])]);
      const box = grip ? within(stretched(old, grip, dx, dy), width, height) : moved(old, dx, dy, width, height);
      setBoxes(
        item,
        before.map((other, place) => (place === index ? box : other)),
      );
    };
    const end = () => {
      canvas.removeEventListener("pointermove", move);
      setBoxes(
        item,
        item.boxes.filter(([x0, y0, x1, y1]) => x1 - x0 > LEAST * width && y1 - y0 > LEAST * height),
      );
      /** @type {HTMLElement | null} */ (
        canvas.querySelector(`[data-box="${old ? index : item.boxes.length - 1}"]`)
      )?.focus();
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", end, { once: true });
    canvas.addEventListener("pointercancel", end, { once: true });
  });

  canvas.addEventListener("keydown", event => {
    const item = current();
    const index = Number(/** @type {HTMLElement} */ (event.target).dataset.box ?? -1);
    if (!item?.boxes[index]) return;
    const { width, height } = size();
    if (event.key === "Delete" || event.key === "Backspace") {
      setBoxes(
        item,
        item.boxes.filter((_, place) => place !== index),
      );
      /** @type {HTMLElement | null} */
      const box = canvas.querySelector("[data-box]");
      (box ?? byId("evaluate-add-box", HTMLElement)).focus();
      return event.preventDefault();
    }
    const by = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    })[event.key];
    if (!by) return;
    event.preventDefault();
    const [dx, dy] = [0.01 * by[0] * width, 0.01 * by[1] * height];
    const box = event.shiftKey
      ? within(stretched(item.boxes[index], "se", dx, dy), width, height)
      : moved(item.boxes[index], dx, dy, width, height);
    setBoxes(
      item,
      item.boxes.map((other, place) => (place === index ? box : other)),
    );
  });

  function show() {
    const item = current();
    place.hidden = item === null;
    if (!item) return;
    if (item !== shown) {
      shown = item;
      image.src = item.photo.src;
      image.alt = item.photo.name;
    }
    const { width, height } = size();
    canvas.style.setProperty("--ratio", String(width / height));
    const boxes = [...canvas.querySelectorAll("[data-box]")];
    for (const extra of boxes.splice(item.boxes.length)) extra.remove();
    for (const [index, box] of item.boxes.entries()) {
      const element = /** @type {HTMLElement} */ (boxes[index] ?? canvas.appendChild(make(index)));
      const [x0, y0, x1, y1] = box;
      Object.assign(element.style, {
        left: percent(x0 / width),
        top: percent(y0 / height),
        width: percent((x1 - x0) / width),
        height: percent((y1 - y0) / height),
      });
      element.setAttribute(
        "aria-label",
        `Box ${index + 1}: ${box.map(Math.round).join(", ")}. Arrow keys move it, with Shift they resize it, Delete ` +
          `removes it.`,
      );
    }
  }
  image.addEventListener("load", show);
  onItems(show);

  return {
    /** Adds a box in the middle, for who cannot draw one. */
    addBox() {
      const item = current();
      if (!item) return;
      const { width, height } = size();
      setBoxes(item, [...item.boxes, [0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]]);
      /** @type {HTMLElement | null} */ (canvas.querySelector(`[data-box="${item.boxes.length - 1}"]`))?.focus();
    },
  };
}

/** @param {number} index */
function make(index) {
  return el(
    "div",
    { class: "drawn-box", "data-box": index, tabindex: "0", role: "group", "data-testid": "drawn-box" },
    ...["nw", "ne", "sw", "se"].map(grip => el("i", { "data-grip": grip })),
  );
}

/** @param {Box} box @returns {Box} */
const ordered = ([x0, y0, x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];

/** @param {Box} box @param {string} grip @param {number} dx @param {number} dy */
const stretched = ([x0, y0, x1, y1], grip, dx, dy) =>
  ordered([
    x0 + (grip.includes("w") ? dx : 0),
    y0 + (grip.includes("n") ? dy : 0),
    x1 + (grip.includes("e") ? dx : 0),
    y1 + (grip.includes("s") ? dy : 0),
  ]);

/** @param {Box} box @param {number} width @param {number} height @returns {Box} */
const within = ([x0, y0, x1, y1], width, height) => [
  Math.max(0, x0),
  Math.max(0, y0),
  Math.min(width, x1),
  Math.min(height, y1),
];

/**
 * @param {Box} box
 * @param {number} dx
 * @param {number} dy
 * @param {number} width
 * @param {number} height
 * @returns {Box}
 */
function moved([x0, y0, x1, y1], dx, dy, width, height) {
  const x = Math.min(Math.max(dx, -x0), width - x1);
  const y = Math.min(Math.max(dy, -y0), height - y1);
  return [x0 + x, y0 + y, x1 + x, y1 + y];
}

/** @param {number} part */
const percent = part => `${100 * part}%`;

/** @param {number} value */
const clamp = value => Math.min(1, Math.max(0, value));
