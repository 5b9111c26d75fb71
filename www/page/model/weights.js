// Weights as int8 for a model of the user's: the choice, what it saves, and what it costs on their own photos.

import { measureInt8 } from "../../famlens.js";
import { el } from "../dom.js";
import { notify, sentence } from "../notices.js";
import { photosOnPage } from "../views.js";
import { on, state } from "../state.js";

/**
 * @import { Int8Cost, Lens, StoredWeights } from "../../famlens.js"
 * @import { Photo } from "../state.js"
 * @import { Settings } from "./settings.js"
 */

/** The part of the settings about weights. */
export function weightsField() {
  const box = el("input", { type: "checkbox", "data-testid": "model-int8" });
  const size = el("p", { class: "fine", "data-testid": "model-int8-size" });
  const says = el("p", { class: "fine", role: "status", "data-testid": "model-int8-cost" });
  const measure = el(
    "button",
    { type: "button", class: "link", "data-testid": "model-int8-measure", onclick: () => void run() },
    "What does int8 cost on the photos here?",
  );
  const stop = el(
    "button",
    { type: "button", class: "link", "data-testid": "model-int8-stop", hidden: true, onclick: () => stopping?.abort() },
    "Stop",
  );
  const element = el(
    "div",
    { class: "model-weights" },
    el("label", { class: "model-check" }, box, "Store weights as int8"),
    el("p", { class: "fine" }, "A quarter of the memory and often faster; embeddings change a little."),
    size,
    el("div", { class: "model-actions" }, measure, stop),
    says,
  );
  /** @type {AbortController | null} */
  let stopping = null;
  /** The lens whose cost is told. @type {Lens | null} */
  let told = null;

  async function run() {
    const { lens } = state;
    const photos = photosOnPage();
    if (!lens || stopping) return;
    if (photos.length === 0) return void (says.textContent = "There are no photos in Few-shot or Pair yet.");
    const mine = (stopping = new AbortController());
    [measure.hidden, stop.hidden, told] = [true, false, lens];
    const progress = (/** @type {number} */ done, /** @type {number} */ total) =>
      void (says.textContent = `Comparing both forms: ${done} of ${total} photos.`);
    try {
      const cost = await measureInt8(
        lens,
        photos.map(({ source }) => source),
        { signal: mine.signal, onProgress: progress },
      );
      says.textContent = told === lens && state.lens === lens ? costLine(cost, photos) : "";
    } catch (error) {
      says.textContent = mine.signal.aborted ? "Stopped." : "";
      if (!mine.signal.aborted && state.lens === lens)
        notify({ kind: "error", text: sentence(error instanceof Error ? error.message : String(error)) });
    } finally {
      stopping = null;
      [measure.hidden, stop.hidden] = [false, true];
    }
  }

  on(["lens", "info"], () => {
    // What was measured was another model.
    if (told && state.lens !== told) {
      stopping?.abort();
      told = null;
      says.textContent = "";
    }
    size.textContent = sizeLine(state.info?.model.storedWeights ?? null);
  });

  return {
    element,
    read: () => (box.checked ? "int8" : "stored"),
    /** @param {Settings} settings @param {boolean} running whether it is the model in use */
    show(settings, running) {
      box.checked = settings.weights === "int8";
      // Only what runs can be measured.
      for (const part of [size, says, measure]) part.hidden = !running || (part === measure && stopping !== null);
    },
  };
}

/** @param {number} bytes */
const megabytes = bytes => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** @param {StoredWeights | null} stored */
function sizeLine(stored) {
  if (!stored) return "";
  if (stored.tensors === 0) return "The weights of this file are int8 already.";
  return `Its weights take ${megabytes(stored.bytesAfter)} in place of ${megabytes(stored.bytesBefore)}.`;
}

/** @param {Int8Cost} cost @param {Photo[]} photos */
function costLine({ stored, images, mean, least, worst, agreement }, photos) {
  if (stored.tensors === 0) return "The weights of this file are int8 already: there is nothing to compare.";
  const nearest =
    agreement === null
      ? ""
      : ` The most similar other photo is the same one for ${Math.round(agreement * images)} of ${images}.`;
  const sizes = `${megabytes(stored.bytesBefore)} as float, ${megabytes(stored.bytesAfter)} as int8.`;
  return (
    `${sizes} Embedding cosine ${mean.toFixed(5)} on average over ${images} photos, ${least.toFixed(5)} at ` +
    `worst (${photos[worst].name}).${nearest}`
  );
}
