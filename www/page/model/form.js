// The settings of a model of the user's, as a form with a live picture of what they do.

import { el } from "../dom.js";
import { on } from "../state.js";
import { preview } from "./preview.js";
import {
  CHANNELS,
  GEOMETRIES,
  POOLINGS,
  PRESETS,
  presetOf,
  readSize,
  readTriple,
  SIZE_PATTERN,
  sizeText,
  TRIPLE_PATTERN,
} from "./settings.js";
import { weightsField } from "./weights.js";

/** @import { Settings, Triple } from "./settings.js" */

const CUSTOM = "custom";
/** What the file tells of its pixels, or ImageNet's numbers. */
const FOUND = "found";
const BEST = "Best, found by famlens";

/**
 * @param {{use: (settings: Settings) => void, save: (settings: Settings) => void, cancel: () => void}} actions
 */
export function settingsForm({ use, save, cancel }) {
  const name = el("input", {
    type: "text",
    required: true,
    maxlength: "80",
    autocomplete: "off",
    "data-testid": "model-set-name",
  });
  const preset = select(
    [
      { name: FOUND, label: "As the file tells, else ImageNet" },
      ...PRESETS.map(({ id, label }) => ({ name: id, label })),
      { name: CUSTOM, label: "Custom" },
    ],
    "model-preset",
  );
  const size = el("input", {
    type: "text",
    inputmode: "numeric",
    autocomplete: "off",
    pattern: SIZE_PATTERN,
    title: "One side as 224, or height and width as 256x128",
    placeholder: "as the file says",
    "data-testid": "model-size",
  });
  const stride = el("input", { type: "number", min: "1", max: "512", step: "1" });
  const geometry = select(GEOMETRIES, "model-geometry");
  const resize = el("input", {
    type: "number",
    min: "1",
    max: "4096",
    step: "1",
    placeholder: "the largest part",
    "data-testid": "model-resize",
  });
  const fill = el("input", {
    type: "text",
    autocomplete: "off",
    pattern: TRIPLE_PATTERN,
    title: "One number, or red, green and blue joined by commas, from 0 to 255",
    placeholder: "the mean",
    "data-testid": "model-fill",
  });
  const order = select(CHANNELS, "model-channels");
  const target = select([{ name: "", label: BEST }], "model-target");
  const pooling = select(POOLINGS, "model-pooling");
  const weights = weightsField();
  const resizeRow = field("Shorter side scaled to first", resize);
  const fillRow = field("Colour of the border", fill);
  const means = channels("Mean");
  const deviations = channels("Deviation");
  const numbers = el("div", { class: "model-numbers" }, means.element, deviations.element);
  const strideRow = field("Sides are multiples of", stride);
  const apply = el(
    "button",
    { type: "submit", class: "button primary", "data-testid": "model-apply" },
    "Use this model",
  );
  const leave = el("button", { type: "button", class: "button quiet", onclick: cancel }, "Cancel");
  const sees = preview(() => (element.hidden ? null : read()));
  const element = el(
    "form",
    { class: "model-form", "data-testid": "model-form", hidden: true },
    el("h3", {}, "Settings"),
    el(
      "div",
      { class: "model-fields" },
      el(
        "div",
        { class: "model-left" },
        field("Name", name),
        field("Pixel values", preset),
        numbers,
        field("Input size in pixels", size),
        field("Channels", order),
        field("Photos are fitted", geometry),
        strideRow,
        resizeRow,
        fillRow,
      ),
      el("div", { class: "model-left" }, field("Map from layer", target), field("Pooled by", pooling), sees.element),
    ),
    weights.element,
    el(
      "div",
      { class: "model-actions" },
      apply,
      el(
        "button",
        {
          type: "button",
          class: "button",
          "data-testid": "model-save",
          title: "The settings as a file, for the command line and for other browsers",
          onclick: () => element.reportValidity() && save(read()),
        },
        "Save model.json",
      ),
      leave,
    ),
  );

  on(["explained", "view"], () => void sees.draw());

  /** What the settings are that the form began with, for those it does not show. @type {Settings | null} */
  let begun = null;

  /** @returns {Settings} */
  function read() {
    const chosen = PRESETS.find(({ id }) => id === preset.value);
    return {
      name: name.value.trim() || (begun?.name ?? ""),
      size: readSize(size.value),
      stride: Number(stride.value) || 32,
      geometry: geometry.value,
      resize: geometry.value === "crop" && resize.value !== "" ? Number(resize.value) : null,
      fill: readTriple(fill.value),
      channels: order.value,
      mean: preset.value === FOUND ? null : (chosen?.mean ?? means.read()),
      std: preset.value === FOUND ? null : (chosen?.std ?? deviations.read()),
      target: target.value,
      pooling: pooling.value,
      weights: weights.read(),
    };
  }

  function adjust() {
    const chosen = PRESETS.find(({ id }) => id === preset.value);
    // Custom numbers begin as those of the preset before.
    if (chosen) {
      means.write(chosen.mean);
      deviations.write(chosen.std);
    }
    numbers.hidden = preset.value !== CUSTOM;
    strideRow.hidden = geometry.value !== "aspect";
    resizeRow.hidden = geometry.value !== "crop";
    fillRow.hidden = geometry.value !== "letterbox" && (geometry.value !== "crop" || resize.value === "");
    if (element.checkValidity()) void sees.draw();
  }

  element.addEventListener("input", adjust);
  element.addEventListener("submit", event => {
    event.preventDefault();
    use(read());
  });

  return {
    element,
    /**
     * @param {Settings} settings
     * @param {string[]} targets layers that can be chosen, best first; none while they are not known
     * @param {boolean} running whether it is the model in use
     */
    show(settings, targets, running) {
      begun = settings;
      element.hidden = false;
      name.value = settings.name;
      const { mean, std } = settings;
      preset.value = mean && std ? (presetOf(settings)?.id ?? CUSTOM) : FOUND;
      means.write(mean ?? PRESETS[0].mean);
      deviations.write(std ?? PRESETS[0].std);
      resize.value = settings.resize === null ? "" : String(settings.resize);
      fill.value = settings.fill === null ? "" : settings.fill.join(", ");
      fillSelect(order, CHANNELS, settings.channels);
      size.value = sizeText(settings.size);
      stride.value = String(settings.stride);
      fillSelect(geometry, GEOMETRIES, settings.geometry);
      fillSelect(pooling, POOLINGS, settings.pooling);
      weights.show(settings, running);
      const layers = targets.map((layer, at) => ({ name: layer, label: at === 0 ? `Best: ${layer}` : layer }));
      fillSelect(
        target,
        layers.length > 0 ? layers : [{ name: "", label: BEST }],
        settings.target || (targets[0] ?? ""),
      );
      leave.hidden = running;
      apply.textContent = running ? "Apply" : "Use this model";
      adjust();
    },
    hide() {
      element.hidden = true;
    },
    /** The form may have come into view, and another photo with it. */
    shown: () => void sees.draw(),
    /** @param {boolean} busy */
    wait(busy) {
      apply.disabled = busy;
    },
  };
}

/** @param {string} label @param {HTMLElement} control */
const field = (label, control) => el("label", { class: "model-field" }, el("span", {}, label), control);

/** @param {{name: string, label: string}[]} values @param {string} id */
function select(values, id) {
  const made = el("select", { "data-testid": id });
  fillSelect(made, values, values[0].name);
  return made;
}

/**
 * Fills a list and chooses from it; a value that the page does not know is kept, for the library to judge.
 * @param {HTMLSelectElement} list
 * @param {{name: string, label: string}[]} values
 * @param {string} chosen
 */
function fillSelect(list, values, chosen) {
  const all = values.some(({ name }) => name === chosen) ? values : [...values, { name: chosen, label: chosen }];
  list.replaceChildren(...all.map(({ name, label }) => el("option", { value: name }, label)));
  list.value = chosen;
}

/** Three numbers, one for each colour. @param {string} label */
function channels(label) {
  const inputs = ["red", "green", "blue"].map(color =>
    el("input", { type: "number", step: "any", required: true, "aria-label": `${label} of ${color}` }),
  );
  return {
    element: el(
      "div",
      { class: "model-field", role: "group", "aria-label": `${label}, in units of 0 to 255` },
      el("span", {}, label),
      ...inputs,
    ),
    /** @returns {Triple} */
    read: () => [Number(inputs[0].value), Number(inputs[1].value), Number(inputs[2].value)],
    /** @param {Triple} values */
    write: values => inputs.forEach((input, at) => void (input.value = String(values[at]))),
  };
}
