// The settings of a model of the user's, as a form with a live picture of what they do.

import { el } from "../dom.js";
import { on } from "../state.js";
import { preview } from "./preview.js";
import { GEOMETRIES, POOLINGS, PRESETS, presetOf, readSize, SIZE_PATTERN, sizeText } from "./settings.js";
import { weightsField } from "./weights.js";

/** @import { Settings, Triple } from "./settings.js" */

const CUSTOM = "custom";
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
    [...PRESETS.map(({ id, label }) => ({ name: id, label })), { name: CUSTOM, label: "Custom" }],
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
  const target = select([{ name: "", label: BEST }], "model-target");
  const pooling = select(POOLINGS, "model-pooling");
  const weights = weightsField();
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
        field("Photos are fitted", geometry),
        strideRow,
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
      mean: chosen?.mean ?? means.read(),
      std: chosen?.std ?? deviations.read(),
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
    numbers.hidden = chosen !== undefined;
    strideRow.hidden = geometry.value !== "aspect";
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
      preset.value = presetOf(settings)?.id ?? CUSTOM;
      means.write(settings.mean);
      deviations.write(settings.std);
      size.value = sizeText(settings.size);
      stride.value = String(settings.stride);
      fill(geometry, GEOMETRIES, settings.geometry);
      fill(pooling, POOLINGS, settings.pooling);
      weights.show(settings, running);
      const layers = targets.map((layer, at) => ({ name: layer, label: at === 0 ? `Best: ${layer}` : layer }));
      fill(target, layers.length > 0 ? layers : [{ name: "", label: BEST }], settings.target || (targets[0] ?? ""));
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
  fill(made, values, values[0].name);
  return made;
}

/**
 * Fills a list and chooses from it; a value that the page does not know is kept, for the library to judge.
 * @param {HTMLSelectElement} list
 * @param {{name: string, label: string}[]} values
 * @param {string} chosen
 */
function fill(list, values, chosen) {
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
