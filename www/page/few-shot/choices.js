// Every choice about an explanation, made from the library's own catalogue: the forms for everybody, the rest for who
// opens it.

import { el } from "../dom.js";
import { keepParameters, parameters } from "../address.js";
import { recall, remember } from "../settings.js";
import { on, set, state } from "./state.js";
import { entry, formOf, needs, valuesOf } from "../catalogue.js";
import { controlOf, givenFor } from "./given.js";
import { choose, filled, formNow } from "./options.js";
import { set as setPage, state as page } from "../state.js";
import { parts } from "./markup.js";

/**
 * @import { Choice } from "../../famlens.js"
 * @import { Value } from "../catalogue.js"
 */

/** The forms in sight; the rest is among all choices, and in sight once chosen. */
const FIRST = new Set(["fam", "contrastive", "whitened", "discriminative"]);

/** What the groups of choices are called, in the order of the way from image to map. */
const GROUPS = /** @type {const} */ ({
  map: "The map",
  decision: "The decision",
  embedding: "The embedding",
  place: "Where it looks",
});

/** How each kind of choice is shown now: called when the choices change. @type {Map<string, () => void>} */
const updates = new Map();

export function mountChoices() {
  restore();
  mountForms();
  const panel = parts.choices;
  const open = parts.choicesOpen;
  const show = (/** @type {boolean} */ opened) => {
    panel.hidden = !opened;
    parts.result.classList.toggle("choosing", opened);
    open.setAttribute("aria-expanded", String(opened));
    (opened ? parts.choicesClose : open).focus();
  };
  open.addEventListener("click", () => show(true));
  parts.choicesClose.addEventListener("click", () => show(false));
  panel.addEventListener("keydown", event => {
    if (event.key === "Escape") show(false);
  });
  parts.choicesReset.addEventListener("click", () => setPage({ choices: {} }));
  const beside = parts.beside;
  beside.addEventListener("change", () => set({ beside: beside.checked }));
  on(["catalogue", "info", "classes"], build);
  on(["choices", "beside", "classes", "catalogue"], () => {
    beside.checked = state.beside;
    const count = Object.keys(page.choices).filter(kind => kind !== "form").length;
    parts.choicesCount.textContent = count ? ` (${count} changed)` : "";
    parts.choicesReset.disabled = Object.keys(page.choices).length === 0;
    for (const update of updates.values()) update();
  });
  on(["choices", "beside", "view"], keep);
}

/**
 * What the address names beside choices, before choices take its place: the example set, its photo, and the class.
 * @type {Record<string, string | undefined>}
 */
export const asked = Object.fromEntries(parameters());

/** Choices of the address, or else of the last visit. */
function restore() {
  const fromAddress = Object.fromEntries([...parameters()].map(([name, text]) => [name, parse(text)]));
  const {
    beside,
    example: _example,
    query: _query,
    class: _class,
    look,
    ...choices
  } = Object.keys(fromAddress).length > 0 ? fromAddress : (parse(recall("choices") ?? "{}") ?? {});
  setPage({ choices: typeof choices === "object" ? choices : {} });
  set({ beside: beside === true });
  if (look && typeof look === "object") setPage({ look: { ...page.look, ...look } });
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function keep() {
  const { choices } = page;
  const { beside } = state;
  const all = beside ? { ...choices, beside } : choices;
  remember("choices", Object.keys(all).length > 0 ? JSON.stringify(all) : null);
  keepParameters(
    "few-shot",
    new URLSearchParams(
      Object.entries(all).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ),
  );
}

/** @param {string} kind */
const chosenOf = kind => (kind === "form" ? formNow() : (page.choices[kind] ?? entry(kind)?.default ?? null));

function mountForms() {
  const group = parts.form;
  on(["catalogue"], () => {
    group.replaceChildren(
      ...valuesOf("form").map(({ name, label, sentence }) => {
        const input = el("input", { type: "radio", name: "form", value: name, class: "unseen" });
        input.addEventListener("change", () => choose("form", name));
        return el("label", { class: "pick", title: sentence }, input, el("span", {}, label));
      }),
    );
  });
  on(["choices", "classes", "catalogue"], () => {
    const few = state.classes.length > 0 && filled(state.classes).length < 2;
    const form = formNow();
    // Against other classes, of which there are none.
    if (few && needs("form", form, "classes") && page.choices.form) return choose("form", "fam");
    for (const input of group.querySelectorAll("input")) {
      input.checked = input.value === form;
      input.disabled = few && needs("form", input.value, "classes");
      /** @type {HTMLElement} */ (input.parentElement).hidden = !input.checked && !FIRST.has(input.value);
    }
    parts.formSays.textContent = formOf(form).sentence;
  });
}

/** Sentence, note and source of a value. @param {Value} value @returns {(string | Node)[]} */
function words({ sentence, note, source }) {
  return [
    note ? `${sentence} ${note}` : sentence,
    ...(source && source !== "famlens" ? [el("span", { class: "source" }, source)] : []),
  ];
}

/** The file controls in this panel, made once. @type {Map<string, HTMLElement>} */
const files = new Map();

let built = "";

function build() {
  const made = JSON.stringify([page.catalogue.length, page.info?.model.targets, state.classes.map(({ name }) => name)]);
  if (made === built) return;
  built = made;
  updates.clear();
  const body = parts.choicesBody;
  const opened = new Set(
    [...body.querySelectorAll("details[open]")].map(one => /** @type {HTMLElement} */ (one).dataset.kind),
  );
  body.replaceChildren(
    ...Object.entries(GROUPS).flatMap(([group, title]) => {
      const controls = page.catalogue.filter(one => one.group === group).map(control);
      return controls.length > 0 ? [el("section", { class: "choice-group" }, el("h3", {}, title), ...controls)] : [];
    }),
  );
  for (const one of body.querySelectorAll("details")) one.open = opened.has(one.dataset.kind);
}

/** @param {Choice} one */
function control(one) {
  const { kind, label, sentence, input } = one;
  if (input === "switch") return toggle(one);
  if (input === "number") return number(one);
  if (input === "logits") return logits(one);
  const now = el("span", { class: "choice-now" });
  const details = el(
    "details",
    { class: "choice", "data-kind": kind },
    el("summary", {}, el("span", { class: "choice-label" }, label), now),
    el("p", { class: "fine" }, sentence),
  );
  const name = `choice-${kind}`;
  /** @type {{value: unknown, label: string, words: (string | Node)[]}[]} */
  const values =
    input === "one"
      ? [
          ...(one.default === null ? [{ value: null, label: "As the model has it", words: [] }] : []),
          ...(one.values ?? []).map(value => ({ value: value.name, label: value.label, words: words(value) })),
        ]
      : input === "class"
        ? [
            { value: null, label: "All others", words: [] },
            ...state.classes.map(({ name }) => ({ value: name, label: name, words: [] })),
          ]
        : input === "layer"
          ? [
              { value: null, label: "The target layer", words: [] },
              ...(page.info?.model.targets ?? []).map(layer => ({ value: layer, label: layer, words: [] })),
            ]
          : input === "layers"
            ? (page.info?.model.targets ?? []).map(layer => ({ value: layer, label: layer, words: [] }))
            : [0.75, 1.25, 1.5].map(scale => ({ value: scale, label: `${scale} x`, words: [] }));
  const many = input === "layers" || input === "numbers";
  /** @type {HTMLInputElement[]} */
  const inputs = [];
  for (const { value, label, words } of values) {
    const box = el("input", { type: many ? "checkbox" : "radio", name, value: String(value) });
    inputs.push(box);
    box.addEventListener("change", () =>
      choose(kind, many ? values.filter((_, at) => inputs[at].checked).map(({ value }) => value) : value),
    );
    details.append(
      el(
        "label",
        { class: "choice-value" },
        box,
        el("span", { class: "choice-name" }, label),
        el("span", { class: "choice-says" }, ...words),
      ),
    );
  }
  const given = givenFor(kind);
  if (given) {
    const file = files.get(given) ?? controlOf(given);
    files.set(given, file);
    // Under the value that it belongs to.
    (inputs[values.findIndex(({ value }) => value === "file")]?.closest("label") ?? details.lastElementChild)?.after(
      file,
    );
  }
  updates.set(kind, () => {
    const value = chosenOf(kind);
    const on = (/** @type {unknown} */ one) => (many ? Array.isArray(value) && value.includes(one) : value === one);
    for (const [at, box] of inputs.entries()) box.checked = on(values[at].value);
    const labels = values.filter(one => on(one.value)).map(({ label }) => label);
    now.textContent = labels.join(", ") || (input === "layers" ? (page.info?.model.target ?? "") : "None");
    details.classList.toggle("changed", kind in page.choices);
  });
  return details;
}

/** @param {Choice} one */
function toggle({ kind, label, sentence }) {
  const box = el("input", { type: "checkbox", role: "switch" });
  box.addEventListener("change", () => choose(kind, box.checked));
  const element = el(
    "label",
    { class: "choice choice-line", "data-kind": kind },
    el("span", { class: "choice-label" }, label),
    box,
    el("span", { class: "choice-says" }, sentence),
  );
  updates.set(kind, () => {
    box.checked = chosenOf(kind) === true;
    element.classList.toggle("changed", kind in page.choices);
  });
  return element;
}

/** Outputs of the model's classifier, by label or number. @param {Choice} one */
function logits({ kind, label, sentence }) {
  const box = el("input", { type: "text", placeholder: "tabby, 282", spellcheck: "false", autocomplete: "off" });
  box.addEventListener("change", () => {
    const outputs = box.value
      .split(",")
      .map(text => text.trim())
      .filter(text => text);
    choose(
      kind,
      outputs.length === 0 ? null : { logit: outputs.map(text => (/^\d+$/.test(text) ? Number(text) : text)) },
    );
  });
  const element = el(
    "label",
    { class: "choice choice-line choice-text", "data-kind": kind },
    el("span", { class: "choice-label" }, label),
    box,
    el("span", { class: "choice-says" }, sentence, " Labels or numbers, with commas between them."),
  );
  updates.set(kind, () => {
    const { logit = [] } = /** @type {{logit?: unknown}} */ (chosenOf(kind) ?? {});
    box.value = [logit].flat().join(", ");
    element.classList.toggle("changed", kind in page.choices);
  });
  return element;
}

/** @param {Choice} one */
function number({ kind, label, sentence, min, max, step }) {
  const box = el("input", { type: "number", min, max, step, inputmode: "decimal" });
  box.addEventListener("change", () => {
    if (box.value !== "" && box.checkValidity()) choose(kind, box.valueAsNumber);
    else updates.get(kind)?.();
  });
  const element = el(
    "label",
    { class: "choice choice-line", "data-kind": kind },
    el("span", { class: "choice-label" }, label),
    box,
    el("span", { class: "choice-says" }, sentence),
  );
  updates.set(kind, () => {
    box.value = String(chosenOf(kind) ?? "");
    element.classList.toggle("changed", kind in page.choices);
  });
  return element;
}
