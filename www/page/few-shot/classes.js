// The classes: names, supports under their own maps, and what can be done to them.

import { el, icon, scoreDecimals } from "../dom.js";
import { addClass, addSupports, nextClassName, removeClass, removeSupport, renameClass, startEmpty } from "./inputs.js";
import { on, set, shownClass, state } from "./state.js";
import { trouble } from "../engine.js";
import { drawThumb, thumb } from "../thumb.js";
import { showWhilePointedAt } from "./switch.js";
import { state as page } from "../state.js";
import { parts } from "./markup.js";

/**
 * @import { ClassItem } from "./state.js"
 * @import { Photo } from "../state.js"
 * @import { LensMap } from "../../famlens.js"
 */

/**
 * @typedef {{card: HTMLElement, name: HTMLInputElement, score: HTMLElement, grid: HTMLElement, add: HTMLElement, input:
 *   HTMLInputElement, remove: HTMLButtonElement}} Card
 */
/** @typedef {{item: HTMLElement, overlay: HTMLCanvasElement, remove: HTMLButtonElement}} Tile */

/** @type {Map<string, Card>} */
const cards = new Map();
/** @type {Map<string, Tile>} */
const tiles = new Map();
/** The maps of the supports of the present result, by key of the photo. @type {Map<string, LensMap>} */
let maps = new Map();
/** @type {AbortController | null} */
let drawing = null;

export function mountClasses() {
  on(["classes"], show);
  on(["result", "picked", "hovered", "classes"], showScores);
  on(["result"], () => {
    maps = new Map();
    void drawMaps();
  });
  on(["look"], () => {
    parts.classList.style.setProperty("--map-opacity", String(page.look.opacity));
    if (drawnLook() !== lastLook) void drawMaps();
  });
  parts.classAdd.addEventListener("click", () => {
    const added = addClass(nextClassName(), []);
    // The card is made when the state has been told.
    setTimeout(() => cards.get(added.key)?.name.select());
  });
  parts.clear.addEventListener("click", startEmpty);
}

function show() {
  const { classes } = state;
  const photos = new Set(classes.flatMap(one => one.photos.map(({ key }) => key)));
  for (const [key, tile] of tiles) {
    if (photos.has(key)) continue;
    tile.item.remove();
    tiles.delete(key);
  }
  for (const [key, { card }] of cards) {
    if (classes.some(one => one.key === key)) continue;
    card.remove();
    cards.delete(key);
  }
  for (const [place, item] of classes.entries()) {
    const shown = cards.get(item.key) ?? makeCard(item.key);
    cards.set(item.key, shown);
    fill(shown, item);
    const { children } = parts.classList;
    if (children[place] !== shown.card) parts.classList.insertBefore(shown.card, children[place] ?? null);
  }
}

/**
 * Removes an element and hands the focus, if it had it, to its neighbour.
 * @param {HTMLElement} element
 * @param {string} siblings what its neighbours are
 * @param {string} inside what can be focused in them
 * @param {() => void} remove
 */
function keepFocus(element, siblings, inside, remove) {
  const neighbour = [element.nextElementSibling, element.previousElementSibling].find(other =>
    other?.matches(siblings),
  );
  const had = element.contains(document.activeElement);
  remove();
  if (!had) return;
  const next = neighbour?.querySelector(inside) ?? parts.classAdd;
  if (next instanceof HTMLElement) next.focus();
}

/** @param {string} key */
const byKey = key => /** @type {ClassItem} */ (state.classes.find(one => one.key === key));

/**
 * @param {string} key
 * @returns {Card}
 */
function makeCard(key) {
  const name = el("input", {
    type: "text",
    class: "class-name",
    "data-testid": "class-name",
    "aria-label": "Name of the class",
    maxlength: "60",
    spellcheck: "false",
    autocomplete: "off",
  });
  name.addEventListener("change", () => renameClass(byKey(key), name.value));
  name.addEventListener("keydown", event => {
    if (event.key === "Enter") name.blur();
    if (event.key === "Escape") {
      name.value = byKey(key).name;
      name.blur();
    }
  });
  const score = el("span", { class: "class-score" });
  const remove = el(
    "button",
    {
      type: "button",
      class: "round small",
      "data-testid": "class-remove",
      title: "Remove this class",
      onclick: () => keepFocus(card, ".class-card", ".class-name", () => removeClass(byKey(key))),
    },
    icon("close"),
  );
  const input = el("input", {
    type: "file",
    accept: "image/*",
    multiple: true,
    class: "unseen",
    "data-testid": "class-input",
  });
  input.addEventListener("change", () => {
    addSupports(key, [...(input.files ?? [])]);
    input.value = "";
  });
  const add = el("label", { class: "tile-add" }, input, icon("plus"), el("span", {}, "Add"));
  const grid = el("ul", { class: "supports" }, el("li", {}, add));
  const card = el(
    "article",
    { class: "class-card", "data-testid": "class", "data-drop": `class:${key}` },
    el("header", {}, el("span", { class: "swatch", "aria-hidden": "true" }), name, score, remove),
    grid,
  );
  showWhilePointedAt(card, () => (state.result?.keys.includes(key) ? key : null));
  return { card, name, score, grid, add, input, remove };
}

/**
 * @param {Card} shown
 * @param {ClassItem} item
 */
function fill({ card, name, grid, input, remove }, item) {
  card.dataset.name = item.name;
  card.dataset.color = String(item.color);
  card.setAttribute("aria-label", `Class ${item.name}`);
  card.classList.toggle("empty", item.photos.length === 0);
  if (document.activeElement !== name || name.value.trim() !== item.name) name.value = item.name;
  remove.setAttribute("aria-label", `Remove class ${item.name}`);
  input.setAttribute("aria-label", `Add photos to ${item.name}`);
  grid.setAttribute("aria-label", `Photos of ${item.name}`);
  for (const [place, photo] of item.photos.entries()) {
    const tile = tiles.get(photo.key) ?? makeTile(item.key, photo);
    tiles.set(photo.key, tile);
    tile.remove.setAttribute("aria-label", `Remove ${photo.name} from ${item.name}`);
    if (grid.children[place] !== tile.item) grid.insertBefore(tile.item, grid.children[place]);
  }
}

/**
 * @param {string} key of the class
 * @param {Photo} photo
 * @returns {Tile}
 */
function makeTile(key, photo) {
  const { box, overlay } = thumb(photo.small, photo.name);
  box.title = photo.name;
  const remove = el(
    "button",
    {
      type: "button",
      class: "remove",
      "data-testid": "support-remove",
      title: "Remove",
      onclick: () => keepFocus(item, "li", ".remove, input", () => removeSupport(byKey(key), photo)),
    },
    icon("close"),
  );
  const item = el("li", { class: "support", "data-testid": "support", "data-file": photo.name }, box, remove);
  return { overlay, remove, item };
}

function showScores() {
  const { result } = state;
  const shown = shownClass();
  const decimals = scoreDecimals(
    Math.max(...(result?.found.classes ?? []).map(({ similarity }) => Math.abs(similarity)), 1e-6),
  );
  for (const [key, { score, card }] of cards) {
    const at = result ? result.keys.indexOf(key) : -1;
    score.textContent = result && at >= 0 ? result.found.classes[at].similarity.toFixed(decimals) : "";
    card.classList.toggle("shown", shown?.key === key);
  }
}

const drawnLook = () => `${page.look.colormap} ${page.look.fade}`;
let lastLook = drawnLook();

/** Each support under the map of its own class: first the maps, which need the engine, then the colours. */
async function drawMaps() {
  drawing?.abort();
  lastLook = drawnLook();
  const { lens } = page;
  const { result } = state;
  if (!lens || !result) {
    for (const { overlay } of tiles.values()) overlay.hidden = true;
    return;
  }
  drawing = new AbortController();
  const { signal } = drawing;
  const known = maps;
  const classes = result.classes.map(({ name, photos }) => ({ name, supports: photos.map(({ source }) => source) }));
  // A method that runs the model hundreds of times is not run for each of these too.
  const { method: _, against: _against, ...options } = result.options;
  try {
    for (const [index, { photos }] of result.classes.entries()) {
      for (const photo of photos) {
        const tile = tiles.get(photo.key);
        if (!tile) continue;
        let map = known.get(photo.key);
        if (!map) {
          ({ map } = await lens.explainSupport({ image: photo.source, index, classes, ...options, signal }));
          known.set(photo.key, map);
        }
        await drawThumb(tile.overlay, photo.source, map, signal);
      }
    }
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

/** Shows the map of a class. @param {string} key */
export function pick(key) {
  set({ picked: key, channel: null });
}
