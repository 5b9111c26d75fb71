// Do the maps tell the classes apart? One photo of each class on one picture, and how much of each class's map lies in
// its own tile, by form.

import { el, scrolled } from "../dom.js";
import { trouble } from "../engine.js";
import { on, shownIndex, state } from "./state.js";
import { thumb } from "../thumb.js";
import { formOf, valuesOf } from "../catalogue.js";
import { makeGrid } from "./grid.js";
import { filled, optionsNow } from "./options.js";
import { state as page } from "../state.js";

/**
 * @import { Form, Lens, Mosaic } from "../../famlens.js"
 * @import { ClassItem } from "./state.js"
 * @import { Photo } from "../state.js"
 */

/** What is compared at first: the paper's form, and what promises to be better. */
let forms = ["fam", "contrastive", "whitened", "discriminative"];

/** Which photo of each class is its tile, by key of the class; the last one at first. @type {Map<string, string>} */
const tiles = new Map();

/** @type {{lens: Lens, found: Mosaic, src: string, keys: string[], forms: string[]} | null} */
let shown = null;
/** @type {AbortController | null} */
let running = null;

const SAYS =
  "Do the maps tell your classes apart? One photo of each class is put on one picture. A map that is about its " +
  "class lights that class's tile and no other.";

/** @param {HTMLElement} container */
export function mount(container) {
  const says = el("p", { class: "says" }, SAYS);
  const picks = el("div", { class: "picks", role: "group", "aria-label": "Forms that are compared" });
  const tileRow = el("div", { class: "tile-row" });
  const place = el("div", { class: "grid-place" });
  const table = scrolled("Part of each class's map that lies on its own tile, by form");
  const notes = el("ul", { class: "notes" });
  container.append(says, el("div", { class: "mode-head" }, picks, tileRow), place, table, notes);
  const grid = makeGrid(place);

  on(["catalogue"], () => {
    picks.replaceChildren(
      ...valuesOf("form").map(({ name, label, sentence }) => {
        const input = el("input", { type: "checkbox", value: name, class: "unseen" });
        input.checked = forms.includes(name);
        input.addEventListener("change", () => {
          const next = valuesOf("form")
            .map(one => one.name)
            .filter(other => (other === name ? input.checked : forms.includes(other)));
          if (next.length > 0 && next.length <= 6) forms = next;
          else input.checked = !input.checked;
          void run();
        });
        return el("label", { class: "pick", title: sentence }, input, el("span", {}, label));
      }),
    );
  });

  /** The photos that are tiles; a click takes the next one of the class. */
  function drawTiles() {
    if (state.mode !== "mosaic") return;
    const focused = [...tileRow.children].indexOf(/** @type {Element} */ (document.activeElement));
    tileRow.replaceChildren(
      ...filled(state.classes).map(one => {
        const photo = tileOf(one);
        const next = one.photos[(one.photos.indexOf(photo) + 1) % one.photos.length];
        const take = () => {
          tiles.set(one.key, next.key);
          drawTiles();
          void run();
        };
        return el(
          "button",
          {
            type: "button",
            class: "tile-pick",
            "data-testid": "tile-pick",
            "data-color": one.color,
            title: `Another photo of ${one.name}`,
            "aria-label": `The tile of ${one.name} is ${photo.name}. Take another photo`,
            disabled: one.photos.length < 2,
            onclick: take,
          },
          thumb(photo.small, "").box,
        );
      }),
    );
    /** @type {HTMLElement | undefined} */ (tileRow.children[focused])?.focus();
  }
  on(["classes", "mode"], drawTiles);

  async function run() {
    running?.abort();
    const { lens } = page;
    const { classes } = state;
    const used = filled(classes);
    if (state.mode !== "mosaic" || !lens) return;
    const fits = used.length >= 2 && used.length <= 16;
    says.textContent = fits ? SAYS : "Two to sixteen classes with photos are needed.";
    if (!fits) {
      letGo(shown);
      shown = null;
      grid.show([]);
      table.replaceChildren();
      notes.replaceChildren();
      return;
    }
    const { signal } = (running = new AbortController());
    try {
      const { form: _, ...options } = optionsNow();
      const known = new Set(valuesOf("form").map(({ name }) => name));
      const asked = forms.filter(name => known.has(name));
      const found = await lens.mosaic({
        classes: used.map(one => ({ name: one.name, supports: inOrder(one).map(({ source }) => source) })),
        forms: /** @type {Form[]} */ (asked),
        ...options,
        signal,
      });
      if (signal.aborted) return void lens.forget(found.image);
      const before = shown;
      shown = { lens, found, src: await address(found.picture), keys: used.map(({ key }) => key), forms: asked };
      show();
      letGo(before);
      table.replaceChildren(figures(shown.found, asked));
      notes.replaceChildren(...found.notes.map(note => el("li", {}, note)));
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
  }

  function show() {
    if (!shown || state.mode !== "mosaic") return;
    const { found, src, keys, forms } = shown;
    const key = state.result?.keys[shownIndex()] ?? keys[0];
    const at = Math.max(0, keys.indexOf(key));
    const photo = { src, name: "the mosaic", source: found.image };
    const { name } = found.forms[0].classes[at];
    grid.show(
      found.forms.map((one, place) => {
        const own = one.own[at];
        const part =
          own === null
            ? `The map of ${name} is zero everywhere.`
            : `${percent(own)} of ${name}'s map is on its own tile; chance is ${percent(found.chance[at])}.`;
        return [
          forms[place],
          {
            name: formOf(forms[place]).label,
            says: part,
            photo,
            size: { width: found.picture.width, height: found.picture.height },
            map: one.maps[at],
            label: `Mosaic under ${formOf(forms[place]).label}. ${part}`,
          },
        ];
      }),
    );
  }

  on(["mode", "lens", "classes", "choices"], () => void run());
  on(["result", "picked", "hovered"], show);
}

/**
 * A mosaic that is not shown any more. A lens that was replaced has taken its images with it.
 * @param {typeof shown} old
 */
function letGo(old) {
  if (!old) return;
  if (old.lens === page.lens) void old.lens.forget(old.found.image);
  URL.revokeObjectURL(old.src);
}

/** @param {ClassItem} one */
const tileOf = one =>
  one.photos.find(({ key }) => key === tiles.get(one.key)) ?? /** @type {Photo} */ (one.photos.at(-1));

/** The photos with the tile last, where the library looks for it. @param {ClassItem} one */
const inOrder = one => [...one.photos.filter(photo => photo !== tileOf(one)), tileOf(one)];

/** An address for an <img>. @param {ImageData} picture */
async function address(picture) {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(picture, 0, 0);
  return URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 }));
}

/** @param {Mosaic} found @param {string[]} forms */
function figures(found, forms) {
  const names = found.forms[0].classes.map(({ name }) => name);
  return el(
    "table",
    { class: "figures", "data-testid": "mosaic-figures" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("td", {}, "On the own tile"),
        ...names.map(name => el("th", { scope: "col" }, name)),
        el("th", { scope: "col" }, "Mean"),
        el("th", { scope: "col" }, "Peak inside"),
      ),
    ),
    el(
      "tbody",
      {},
      ...found.forms.map(({ own, hits }, at) =>
        el(
          "tr",
          { "data-form": forms[at] },
          el("th", { scope: "row" }, formOf(forms[at]).label),
          ...own.map(part => bar(part)),
          bar(mean(own)),
          el("td", {}, `${hits.filter(Boolean).length} of ${hits.length}`),
        ),
      ),
      el(
        "tr",
        { class: "chance" },
        el("th", { scope: "row" }, "By chance"),
        ...found.chance.map(part => bar(part)),
        bar(mean(found.chance)),
        el("td", {}, ""),
      ),
    ),
  );
}

/** @param {(number | null)[]} parts */
const mean = parts => parts.reduce((/** @type {number} */ sum, part) => sum + (part ?? 0), 0) / parts.length;

/** @param {number | null} part */
function bar(part) {
  const cell = el("td", { class: "part" }, part === null ? "all zero" : percent(part));
  cell.style.setProperty("--part", String(part ?? 0));
  return cell;
}

/** @param {number} part */
const percent = part => `${Math.round(100 * part)} %`;
