// What a choice needs from a file: the transformation module of `head: "file"`, and the matrix of a learned similarity.
// A control for each appears where such a choice is made.

import { needs } from "../catalogue.js";
import { el, icon } from "../dom.js";
import { pickFiles } from "../drop.js";
import { sentence } from "../notices.js";
import { on, set, state } from "./state.js";
import { asked, choose, optionsNow } from "./options.js";
import { set as setPage, state as page } from "../state.js";

/**
 * @import { Lens } from "../../famlens.js"
 * @import { GivenFile } from "./state.js"
 *
 * @typedef {keyof typeof KINDS} Kind
 */

/** Whether a similarity is one with a matrix. */
const learned = () => needs("similarity", page.choices.similarity, "matrix");

const KINDS = {
  head: {
    of: "head",
    accept: ".safetensors",
    label: "Transformation module",
    none:
      "No file yet, so there is no transformation module. Choose a .safetensors file, or drop it here: the " +
      "state of a torch nn.Sequential of Linear and BatchNorm1d.",
    wanted: () => needs("head", page.choices.head, "head"),
    want: () => choose("head", "file"),
    /** @param {Lens} lens @param {Uint8Array | null} bytes */
    load: (lens, bytes) => lens.loadHead(bytes),
  },
  matrix: {
    of: "similarity",
    accept: ".npy",
    label: "Matrix of the similarity",
    none:
      "Learned from the images in play. To use your own, choose a .npy file, or drop it here: a symmetric " +
      "matrix with a row for each value of an embedding.",
    wanted: learned,
    want: () => learned() || choose("similarity", "bilinear"),
    /** @param {Lens} lens @param {Uint8Array | null} bytes @returns {Promise<string | void>} */
    load: (lens, bytes) => (bytes ? lens.loadMatrix(bytes) : lens.setMatrix(null)),
  },
};

const ALL = /** @type {Kind[]} */ (Object.keys(KINDS));

/** What is wrong with the last file, by kind. @type {Partial<Record<Kind, string>>} */
let wrong = {};
/** How the controls are drawn again. @type {(() => void)[]} */
const draws = [];
function draw() {
  for (const run of draws) run();
}

/** The lens that has what was given. @type {Lens | null} */
let of = null;

/**
 * The controls beside the choices' own; `place` is a part of the page that is always there.
 * @param {HTMLElement} place
 */
export function mountGiven(place) {
  for (const kind of ALL) place.append(controlOf(kind));
  on(["given", "choices"], draw);
  on(["lens"], () => {
    const { lens } = page;
    if (!lens || lens === of) return;
    // A lens that was started again gets them again; another model has no use for them.
    const same = of?.info.model.identity === lens.info.model.identity;
    of = lens;
    if (!same) return void set({ given: {} });
    for (const kind of ALL)
      if (state.given[kind]) void KINDS[kind].load(lens, state.given[kind].bytes).catch(() => remove(kind));
  });
}

/** The kind of file that an option may need. @param {string} option @returns {Kind | null} */
export const givenFor = option => ALL.find(kind => KINDS[kind].of === option) ?? null;

/** The files among some that belong here, with their kinds. @param {File[]} files */
export const givenAmong = files =>
  files.flatMap(file =>
    ALL.filter(kind => file.name.toLowerCase().endsWith(KINDS[kind].accept)).map(kind => ({ file, kind })),
  );

/**
 * @param {Kind} kind
 * @returns {HTMLElement}
 */
export function controlOf(kind) {
  const { label, none, accept, wanted } = KINDS[kind];
  const says = el("p", { class: "fine" });
  const error = el("p", { class: "given-error", role: "alert", "data-testid": `given-error-${kind}`, hidden: true });
  const pick = el("button", {
    type: "button",
    class: "button",
    "data-testid": `given-pick-${kind}`,
    onclick: async () => {
      const [file] = await pickFiles({ multiple: false, accept });
      if (file) void give(kind, file);
    },
  });
  const drop = el(
    "button",
    { type: "button", class: "button quiet", "data-testid": `given-remove-${kind}`, onclick: () => void remove(kind) },
    icon("close"),
    "Remove",
  );
  const element = el(
    "div",
    { class: "given", role: "group", "aria-label": label, "data-given": kind, "data-testid": `given-${kind}` },
    says,
    error,
    el("div", { class: "given-buttons" }, pick, drop),
  );
  const show = () => {
    const file = state.given[kind];
    element.hidden = !wanted();
    says.replaceChildren(...(file ? [el("strong", {}, file.name), ` ${file.says}`] : [none]));
    error.hidden = !wrong[kind];
    error.textContent = wrong[kind] ?? "";
    pick.textContent = file ? "Choose another file" : "Choose a file";
    drop.hidden = !file;
  };
  draws.push(show);
  show();
  return element;
}

/**
 * Takes a file, if the model can do something with it.
 * @param {Kind} kind
 * @param {File} file
 */
export async function give(kind, file) {
  const { lens } = page;
  const { load, want } = KINDS[kind];
  wrong = { ...wrong, [kind]: undefined };
  if (!lens) return;
  const before = state.given[kind];
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const says = String(await load(lens, bytes));
    want();
    try {
      await tried(lens, kind);
    } catch (error) {
      await load(lens, before?.bytes ?? null).catch(() => {});
      throw error;
    }
    given({ ...state.given, [kind]: { name: file.name, says, bytes } });
  } catch (error) {
    wrong = {
      ...wrong,
      [kind]: `${file.name} cannot be used. ${sentence(error instanceof Error ? error.message : String(error))}`,
    };
    draw();
  }
}

/**
 * Explains once, since only that tells whether a file fits the embeddings, and by a form that compares them.
 * @param {Lens} lens
 * @param {Kind} kind
 */
async function tried(lens, kind) {
  const { query } = state;
  const classes = asked(state.classes);
  if (!query || classes.length === 0) return;
  const { method: _method, against: _against, ...options } = optionsNow();
  const head = kind === "head" ? /** @type {const} */ ({ head: "file" }) : {};
  await lens.explain({ query: query.source, classes, ...options, form: "fam", ...head });
}

/** @param {Kind} kind */
async function remove(kind) {
  const { lens } = page;
  const { [kind]: _, ...rest } = state.given;
  wrong = { ...wrong, [kind]: undefined };
  if (lens) await KINDS[kind].load(lens, null).catch(() => {});
  given(rest);
}

/**
 * Explains again: the choices are the same, what they rest on is not.
 * @param {Partial<Record<Kind, GivenFile>>} next
 */
function given(next) {
  set({ given: next, result: null });
  setPage({ choices: { ...page.choices } });
}
