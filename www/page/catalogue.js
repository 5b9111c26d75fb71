// Everything that can be chosen about an explanation, as the library describes it.

import { on, set, state } from "./state.js";

/**
 * @import { Choice } from "../famlens.js"
 *
 * One value of a choice.
 * @typedef {NonNullable<Choice["values"]>[number]} Value
 */

/** Reads the catalogue from each new lens. */
export function followCatalogue() {
  on(["lens"], async () => {
    const { lens } = state;
    if (!lens) return;
    const catalogue = await lens.choices().catch(() => null);
    if (catalogue && lens === state.lens) set({ catalogue });
  });
}

/** @param {string} kind @returns {Choice | null} */
export const entry = kind => state.catalogue.find(one => one.kind === kind) ?? null;

/** @param {string} kind @returns {Value[]} */
export const valuesOf = kind => entry(kind)?.values ?? [];

/** @typedef {Value["needs"][number]} Need */

/**
 * Whether a value of a choice needs something beside photos.
 * @param {string} kind
 * @param {unknown} name
 * @param {Need} need
 */
export const needs = (kind, name, need) =>
  valuesOf(kind)
    .find(one => one.name === name)
    ?.needs.includes(need) ?? false;

/**
 * Of some choices, those that mean something for another model too.
 * @param {import("./state.js").Choices} choices
 */
export const lasting = choices =>
  Object.fromEntries(Object.entries(choices).filter(([kind]) => entry(kind)?.ofModel === false));

/** A form in words; its name as long as there are none. @param {string} name @returns {Value} */
export const formOf = name =>
  valuesOf("form").find(one => one.name === name) ?? {
    name,
    label: name,
    sentence: "",
    source: "",
    note: "",
    needs: [],
  };
