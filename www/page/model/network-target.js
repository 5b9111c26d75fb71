// Which layers the map comes from, and moving that.

import { entry, needs } from "../catalogue.js";
import { notify } from "../notices.js";
import { set, state } from "../state.js";

/** The layers that are asked for; the first one decides. @returns {string[]} */
export function targetsNow() {
  const { targets, target } = state.choices;
  if (Array.isArray(targets) && targets.length > 0) return targets.map(String);
  if (typeof target === "string") return [target];
  return state.info ? [state.info.model.target] : [];
}

/** Whether the shown form looks at these layers at all. */
export const targetsCount = () => !needs("form", state.explained.form, "statistics");

/** @param {string[]} names at least one */
export function chooseTargets(names) {
  const { targets, target, ...rest } = state.choices;
  const usual = names.length === 1 && names[0] === state.info?.model.target;
  /** @type {Record<string, unknown>} */
  const choices = usual ? rest : { ...rest, targets: names };
  if (!targetsCount()) {
    const form = state.explained.several ? "contrastive" : "fam";
    const before = state.choices;
    choices.form = form;
    const label = entry("form")?.values?.find(({ name }) => name === form)?.label ?? form;
    notify({
      text: `The kind of map before looks at layers of its own, so it is now ${label}.`,
      action: { label: "Undo", run: () => set({ choices: before }) },
    });
  }
  set({ choices });
}

/** Adds a layer to those whose maps are fused, or takes it away; the last one stays. @param {string} name */
export function toggleTarget(name) {
  const now = targetsNow();
  const next = now.includes(name) ? now.filter(one => one !== name) : [...now, name];
  if (next.length > 0) chooseTargets(next);
}
