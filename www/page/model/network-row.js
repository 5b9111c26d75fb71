// One row of the picture: a block or a layer.

import { el, svgEl } from "../dom.js";
import { KINDS, count, operator, percent, shape } from "./network-words.js";

/**
 * @import { Network } from "../../famlens.js"
 * @import { Item } from "./network-tree.js"
 */

/** A row's elements are made when it first comes in sight, and kept. @param {Network} network */
export function rowMaker(network) {
  const side = Math.max(...network.input.slice(2));
  const most = Math.log2(Math.max(2, ...network.layers.map(({ maps }) => maps?.[0] ?? 1)));
  /** @type {Map<Item, HTMLElement>} */
  const made = new Map();

  /** @param {Item} item */
  function make(item) {
    const { block, layer, label, level, first, last } = item;
    const inside = network.layers.slice(first, last + 1);
    const parameters = inside.reduce((sum, one) => sum + one.parameters, 0);
    const own = inside.reduce((sum, one) => sum + one.multiplyAdds, 0) / (network.multiplyAdds || 1);
    const kind = block
      ? [KINDS[block.kind] ?? block.kind, `${block.count} layers`].filter(Boolean).join(", ")
      : operator(layer);
    const map = el("span", { class: "net-map" }, el("i"));
    const bar = /** @type {HTMLElement} */ (map.firstChild);
    // The side of the maps, drawn as its root, so that the last ones are still to be seen; stronger with more channels.
    for (const [maps, end] of /** @type {[number[] | null, string][]} */ ([
      [layer.maps, ""],
      [inside[0].maps, "-in"],
    ])) {
      const [channels, height, width] = maps ?? [1, 0, 0];
      bar.style.setProperty(`--wide${end}`, String(Math.max(0.03, Math.sqrt(Math.max(height, width) / side))));
      bar.style.setProperty(`--deep${end}`, `${Math.round(18 + 62 * (Math.log2(channels) / most))}%`);
    }
    const cost = el(
      "span",
      { class: "net-cost" },
      el("span", { class: "net-track" }, el("i"), el("i")),
      el("span", { class: "net-part" }, percent(layer.cost), unseen(" of the cost so far")),
    );
    const [before, mine] = /** @type {HTMLElement[]} */ ([...(cost.firstElementChild?.children ?? [])]);
    before.style.setProperty("--part", String(Math.max(0, layer.cost - own)));
    mine.style.setProperty("--part", String(own));
    const row = el(
      "div",
      {
        class: `net-row${block ? " block" : ""}${layer.whyNot && !block ? " cannot" : ""}`,
        role: "treeitem",
        tabindex: "-1",
        id: `net-${item.id}`,
        "aria-level": level,
        "data-at": first,
        "data-testid": block ? "net-block" : "net-layer",
      },
      el(
        "span",
        { class: "net-name" },
        block && chevron(),
        el("span", { class: "net-label" }, label),
        el("span", { class: "net-mark", hidden: true }),
        unseen(", "),
      ),
      el(
        "span",
        { class: "net-op" },
        kind,
        unseen(!block && layer.whyNot ? ", cannot be a target layer, output " : ", output "),
      ),
      el("span", { class: "net-shape" }, shape(layer), unseen(", ")),
      el("span", { class: "net-weights" }, parameters > 0 && count(parameters), parameters > 0 && unseen(" weights, ")),
      map,
      cost,
    );
    row.style.setProperty("--level", String(level - 1));
    return row;
  }

  return (/** @type {Item} */ item) => {
    const row = made.get(item) ?? make(item);
    made.set(item, row);
    return row;
  };
}

/** What the picture says without words. @param {string} text */
const unseen = text => el("span", { class: "unseen" }, text);

function chevron() {
  const svg = svgEl("svg", { class: "net-fold", viewBox: "0 0 12 12", "aria-hidden": "true" });
  svg.append(svgEl("path", { d: "M4 2.500L8 6 4 9.500" }));
  return svg;
}
