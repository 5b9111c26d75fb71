// What can be chosen about a pair, from the library's catalogue.

import { el } from "../dom.js";

/** @import { Choice } from "../../famlens.js" */

/** What can be chosen here of all choices. */
const KINDS = ["form", "similarity", "pooling"];

/**
 * The controls of these choices. Values that need more than two photos are left out; where the model has no mean, the
 * library says so.
 * @param {Choice[]} catalogue
 * @param {(kind: string, value: string) => void} choose called with an empty value for what the model has
 */
export function controls(catalogue, choose) {
  return KINDS.flatMap(kind => {
    const choice = catalogue.find(one => one.kind === kind);
    if (!choice?.values) return [];
    const select = el("select", { "data-kind": kind, "data-testid": `pair-${kind}` });
    const standard = typeof choice.default === "string" ? choice.default : null;
    if (!standard) select.append(el("option", { value: "", selected: true }, "As the model has it"));
    for (const { name, label, sentence, needs } of choice.values) {
      if (needs.every(need => need === "mean"))
        select.append(el("option", { value: name, title: sentence, selected: name === standard }, label));
    }
    select.addEventListener("change", () => {
      select.title = choice.values?.find(({ name }) => name === select.value)?.sentence ?? "";
      choose(kind, select.value);
    });
    return [el("label", { class: "tool", title: choice.sentence }, choice.label, select)];
  });
}
