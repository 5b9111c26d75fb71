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

/**
 * What a value rests on beside the photos: `"classes"`, two of them or more; `"statistics"` of images in general, which
 * is of layers and an input of its own; a `"matrix"` or a `"head"`, learned from the classes or read from a file.
 * @typedef {"classes" | "statistics" | "matrix" | "head"} Need
 */

/** @type {Record<string, Record<string, Need[]>>} */
const NEEDS = {
  form: { contrastive: ["classes"], whitened: ["statistics"], discriminative: ["statistics", "classes"] },
  similarity: { bilinear: ["matrix"], mahalanobis: ["matrix"] },
  head: { file: ["head"] },
};

/** Choices whose values name parts of one model, or what only that model has. */
const OF_A_MODEL = new Set(["target", "targets", "layer", "against", "head", "center", "pooling", "form"]);

/** Whether a value of a choice rests on something. @param {string} kind @param {unknown} name @param {Need} need */
export const needs = (kind, name, need) => NEEDS[kind]?.[String(name)]?.includes(need) ?? false;

/** Whether a value can be had with no more than photos to compare. @param {string} kind @param {string} name */
export const needsNothing = (kind, name) => NEEDS[kind]?.[name] === undefined;

/**
 * Of some choices, those that mean something for another model too.
 * @param {import("./state.js").Choices} choices
 */
export const lasting = choices => Object.fromEntries(Object.entries(choices).filter(([kind]) => !OF_A_MODEL.has(kind)));

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
