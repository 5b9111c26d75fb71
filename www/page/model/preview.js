// What the model sees: a photo of the task that is shown, as the settings make an input of it.

import { el } from "../dom.js";
import { photosOnPage } from "../views.js";
import { PRESETS } from "./settings.js";

/** @import { Settings, Triple } from "./settings.js" */

/** The size that the library takes where neither settings nor file say one. */
const USUAL_SIZE = 224;

/**
 * @param {() => Settings | null} settings as they are now
 */
export function preview(settings) {
  const canvas = el("canvas", {
    class: "model-sees",
    role: "img",
    "aria-label": "The photo as the model sees it",
    hidden: true,
  });
  const says = el("p", { class: "fine", "data-testid": "model-sees" });
  let turn = 0;

  async function draw() {
    const now = (turn += 1);
    const said = settings();
    if (!said) return;
    // What the file tells of its pixels is known when it is loaded; until then the usual numbers stand in.
    const asked = { ...said, mean: said.mean ?? PRESETS[0].mean, std: said.std ?? PRESETS[0].std };
    const [first] = photosOnPage();
    if (!first) {
      canvas.hidden = true;
      says.textContent = "A photo of Few-shot or Pair is shown here as the model sees it.";
      return;
    }
    const photo = await load(first.src);
    if (!photo || now !== turn) return;
    canvas.hidden = false;
    const { width, height, place } = fit(asked, photo.naturalWidth, photo.naturalHeight);
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) return;
    context.fillStyle = `rgb(${(asked.fill ?? asked.mean).map(Math.round).join(" ")})`;
    context.fillRect(0, 0, width, height);
    context.drawImage(photo, ...place);
    const { low, high } = range(context.getImageData(0, 0, width, height).data, asked);
    const odd =
      said.mean !== null && Math.max(-low, high) > 20
        ? " That is far from what networks are trained on: mean and deviation are in units of 0 to 255."
        : "";
    says.textContent = `${width} x ${height} pixels, values from ${low.toFixed(2)} to ${high.toFixed(2)}.${odd}`;
  }

  return { element: el("figure", { class: "model-preview" }, canvas, says), draw };
}

/** @param {string} src @returns {Promise<HTMLImageElement | null>} */
async function load(src) {
  const image = new Image();
  image.src = src;
  return image.decode().then(
    () => image,
    () => null,
  );
}

/**
 * The size of the input and where the photo goes on it, as src/image/geometry.rs has it.
 * @param {Settings} settings
 * @param {number} width
 * @param {number} height
 * @returns {{width: number, height: number, place: [number, number, number, number, number, number, number, number]}}
 */
function fit({ size, stride, geometry, resize }, width, height) {
  const input = size ?? { width: USUAL_SIZE, height: USUAL_SIZE };
  const [across, down] = [input.width / width, input.height / height];
  if (geometry === "crop" && resize !== null) {
    const scale = resize / Math.min(width, height);
    const axis = (/** @type {number} */ side, /** @type {number} */ of) => {
      const seen = Math.min(side * scale, of);
      return { from: (side - seen / scale) / 2, part: seen / scale, at: (of - seen) / 2, seen };
    };
    const [x, y] = [axis(width, input.width), axis(height, input.height)];
    return { ...input, place: [x.from, y.from, x.part, y.part, x.at, y.at, x.seen, y.seen] };
  }
  if (geometry === "crop") {
    const scale = Math.max(across, down);
    const [w, h] = [input.width / scale, input.height / scale];
    return { ...input, place: [(width - w) / 2, (height - h) / 2, w, h, 0, 0, input.width, input.height] };
  }
  if (geometry === "letterbox") {
    const scale = Math.min(across, down);
    const [w, h] = [width * scale, height * scale];
    return { ...input, place: [0, 0, width, height, (input.width - w) / 2, (input.height - h) / 2, w, h] };
  }
  if (geometry !== "aspect") return { ...input, place: [0, 0, width, height, 0, 0, input.width, input.height] };
  const even = (/** @type {number} */ length) => Math.max(stride, Math.round(length / stride) * stride);
  const side = Math.sqrt(input.width * input.height);
  const long = Math.sqrt(width / height);
  const [w, h] = [even(side * long), even(side / long)];
  return { width: w, height: h, place: [0, 0, width, height, 0, 0, w, h] };
}

/** @param {Uint8ClampedArray} data @param {{mean: Triple, std: Triple}} settings */
function range(data, { mean, std }) {
  const ends = mean.flatMap((_, channel) => {
    let low = 255;
    let high = 0;
    for (let at = channel; at < data.length; at += 4) {
      low = Math.min(low, data[at]);
      high = Math.max(high, data[at]);
    }
    return [low, high].map(value => (value - mean[channel]) / std[channel]);
  });
  return { low: Math.min(...ends), high: Math.max(...ends) };
}
