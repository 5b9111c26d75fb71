// The model room: which model runs, what else can be chosen, and bringing one's own, in a panel under the model's name.

import { byId, download, el, icon } from "../dom.js";
import { mayBeImage } from "../drop.js";
import { sentence } from "../notices.js";
import { phaseOf } from "../progress.js";
import { on, state } from "../state.js";
import { settingsForm } from "./form.js";
import { keep, models, onModels, ownSettings, remove, rename, running, use, useOwn } from "./models.js";
import { networkSection } from "./network.js";
import { manifestOf, settingsOf } from "./settings.js";

/**
 * @import { Taker } from "../drop.js"
 * @import { Entry } from "./models.js"
 * @import { Manifest, Settings } from "./settings.js"
 *
 * A file of the user's that has not been used yet.
 * @typedef {{file: string, onnx: Blob, statistics: Blob | null, manifest: Manifest | null,
 *   external?: Record<string, Blob>}} Given
 */

/** @type {HTMLElement} */
let panel;
/** @type {Given | null} */
let given = null;
/** Whether a model is being loaded: one at a time. */
let loading = false;

const rows = el("ul", { class: "model-rows", "data-testid": "models" });
const error = el("p", { class: "model-error", role: "alert", "data-testid": "model-error", hidden: true });
const progress = el("p", { class: "fine model-progress", role: "status" });
const stop = el(
  "button",
  {
    type: "button",
    class: "link",
    "data-testid": "model-cancel",
    hidden: true,
    onclick: () => state.busy?.cancel?.(),
  },
  "Cancel",
);
const facts = el("dl", { class: "facts" });
const assumed = el("ul", { class: "fine", "data-testid": "model-assumptions" });
const form = settingsForm({
  use: settings => void attempt(() => take(settings)),
  save: settings => void save(settings),
  cancel() {
    given = null;
    fail(null);
    show();
  },
});
const network = networkSection();
const picker = el("input", {
  class: "unseen",
  id: "model-input",
  type: "file",
  accept: ".onnx,.json,.bin,.data,.weights,.pt,.pth,.h5,.keras,.tflite,.safetensors,.pdmodel,.mlmodel,.pb",
  multiple: true,
  "data-testid": "model-input",
});
const bring = el(
  "div",
  { class: "model-bring" },
  el("label", { class: "button", for: "model-input" }, icon("plus"), "Bring your own", picker),
  el(
    "p",
    { class: "fine" },
    "An .onnx file of a network for images, with its model.json and its .onnx.data if there are such. Choose them " +
      "together, or drop them anywhere on " +
      "the page. It stays on this machine.",
  ),
);

export function mountRoom() {
  panel = byId("model-panel", HTMLElement);
  panel.addEventListener("toggle", network.shown);
  panel.addEventListener("toggle", form.shown);
  panel.append(
    rows,
    bring,
    error,
    progress,
    stop,
    assumed,
    network.element,
    form.element,
    el("details", { class: "model-about" }, el("summary", {}, "About this model"), facts),
  );
  picker.addEventListener("change", () => {
    bringModel([...(picker.files ?? [])]);
    picker.value = "";
  });
  onModels(show);
  on(["info", "failed"], show);
  on(["busy"], () => {
    progress.textContent = loading && state.busy ? phaseOf(state.busy) : "";
    stop.hidden = !loading || !state.busy?.cancel;
  });
}

/** What is dropped while the room is open is a model. @type {Taker} */
const inside = {
  rest: true,
  where: () => ({ element: bring, label: "Use this model" }),
  take: ({ files, rest }) => bringModel([...rest, ...files]),
};

/** Who takes what is dropped: the room while it is open. */
export const roomTaker = () => (panel?.matches(":popover-open") ? inside : null);

/**
 * Shows the settings for a file that was chosen or dropped.
 * @param {File[]} files an ONNX file, and what belongs to it: model.json, statistics
 * @param {string | null} [folder] the name of the one they came in
 */
export async function bringModel(files, folder = null) {
  panel.showPopover();
  const find = (/** @type {RegExp} */ ending) => files.find(({ name }) => ending.test(name)) ?? null;
  const [onnx, json, statistics] = [find(/\.onnx$/i), find(/\.json$/i), find(/\.bin$/i)];
  if (files.length === 0) return;
  if (!onnx) return answerOther(files[0]);
  /** @type {Manifest | null} */
  let manifest = null;
  try {
    manifest = json ? JSON.parse(await json.text()) : null;
  } catch (problem) {
    return fail(`The file ${json?.name} is not JSON: ${problem instanceof Error ? problem.message : problem}`);
  }
  fail(null);
  const beside = files.filter(file => file !== onnx && file !== json && !mayBeImage(file));
  const external = beside.length > 0 ? { external: Object.fromEntries(beside.map(file => [file.name, file])) } : {};
  given = { file: onnx.name, onnx, statistics, manifest, ...external };
  // The settings asked for now are another model's than the one that runs and is drawn.
  network.element.hidden = true;
  form.show(settingsOf(onnx.name, manifest, folder), [], false);
  form.element.querySelector("input")?.focus();
}

/**
 * Says of a file of another format what it is and how an ONNX file is made of it: the library knows it by its bytes.
 * @param {File} file
 */
function answerOther(file) {
  const other = { file: file.name, onnx: file, statistics: null, manifest: null };
  return attempt(() => useOwn(other, settingsOf(file.name, null, null), null));
}

/** @param {string | null} text */
function fail(text) {
  error.textContent = text === null ? "" : sentence(text);
  error.hidden = text === null;
  if (text !== null) error.scrollIntoView({ block: "nearest" });
}

/**
 * Loads a model and tells what is wrong with it; the page goes on with the one it had.
 * @param {() => Promise<string | null>} load
 */
async function attempt(load) {
  if (loading) return;
  loading = true;
  fail(null);
  form.wait(true);
  rows.inert = true;
  const why = await load();
  loading = false;
  form.wait(false);
  rows.inert = false;
  progress.textContent = "";
  stop.hidden = true;
  fail(why);
}

/** @param {Settings} settings */
async function take(settings) {
  const entry = given ? null : running();
  const from = given ?? entry?.own;
  if (!from) return null;
  const why = await useOwn(from, settings, entry);
  if (why === null) given = null;
  show();
  return why;
}

/** The settings as a file, with the digest of the network that they are for. @param {Settings} settings */
async function save(settings) {
  const from = given ?? running().own;
  if (!from) return;
  const manifest = manifestOf(settings, from.manifest, {
    file: from.file,
    bytes: from.onnx.size,
    statistics: from.statistics !== null,
  });
  // Browsers give digests to secure pages only.
  const digest = globalThis.crypto?.subtle
    ? new Uint8Array(await crypto.subtle.digest("SHA-256", await from.onnx.arrayBuffer()))
    : null;
  const sha256 = digest ? Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("") : "";
  download(
    new Blob([`${JSON.stringify({ ...manifest, sha256 }, null, 2)}\n`], { type: "application/json" }),
    "model.json",
  );
}

function show() {
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.focus : undefined;
  rows.replaceChildren(...models.entries.map(row));
  if (focused) /** @type {HTMLElement | null} */ (rows.querySelector(`[data-focus="${CSS.escape(focused)}"]`))?.focus();
  const model = state.info?.model;
  facts.replaceChildren(
    ...(model
      ? [
          ["Name", model.name],
          ["Parameters", `${(model.parameters / 1e6).toFixed(1)} million`],
          ["Input", `${model.inputWidth} x ${model.inputHeight} pixels`],
          ["Map from layer", model.target],
          ["Licence", model.licence || "not stated"],
        ]
      : []
    ).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
  // What a model of the user's leaves open; those that come with famlens leave nothing.
  assumed.replaceChildren(...(given ? [] : (model?.assumptions ?? []).map(said => el("li", {}, said))));
  assumed.hidden = !assumed.hasChildNodes();
  network.element.hidden = given !== null;
  if (given) return;
  const { own } = running();
  if (own && model) form.show(ownSettings(own), model.targets, true);
  else form.hide();
}

/** @param {Entry} entry */
function row(entry) {
  const { id, name, says, own, key } = entry;
  const runs = id === models.running;
  const act = (/** @type {string} */ label, /** @type {() => void} */ run) =>
    el(
      "button",
      { type: "button", class: "link", "data-focus": `${label}-${id}`, "aria-label": `${label} ${name}`, onclick: run },
      label,
    );
  const title = el("span", { class: "model-title" }, name);
  const item = el(
    "li",
    { "data-testid": "model-row", "data-id": id, "aria-current": runs && "true" },
    title,
    el("span", { class: "fine" }, says),
    el(
      "span",
      { class: "model-acts" },
      own && key === null && act("Keep", () => void keep(entry)),
      own && act("Rename", () => edit(entry, title)),
      own && act("Remove", () => void attempt(() => remove(entry))),
      runs && !state.failed
        ? el("span", { class: "model-runs" }, "In use")
        : el(
            "button",
            {
              type: "button",
              class: "button",
              "data-focus": `use-${id}`,
              "aria-label": `${runs ? "Start" : "Use"} ${name}`,
              onclick: () => pick(entry),
            },
            runs ? "Start again" : "Use",
          ),
    ),
  );
  return item;
}

/** @param {Entry} entry */
function pick(entry) {
  given = null;
  void attempt(() => use(entry));
}

/** Puts an input in place of the name. @param {Entry} entry @param {HTMLElement} title */
function edit(entry, title) {
  const input = el("input", {
    type: "text",
    value: entry.name,
    maxlength: "80",
    "aria-label": `New name of ${entry.name}`,
  });
  let ended = false;
  const end = (/** @type {string} */ name) => {
    // Taking the input away takes the focus from it, which ends it too.
    if (ended) return;
    ended = true;
    input.replaceWith(title);
    void rename(entry, name.trim());
  };
  input.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    // Escape gives up the name and does not close the room.
    event.preventDefault();
    end(event.key === "Enter" ? input.value : entry.name);
  });
  input.addEventListener("blur", () => end(input.value));
  title.replaceWith(input);
  input.select();
}
