// The photo in the middle under its maps: FAM as the paper has it, and what was chosen.

import { el, paint } from "../dom.js";
import { current, on, pictured, published, shownIndex, shownMap, state } from "./state.js";
import { formNow, PUBLISHED, same } from "./options.js";
import { formOf } from "../catalogue.js";
import { makePane } from "./pane.js";
import { state as page } from "../state.js";
import { parts } from "./markup.js";
import { FEW_SHOT } from "../words.js";

/**
 * @import { LensMap } from "../../famlens.js"
 * @import { Early, Result } from "./state.js"
 * @import { Pane } from "./pane.js"
 */

export const scrolling = matchMedia("(max-width: 1099px), (max-height: 639px)");

/** Room for name and sentence under each photo, for its maps of all classes, and between panes, in pixels. */
const [CAPTION, LINE, CLASSES, GAP] = [66, 38, 100, 14];

/** How much of the window's height photos may take where the page scrolls, and on a phone. */
const [PART, NARROW_PART] = [0.6, 0.32];

const narrow = matchMedia("(max-width: 760px)");

/** A photo is tall from this width for a height of one on, and the stage wide from so many pixels on. */
const [TALL, WIDE] = [0.95, 640];

/** How much larger photos have to be one over the other for not being side by side. */
const LARGER = 1.3;

const beside = makePane("published", "overlay-published", point);
export const chosen = makePane("chosen", "overlay", point);
const early = el("p", { class: "chip early", "data-testid": "early", hidden: true }, FEW_SHOT.early);

export function mountStage() {
  parts.panes.append(beside.element, chosen.element);
  chosen.photo.append(early);
  on(
    ["query", "result", "opening", "published", "beside", "choices", "picked", "hovered", "channel", "channelMaps"],
    show,
  );
  on(["look", "result", "opening", "published"], () => void drawRamps());
  const observer = new ResizeObserver(arrange);
  for (const part of [parts.query, parts.stage, parts.verdictRow, parts.cover]) observer.observe(part);
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
  const now = pictured();
  const shown = now?.classes[shownIndex(now)];
  early.hidden = now === null || now !== state.opening;
  chosen.element.dataset.color = beside.element.dataset.color = String(shown?.color ?? 7);
  fill(beside, published(), formOf(PUBLISHED.form), FEW_SHOT.published);
  const result = current();
  const channel = result && state.channel !== null ? result.found.top[shownIndex()]?.[state.channel] : null;
  const described = state.opening && now === state.opening ? state.opening.found.form : formOf(formNow());
  fill(chosen, now, described, channel ? `Channel ${channel.channel}` : null);
  arrange();
}

/**
 * @param {Pane} pane
 * @param {Result | Early | null} result
 * @param {{label: string, sentence: string}} described
 * @param {string | null} name in place of the form's own
 */
function fill(pane, result, described, name) {
  const query = /** @type {NonNullable<typeof state.query>} */ (state.query);
  const at = shownIndex(result);
  const of = result?.classes[at]?.name;
  const map = pane === chosen && result && result === state.result ? shownMap() : (result?.found.maps[at] ?? null);
  const label = `${query.name}. ${name ?? described.label}${of ? `: what speaks for ${of}` : ""}.${where(map, result)}`;
  pane.showClasses(result, at);
  pane.show({
    name: name ?? described.label,
    says: described.sentence,
    photo: query,
    size: result?.found.query ?? query.size,
    map,
    label,
    scale: result && "scale" in result.found && map === result.found.maps[at] ? result.found.scale : null,
  });
}

/** @param {LensMap | null} map @param {Result | Early | null} result */
function where(map, result) {
  if (!map?.peak || !result) return "";
  const { width, height } = result.found.query;
  return (
    ` Strongest at ${Math.round((100 * map.peak[0]) / width)} percent from the left and ` +
    `${Math.round((100 * map.peak[1]) / height)} percent from the top.`
  );
}

/** The height that the other rows of the column leave. */
function room() {
  const { query, stage } = parts;
  const others = /** @type {HTMLElement[]} */ ([...query.children]).filter(
    one => one !== stage && one.offsetHeight > 0,
  );
  const gap = Number.parseFloat(getComputedStyle(query).rowGap) || 0;
  return query.clientHeight - others.reduce((sum, one) => sum + one.offsetHeight + gap, 0);
}

/** Side by side or one over the other: whichever shows the photos larger. */
function arrange() {
  const size = state.query?.size;
  const [width, height] = size ? [size.width, size.height] : [chosen.image.naturalWidth, chosen.image.naturalHeight];
  const count = beside.element.hidden ? 1 : 2;
  const { clientWidth } = parts.stage;
  // Where the page scrolls as a whole the stage is as high as it has to be, and that is to leave room for what is
  // below.
  const clientHeight = scrolling.matches
    ? (narrow.matches ? NARROW_PART : PART) * innerHeight
    : room() - parts.verdictRow.offsetHeight - GAP;
  if (!width || !clientWidth) return;
  const ratio = width / height;
  const panes = parts.panes;
  // What is said of a tall photo stands beside it where there is room.
  const tall = count === 1 && ratio < TALL && clientWidth > WIDE;
  // One line under a single wide picture, none on a phone.
  const caption = narrow.matches && count === 1 ? 0 : count === 1 && clientWidth > WIDE ? LINE : CAPTION;
  const [columns, across] = tall ? [1, clientHeight * ratio] : fit(count, ratio, clientWidth, clientHeight, caption);
  panes.classList.toggle("tall", tall);
  panes.style.setProperty("--columns", String(columns));
  panes.style.setProperty("--photo", `${Math.floor(across)}px`);
  panes.style.setProperty("--ratio", String(ratio));
  const left = clientHeight - (count / columns) * (across / ratio + caption);
  panes.classList.toggle("roomy", tall || (columns === count && left > (scrolling.matches ? 0 : CLASSES)));
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

/** Colours side by side. @param {[number, number, number][]} colors */
function ramp(colors) {
  const image = new ImageData(colors.length, 1);
  for (const [at, color] of colors.entries()) image.data.set([...color, 255], 4 * at);
  return image;
}

/** Ramps from the lowest to the highest value, coloured as the maps are. */
async function drawRamps() {
  const { lens, look } = page;
  const result = state.result ?? state.published;
  if (!result && state.opening) for (const pane of [beside, chosen]) paint(pane.ramp, ramp(state.opening.found.colors));
  if (!lens || !result) return;
  const data = Float32Array.from({ length: 64 }, (_, i) => i / 63);
  const values = { data, width: 64, height: 1, min: 0, max: 1 };
  const drawn = await lens
    .render(result.query.source, values, {
      width: 96,
      height: 10,
      colormap: look.colormap,
      mode: "constant",
      threshold: look.threshold,
    })
    .catch(() => null);
  if (drawn && look.colormap === page.look.colormap) for (const pane of [beside, chosen]) paint(pane.ramp, drawn.image);
}
