// The model's name in the bar, and what is known of it.

import { byId, el } from "../dom.js";
import { on, state } from "../state.js";

export function mountModel() {
  const button = byId("model-button", HTMLButtonElement);
  on(["info"], () => {
    const model = state.info?.model;
    button.hidden = !model;
    if (!model) return;
    byId("model-name", HTMLElement).textContent = model.name;
    // In a narrow window the button is its icon alone.
    button.setAttribute("aria-label", model.name);
    button.title = model.name;
    byId("model-facts", HTMLElement).replaceChildren(
      ...facts(model).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    );
  });
}

/**
 * @param {import("../../famlens.js").LensInfo["model"]} model
 * @returns {[string, string][]}
 */
const facts = ({ name, parameters, inputSize, target, licence }) => [
  ["Name", name],
  ["Parameters", `${(parameters / 1e6).toFixed(1)} million`],
  ["Input", `${inputSize} x ${inputSize} pixels`],
  ["Map from layer", target],
  ["Licence", licence],
];
