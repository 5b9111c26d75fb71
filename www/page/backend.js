// What computes, how fast it is, and the choice of it.

import { byId, el, milliseconds } from "./dom.js";
import { chooseBackend } from "./engine.js";
import { remember } from "./settings.js";
import { on, state } from "./state.js";

/** @import { BackendChoice, EngineInfo } from "../famlens.js" */

/** @type {{value: BackendChoice, label: string}[]} */
const CHOICES = [
  { value: "auto", label: "Auto" },
  { value: "webgpu", label: "WebGPU" },
  { value: "cpu", label: "CPU" },
];

/** @param {string} kind */
const labelOf = kind => CHOICES.find(({ value }) => value === kind)?.label ?? kind;

/** The last time a query took on each engine, for what has not been compared. @type {Map<string, number>} */
const seen = new Map();
/** The lens that took it. @type {import("../famlens.js").Lens | null} */
let seenOn = null;

export function mountBackend() {
  const group = byId("backend-choice", HTMLElement);
  for (const { value, label } of CHOICES) {
    const input = el("input", { type: "radio", name: "backend", value });
    input.addEventListener("change", () => {
      remember("backend", value);
      void chooseBackend(value);
    });
    group.append(
      el(
        "label",
        { class: "choice" },
        input,
        el("span", { class: "choice-name" }, label),
        el("span", { class: "choice-says", "data-for": value }),
      ),
    );
  }
  on(["lens", "info", "measuring", "backend", "busy", "failed", "took"], show);
}

function show() {
  const { info, measuring, backend, busy, failed, took } = state;
  const name = byId("backend-name", HTMLElement);
  const button = byId("backend-button", HTMLButtonElement);
  button.dataset.state = failed ? "failed" : !info || busy || measuring ? "busy" : "ready";
  for (const input of byId("backend-choice", HTMLElement).querySelectorAll("input")) {
    input.checked = input.value === backend;
    input.disabled = !info;
  }
  if (!info || failed) {
    name.textContent = failed ? "Not loaded" : "Starting";
    delete name.dataset.backend;
    return;
  }
  const { engines, backend: used } = info;
  const of = (/** @type {string} */ kind) => engines.find(engine => engine.kind === kind);
  if (state.lens && seenOn !== state.lens) {
    seenOn = state.lens;
    seen.clear();
  }
  if (took && took.forward > 0) seen.set(took.backend, took.forward);
  const ms = of(used.kind)?.milliseconds ?? seen.get(used.kind) ?? null;
  name.dataset.backend = used.kind;
  name.replaceChildren(labelOf(used.kind), ms === null ? "" : el("span", { class: "ms" }, ` · ${milliseconds(ms)}`));
  button.title = used.describe;
  say("auto", measuring ? "Measuring both …" : "Measures both and takes the faster one");
  say("webgpu", describe(of("webgpu")));
  say("cpu", describe(of("cpu")));
  const mix = took && (took.mix < 0.05 ? "less than 0.1 ms" : milliseconds(took.mix));
  const last = took ? ` The last explanation took ${milliseconds(took.total)}, ${mix} of it for the maps.` : "";
  byId("backend-says", HTMLElement).textContent =
    `Times are for one photo through ${info.model.name}, measured here.${last}`;
}

/** @param {string} value @param {string} text */
function say(value, text) {
  const place = byId("backend-choice", HTMLElement).querySelector(`[data-for="${value}"]`);
  if (place) place.textContent = text;
}

/** @param {EngineInfo | undefined} engine */
function describe(engine) {
  if (!engine) return "Not in this browser";
  if (engine.available === false) return engine.reason ?? "Not available here";
  const ms = engine.milliseconds ?? seen.get(engine.kind) ?? null;
  return ms === null ? engine.describe || "Not tried yet" : `${engine.describe}, ${milliseconds(ms)}`;
}
