// Whether two photos are compared or two random views of one, and what may be changed in a view.

import { el } from "../dom.js";

/**
 * @import { ViewOptions } from "../../famlens.js"
 *
 * @typedef {"photos" | "views"} Mode
 */

/** @type {{name: keyof ViewOptions, label: string}[]} */
const CHANGES = [
  { name: "crop", label: "Crop" },
  { name: "flip", label: "Flip" },
  { name: "jitter", label: "Colour" },
  { name: "grey", label: "Grey" },
  { name: "blur", label: "Blur" },
];

/** @param {() => void} changed called when something else is to be compared */
export function mountViews(changed) {
  /** @type {Mode} */
  let mode = "photos";
  let seed = 1;
  const allowed = Object.fromEntries(CHANGES.map(({ name }) => [name, true]));

  const modes = el("div", {
    class: "segments",
    role: "radiogroup",
    "aria-label": "What is compared",
    "data-testid": "pair-mode",
  });
  for (const [value, label] of [
    ["photos", "Two photos"],
    ["views", "Two views of one"],
  ]) {
    const input = el("input", { type: "radio", name: "pair-mode", value, class: "unseen", checked: value === mode });
    input.addEventListener("change", () => {
      mode = /** @type {Mode} */ (value);
      views.hidden = mode !== "views";
      changed();
    });
    modes.append(el("label", {}, input, el("span", {}, label)));
  }
  const seedInput = el("input", {
    type: "number",
    min: 0,
    max: 4_000_000_000,
    step: 1,
    value: seed,
    "aria-label": "Seed of the first view",
    "data-testid": "pair-seed",
  });
  seedInput.addEventListener("change", () => {
    seed = Math.max(0, Math.min(4e9, Math.floor(seedInput.valueAsNumber) || 0));
    changed();
  });
  const again = el(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "pair-again",
      onclick() {
        seed += 2;
        seedInput.value = String(seed);
        changed();
      },
    },
    "New views",
  );
  const changes = el("div", { class: "pair-changes", role: "group", "aria-label": "What may be changed" });
  for (const { name, label } of CHANGES) {
    const input = el("input", { type: "checkbox", checked: true, "data-change": name });
    input.addEventListener("change", () => {
      allowed[name] = input.checked;
      changed();
    });
    changes.append(el("label", { class: "tool switch" }, input, label));
  }
  const views = el(
    "div",
    { class: "pair-views", hidden: true },
    again,
    el("label", { class: "tool" }, "Seed", seedInput),
    changes,
  );

  return {
    elements: [modes, views],
    /** @returns {Mode} */
    mode: () => mode,
    /** What the view of a side is made by. @param {"a" | "b"} side @returns {ViewOptions} */
    of: side => ({ ...allowed, seed: seed + (side === "a" ? 0 : 1) }),
  };
}
