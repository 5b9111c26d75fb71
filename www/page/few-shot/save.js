// Saving what is on the screen: the photo under its map as PNG, everything as JSON.

import { download } from "../dom.js";
import { trouble } from "../engine.js";
import { current, on, shownClass, shownIndex, shownMap, state } from "./state.js";
import { drawing, state as page } from "../state.js";
import { parts } from "./markup.js";

/** @import { LensMap } from "../../famlens.js" */

/** Longest side of a saved picture: what every browser's canvas can hold. */
const LONGEST = 4096;

export function mountSave() {
  const png = parts.savePng;
  const json = parts.saveJson;
  png.addEventListener("click", () => void savePng().catch(trouble));
  json.addEventListener("click", () => saveJson());
  on(["result", "query"], () => {
    png.disabled = json.disabled = current() === null;
  });
}

/** @param {string} name */
const stem = name => name.replace(/\.[^.]+$/, "");

async function savePng() {
  const { lens, look } = page;
  const result = current();
  const map = shownMap();
  if (!lens || !result || !map) return;
  const { width, height } = result.found.query;
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  const drawn = await lens.render(result.query.source, map, { ...size, ...drawing() });
  const photo = new Image();
  photo.src = result.query.src;
  await photo.decode();
  const canvas = new OffscreenCanvas(size.width, size.height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(photo, 0, 0, size.width, size.height);
  context.globalAlpha = look.opacity;
  context.drawImage(await createImageBitmap(drawn.image), 0, 0);
  context.globalAlpha = 1;
  drawShapes(context, drawn, scale);
  const kind =
    state.channel === null ? shownClass()?.name : `channel ${result.found.top[shownIndex()][state.channel].channel}`;
  download(await canvas.convertToBlob({ type: "image/png" }), `${stem(result.query.name)} - ${kind}.png`);
}

/**
 * @param {OffscreenCanvasRenderingContext2D} context
 * @param {{contour: ArrayLike<number>[], box: [number, number, number, number] | null}} drawn
 * @param {number} scale
 */
function drawShapes(context, { contour, box }, scale) {
  const { width, height } = context.canvas;
  const thick = Math.max(width, height) / 400;
  const path = new Path2D();
  if (page.look.contour) {
    for (const points of contour) {
      path.moveTo(points[0] * scale, points[1] * scale);
      for (let i = 2; i + 1 < points.length; i += 2) path.lineTo(points[i] * scale, points[i + 1] * scale);
      path.closePath();
    }
  }
  if (page.look.box && box)
    path.rect(box[0] * scale, box[1] * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale);
  context.lineJoin = "round";
  for (const [style, line] of /** @type {const} */ ([
    ["#000a", 2.2 * thick],
    ["#fff", thick],
  ])) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.stroke(path);
  }
}

function saveJson() {
  const { lens } = page;
  const result = current();
  if (!lens || !result) return;
  const { found, query, classes } = result;
  const { query: size, map, maps, contributions, classes: ranked, ...rest } = found;
  const content = {
    ...rest,
    model: lens.info.model,
    engine: lens.info.backend,
    options: result.options,
    query: { name: query.name, ...size },
    classes: ranked.map(({ name, similarity }, at) => ({
      name,
      similarity,
      supports: classes[at].photos.map(photo => photo.name),
      map: plain(maps[at]),
      contributions: Array.from(contributions[at]),
    })),
    predicted: { index: found.predicted, name: ranked[found.predicted].name },
    map: plain(map),
    box_threshold: 0.2,
    made: new Date().toISOString(),
  };
  download(
    new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }),
    `${stem(query.name)} - famlens.json`,
  );
}

/** @param {LensMap} map */
const plain = map => ({ ...map, data: Array.from(map.data) });
