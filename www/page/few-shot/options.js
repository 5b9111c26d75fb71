// From what the user has chosen to what the lens is asked for.

import { state } from "./state.js";
import { entry } from "../catalogue.js";
import { set as setPage, state as page } from "../state.js";

/**
 * @import { ClassItem } from "./state.js"
 * @import { Choices } from "../state.js"
 */

/** FAM as its paper has it: what stands beside everything else. */
export const PUBLISHED = { form: "fam" };

/** Classes that can be compared. @param {ClassItem[]} classes */
export const filled = classes => classes.filter(({ photos }) => photos.length > 0);

/** The form for who has chosen none, with these classes and a model. */
export function usualForm(info = page.info) {
  const [one, several] = info?.model.usualForms ?? ["fam", "fam"];
  return filled(state.classes).length > 1 ? several : one;
}

/** The form that is asked for, with these choices and of this model. */
export const formNow = (choices = page.choices, info = page.info) => String(choices.form ?? usualForm(info));

/**
 * What the lens is asked for: the choices, with names such as `"finer.flip"` as objects.
 * @returns {Record<string, unknown>}
 */
export function optionsNow(chosen = page.choices, info = page.info) {
  const { rival, ...choices } = chosen;
  // Until there is a file there is no module.
  if (choices.head === "file" && !state.given.head) delete choices.head;
  // Chosen by its name; the library counts the classes that it is given.
  const at = filled(state.classes).findIndex(({ name }) => name === rival);
  return nested({ ...choices, ...(at >= 0 ? { rival: at } : {}), form: formNow(chosen, info) });
}

/** The classes as the lens takes them. @param {ClassItem[]} classes */
export const asked = classes =>
  filled(classes).map(({ name, photos }) => ({ name, supports: photos.map(({ source }) => source) }));

/** @param {Choices} choices */
export function nested(choices) {
  /** @type {Record<string, any>} */
  const options = {};
  for (const [name, value] of Object.entries(choices)) {
    const [outer, inner] = name.split(".");
    if (inner) (options[outer] ??= {})[inner] = value;
    else options[outer] = value;
  }
  return options;
}

/** Whether two sets of options ask for the same. @param {object} a @param {object} b */
export const same = (a, b) => JSON.stringify(a, order(a)) === JSON.stringify(b, order(b));

/** @param {object} options */
const order = options =>
  [
    ...new Set([
      ...Object.keys(options),
      ...Object.values(options).flatMap(one => (one && typeof one === "object" ? Object.keys(one) : [])),
    ]),
  ].sort();

/**
 * Chooses a value; the default is no choice at all.
 * @param {string} kind
 * @param {unknown} value
 */
export function choose(kind, value) {
  const { [kind]: _, ...rest } = page.choices;
  const usual = entry(kind)?.default;
  // What form is usual depends on the classes, so a form that has been chosen stays chosen.
  const isDefault = kind !== "form" && (value === usual || JSON.stringify(value) === JSON.stringify(usual));
  setPage({ choices: isDefault ? rest : { ...rest, [kind]: value } });
}
