// The photo in the middle under its maps: FAM as the paper has it, and what was chosen.

import { paint } from "../dom.js";
import { current, on, published, shownClass, shownIndex, shownMap, state } from "./state.js";
import { formNow, PUBLISHED, same } from "./options.js";
import { formOf } from "../catalogue.js";
import { makePane } from "./pane.js";
import { state as page } from "../state.js";
import { parts } from "./markup.js";

/**
 * @import { LensMap } from "../../famlens.js"
 * @import { Result } from "./state.js"
 * @import { Pane } from "./pane.js"
 */

export const scrolling = matchMedia("(max-width: 1099px), (max-height: 639px)");

/** Room for name and sentence under each photo, for its maps of all classes, and between panes, in pixels. */
const [CAPTION, CLASSES, GAP] = [66, 100, 14];

/** How much larger photos have to be one over the other for not being side by side. */
const LARGER = 1.3;

const beside = makePane("published", "overlay-published", point);
const chosen = makePane("chosen", "overlay", point);

export function mountStage() {
  parts.panes.append(beside.element, chosen.element);
  on(["query", "result", "published", "beside", "choices", "picked", "hovered", "channel", "channelMaps"], show);
  on(["look", "result", "published"], () => void drawRamps());
  new ResizeObserver(arrange).observe(parts.stage);
  for (const { image } of [beside, chosen]) image.addEventListener("load", arrange);
}

/** @param {[number, number] | null} place */
function point(place) {
  for (const pane of [beside, chosen]) void pane.probe(place, pane.overlay.matches(":hover"));
}

function show() {
  const { query } = state;
  parts.stageEmpty.hidden = query !== null;
  parts.panes.hidden = query === null;
  parts.queryName.textContent = query?.name ?? "";
  beside.element.hidden = !state.beside || same({ ...page.choices, form: formNow() }, PUBLISHED);
  if (!query) return;
  const shown = shownClass();
  chosen.element.dataset.color = beside.element.dataset.color = String(shown?.color ?? 7);
  fill(beside, published(), PUBLISHED.form, "FAM, as published");
  const result = current();
  const channel = result && state.channel !== null ? result.found.top[shownIndex()]?.[state.channel] : null;
  fill(chosen, result, formNow(), channel ? `Channel ${channel.channel}` : null);
  arrange();
}

/**
 * @param {Pane} pane
 * @param {Result | null} result
 * @param {string} form
 * @param {string | null} name in place of the form's own
 */
function fill(pane, result, form, name) {
  const query = /** @type {NonNullable<typeof state.query>} */ (state.query);
  const described = formOf(form);
  const at = shownIndex(result);
  const of = result?.classes[at]?.name;
  const map = pane === chosen && result ? shownMap() : (result?.found.maps[at] ?? null);
  const label = `${query.name}. ${name ?? described.label}${of ? `: what speaks for ${of}` : ""}.${where(map, result)}`;
  pane.showClasses(result, at);
  pane.show({
    name: name ?? described.label,
    says: described.sentence,
    note: described.note,
    photo: query,
    size: result?.found.query ?? null,
    map,
    label,
  });
}

/** @param {LensMap | null} map @param {Result | null} result */
function where(map, result) {
  if (!map?.peak || !result) return "";
  const { width, height } = result.found.query;
  return (
    ` Strongest at ${Math.round((100 * map.peak[0]) / width)} percent from the left and ` +
    `${Math.round((100 * map.peak[1]) / height)} percent from the top.`
  );
}

/** Side by side or one over the other: whichever shows the photos larger. */
function arrange() {
  const { naturalWidth, naturalHeight } = chosen.image;
  const count = beside.element.hidden ? 1 : 2;
  const { clientWidth } = parts.stage;
  // Where the page scrolls as a whole the stage is as high as it has to be, and that is to leave room for what is
  // below.
  const clientHeight = scrolling.matches ? 0.72 * innerHeight : parts.stage.clientHeight;
  if (!naturalWidth || !clientWidth) return;
  const ratio = naturalWidth / naturalHeight;
  const [columns, width] = fit(count, ratio, clientWidth, clientHeight);
  const panes = parts.panes;
  panes.style.setProperty("--columns", String(columns));
  panes.style.setProperty("--photo", `${Math.floor(width)}px`);
  panes.style.setProperty("--ratio", String(ratio));
  const left = clientHeight - (count / columns) * (width / ratio + CAPTION);
  panes.classList.toggle("roomy", columns === count && left > (scrolling.matches ? 0 : CLASSES));
}

/**
 * Columns, and the width of each photo.
 * @param {number} count
 * @param {number} ratio
 * @param {number} width
 * @param {number} height
 * @param {number} [caption]
 * @returns {[number, number]}
 */
export function fit(count, ratio, width, height, caption = CAPTION) {
  /** @type {[number, number]} */
  let best = [1, 0];
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (width - GAP * (columns - 1)) / columns;
    const down = (height - GAP * (rows - 1)) / rows - caption;
    const photo = Math.max(120, Math.min(across, down * ratio));
    if (photo * (rows === 1 ? LARGER : 1) > best[1]) best = [columns, photo];
  }
  return best;
}

/** Ramps from the lowest to the highest value, coloured as the maps are. */
async function drawRamps() {
  const { lens, look } = page;
  const result = state.result ?? state.published;
  if (!lens || !result) return;
  const data = Float32Array.from({ length: 64 }, (_, i) => i / 63);
  const ramp = { data, width: 64, height: 1, min: 0, max: 1 };
  const drawn = await lens
    .render(result.query.source, ramp, {
      width: 96,
      height: 10,
      colormap: look.colormap,
      mode: "constant",
      threshold: look.threshold,
    })
    .catch(() => null);
  if (drawn && look.colormap === page.look.colormap) for (const pane of [beside, chosen]) paint(pane.ramp, drawn.image);
}
