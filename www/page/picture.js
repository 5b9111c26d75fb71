// What is on screen as a picture of its own: photos under their maps with class, score, scale, model and form, as SVG,
// and as PNG made from that.

import { el, ends } from "./dom.js";
import { drawing, state } from "./state.js";

/**
 * @import { ImageLike, Lens, LensMap } from "../famlens.js"
 *
 * One photo under one map. `src` is what an <img> takes, `source` what the lens takes, `size` that of the photo,
 * `range` the scale that the map shares with others.
 * @typedef {{src: string, source: ImageLike, size: {width: number, height: number}, map: LensMap, title: string, says:
 *   string, range?: [number, number] | null}} Panel
 *
 * `name` is for the file, `title` stands over all.
 * @typedef {{name: string, title: string, panels: Panel[]}} Shown
 */

/** Width of a panel, the longest side of its photo, and the room around it and for its words, in pixels. */
const [WIDTH, LONGEST, GAP, HEAD, FOOT, WORDS] = [800, 1600, 24, 56, 44, 76];

/** @param {Blob} blob @returns {Promise<string>} */
const dataUrl = blob =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

/** @param {string} text */
const escaped = text =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/**
 * @param {Shown} shown
 * @returns {Promise<{svg: Blob, width: number, height: number}>}
 */
export async function svgOf({ title, panels }) {
  const lens = /** @type {Lens} */ (state.lens);
  const columns = panels.length > 4 ? 3 : Math.min(2, panels.length);
  const tallest = Math.max(...panels.map(({ size }) => (WIDTH * size.height) / size.width));
  const cell = Math.round(Math.min(tallest, WIDTH * 1.25));
  const rows = Math.ceil(panels.length / columns);
  const width = columns * WIDTH + (columns + 1) * GAP;
  const height = HEAD + rows * (cell + WORDS + GAP) + FOOT;
  const parts = [];
  for (const [at, panel] of panels.entries()) {
    const x = GAP + (at % columns) * (WIDTH + GAP);
    const y = HEAD + Math.floor(at / columns) * (cell + WORDS + GAP);
    parts.push(await panelOf(lens, panel, { x, y, cell }));
  }
  const { model, backend } = lens.info;
  const foot = `famlens · ${model.name} · layer ${model.target} · ${backend.kind === "cpu" ? "CPU" : "WebGPU"}`;
  const text =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#fff"/>` +
    `<text x="${GAP}" y="36" font-size="24" font-weight="700" fill="#1d1b20">${escaped(title)}</text>` +
    `${parts.join("")}<text x="${GAP}" y="${height - 18}" font-size="16" fill="#625e68">${escaped(foot)}</text></svg>`;
  return { svg: new Blob([text], { type: "image/svg+xml" }), width, height };
}

/** @param {Lens} lens @param {Panel} panel @param {{x: number, y: number, cell: number}} place */
async function panelOf(lens, { src, source, size, map, title, says, range = null }, { x, y, cell }) {
  const scale = Math.min(WIDTH / size.width, cell / size.height);
  const [width, height] = [size.width * scale, size.height * scale];
  const fine = Math.min(1, LONGEST / Math.max(size.width, size.height));
  const pixels = { width: Math.round(size.width * fine), height: Math.round(size.height * fine) };
  const drawn = await lens.render(source, map, { ...pixels, ...drawing(), ...(range && { range }) });
  const photo = new Image();
  photo.src = src;
  await photo.decode();
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(photo, 0, 0, pixels.width, pixels.height);
  const under = await dataUrl(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 }));
  context.putImageData(drawn.image, 0, 0);
  const over = await dataUrl(await canvas.convertToBlob({ type: "image/png" }));
  const { look } = state;
  /** @type {string[]} */
  const lines = [];
  if (look.contour)
    for (const points of drawn.contour) {
      const pairs = [];
      for (let i = 0; i + 1 < points.length; i += 2) pairs.push(`${points[i].toFixed(1)} ${points[i + 1].toFixed(1)}`);
      lines.push(`<path d="M${pairs.join("L")}Z"/>`);
    }
  if (look.box && drawn.box) {
    const [x0, y0, x1, y1] = drawn.box;
    lines.push(`<rect x="${x0}" y="${y0}" width="${x1 - x0}" height="${y1 - y0}" stroke-dasharray="${9 / scale}"/>`);
  }
  const stroke = (/** @type {string} */ color, /** @type {number} */ thick) =>
    `<g fill="none" stroke="${color}" stroke-width="${thick / scale}" stroke-linejoin="round">${lines.join("")}</g>`;
  // What dims a photo has its strength already.
  const strength = map.says ? 1 : look.opacity;
  const [low, high] = ends(...(range ?? [map.min, map.max]));
  const image = `width="${size.width}" height="${size.height}" preserveAspectRatio="none"`;
  return (
    `<g transform="translate(${x} ${y}) scale(${scale})"><image ${image} href="${under}"/>` +
    `<image ${image} href="${over}" opacity="${strength}"/>${stroke("#0008", 4.5)}${stroke("#fff", 2)}</g>` +
    `<g transform="translate(${x} ${y + height + 28})" font-size="19" fill="#1d1b20"><text font-weight="700">` +
    `${escaped(title)}</text><text y="27" fill="#625e68">${escaped(says)}</text>` +
    `<text x="${width}" text-anchor="end" fill="#625e68">${low} to ${high}, ${look.colormap}</text></g>`
  );
}

/** @param {Shown} shown @returns {Promise<Blob>} */
export async function pngOf(shown) {
  const { svg, width, height } = await svgOf(shown);
  const image = el("img", { src: URL.createObjectURL(svg) });
  try {
    await image.decode();
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d")?.drawImage(image, 0, 0);
    return await canvas.convertToBlob({ type: "image/png" });
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** A name as part of a file's name. @param {string} name */
export const stem = name => name.replace(/\.[^.]+$/, "").replaceAll(/[/\\:*?"<>|]/g, "-");
