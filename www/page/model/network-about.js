// What is said about the layer in focus, and about what follows the target layer.

import { el } from "../dom.js";
import { trouble } from "../engine.js";
import { drawThumb, thumb } from "../thumb.js";
import { on, state } from "../state.js";
import { bytes, count, mapsInWords, operator, percent, shape, typeset } from "./network-words.js";
import { chooseTargets, targetsCount, targetsNow, toggleTarget } from "./network-target.js";

/**
 * @import { AfterTarget, Network } from "../../famlens.js"
 * @import { Item } from "./network-tree.js"
 */

/** @param {Network} network @param {Item} item @returns {HTMLElement[]} */
export function aboutItem(network, item) {
  const { block, layer, label, first, last } = item;
  const inside = network.layers.slice(first, last + 1);
  const sum = (/** @type {"parameters" | "multiplyAdds"} */ what) => inside.reduce((all, one) => all + one[what], 0);
  const own = sum("multiplyAdds") / (network.multiplyAdds || 1);
  const facts = [
    block || !layer.maps ? ["Output", shape(layer)] : ["Map", mapsInWords(layer)],
    !block && layer.maps && ["Memory", `${bytes(layer.bytes)} of maps an image`],
    [
      "Cost",
      `${percent(layer.cost)} of the network up to ` +
        `here${own > 0 ? `, ${percent(own)} of it ${block ? "in this block" : "in this layer"}` : ""}`,
    ],
    sum("parameters") > 0 && ["Weights", sum("parameters").toLocaleString("en")],
    sum("multiplyAdds") > 0 && ["Products", `${count(sum("multiplyAdds"))} a forward pass`],
    !block && ["In the file", layer.name],
  ].filter(one => Array.isArray(one));
  const now = targetsNow();
  const is = !block && now.includes(layer.name);
  const only = is && now.length === 1;
  const counts = targetsCount();
  return [
    el("p", { class: "net-head" }, el("strong", {}, label), ` ${block ? `${block.count} layers` : operator(layer)}`),
    el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    ...(block
      ? []
      : layer.whyNot
        ? [el("p", { class: "net-why" }, `It cannot be a target layer. ${layer.whyNot}`)]
        : [
            el(
              "div",
              { class: "net-acts" },
              el(
                "button",
                {
                  type: "button",
                  class: "button primary",
                  "data-testid": "net-explain",
                  disabled: only && counts,
                  onclick: () => chooseTargets([layer.name]),
                },
                only && counts ? "The map comes from here" : "Explain here",
              ),
              !only &&
                counts &&
                el(
                  "button",
                  {
                    type: "button",
                    class: "button",
                    "data-testid": "net-add",
                    title: "The maps of several layers are fused into one; the first one decides",
                    onclick: () => toggleTarget(layer.name),
                  },
                  is ? "Without this layer" : "Here too",
                ),
              !counts &&
                el(
                  "p",
                  { class: "fine" },
                  "The present kind of map looks at layers of its own; another one is taken for this.",
                ),
            ),
          ]),
  ];
}

/** @param {AfterTarget} after @returns {Node[]} */
export function aboutAfter({ steps, module, whyNot }) {
  const chips = steps.map(({ says, kind }) => el("li", { class: `net-step ${kind}` }, typeset(says)));
  const exact = module?.affine ? "affine: contributions are exact" : "not affine: what is lost is shown as residual";
  const head = module?.head === "none" ? "no transformation module" : "transformation module";
  const what = !module || module.head === "none" ? "" : ` (${typeset(module.head)}), ${exact}`;
  const end = module?.stoppedAt ? `, up to ${module.stoppedAt}` : "";
  const reads = module && `famlens takes this as pooling (${module.pooling}) and ${head}${what}${end}.`;
  return [
    el(
      "ol",
      { class: "net-steps" },
      ...(chips.length > 0 ? chips : [el("li", { class: "net-step" }, "Nothing: it is the output")]),
    ),
    el(
      "p",
      { class: "fine" },
      reads ?? `Not taken as pooling and transformation module: ${whyNot ?? "it is something else"}.`,
    ),
  ];
}

/** The photo with the map that the chosen layer gives, small: what moving the target changes is seen at once. */
export function mapPreview() {
  const { image, overlay, box } = thumb("", "");
  const element = el(
    "figure",
    { class: "net-preview", "data-testid": "net-preview", hidden: true },
    box,
    el("figcaption", { class: "fine" }),
  );
  /** @type {AbortController | null} */
  let drawing = null;
  async function draw() {
    drawing?.abort();
    const { shown } = state.explained;
    element.hidden = !shown;
    if (!shown || !element.isConnected || !element.checkVisibility()) return;
    drawing = new AbortController();
    const { signal } = drawing;
    const { photo, map, name, width, height } = shown;
    image.src = photo.src;
    box.style.aspectRatio = String(width / height);
    overlay.style.opacity = String(state.look.opacity);
    /** @type {HTMLElement} */ (element.lastChild).textContent = `${name}, map of ${map.width} × ${map.height}`;
    image.alt = `${photo.name} with the map for ${name}`;
    try {
      await drawThumb(overlay, photo.source, map, signal);
    } catch (error) {
      if (!signal.aborted) trouble(error);
    }
  }
  on(["explained", "look"], () => void draw());
  return { element, draw };
}
