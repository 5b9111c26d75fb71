// Two to six methods side by side on the same photo, class and score, each with what it costs.

import { el, milliseconds } from "../dom.js";
import { trouble } from "../engine.js";
import { on, shownIndex, state } from "./state.js";
import { valuesOf } from "../catalogue.js";
import { makeGrid } from "./grid.js";
import { asked, filled, optionsNow, same } from "./options.js";
import { set as setPage, state as page } from "../state.js";

/**
 * @import { Comparison, MethodResult } from "../../famlens.js"
 * @import { ClassItem } from "./state.js"
 * @import { Photo } from "../state.js"
 */

const [LEAST, MOST] = [2, 6];

/** What is compared at first: one of each kind that takes a moment only. */
let chosen = ["fam", "cam", "grad-cam", "layer-cam"];

/** @type {{found: Comparison, query: Photo, of: ClassItem[], options: object, keys: string[]} | null} */
let shown = null;
/** @type {AbortController | null} */
let running = null;

/** @param {HTMLElement} container */
export function mount(container) {
  const picks = el("div", { class: "picks", role: "group", "aria-label": "Methods, two to six" });
  const stop = el("button", { type: "button", class: "button", hidden: true, onclick: () => running?.abort() }, "Stop");
  const says = el("p", { class: "says", "aria-live": "polite" });
  const place = el("div", { class: "grid-place" });
  container.append(el("div", { class: "mode-head" }, picks, stop), says, place);
  const grid = makeGrid(place);

  on(["catalogue"], () => {
    picks.replaceChildren(
      ...valuesOf("method").map(({ name, label, sentence }) => {
        const input = el("input", { type: "checkbox", value: name, class: "unseen" });
        input.addEventListener("change", () => toggle(name, input.checked));
        return el("label", { class: "pick", title: sentence }, input, el("span", {}, label));
      }),
    );
    mark();
  });

  /** @param {string} name @param {boolean} wanted */
  function toggle(name, wanted) {
    const next = wanted ? [...chosen, name] : chosen.filter(other => other !== name);
    if (next.length >= LEAST && next.length <= MOST) chosen = next;
    mark();
    void run();
  }

  function mark() {
    for (const input of picks.querySelectorAll("input")) {
      input.checked = chosen.includes(input.value);
      input.disabled = input.checked ? chosen.length <= LEAST : chosen.length >= MOST;
    }
  }

  async function run() {
    const { lens } = page;
    const { query, classes } = state;
    const used = filled(classes);
    const { form, method: _, ...options } = optionsNow();
    if (state.mode !== "methods" || !lens || !query || used.length === 0) return;
    const isOf = shown?.query === query && shown.of === classes && same(shown.options, options);
    const known = isOf && shown ? shown.found.methods : [];
    const missing = chosen.filter(name => !known.some(({ method }) => method === name));
    if (missing.length === 0) return show();
    running?.abort();
    const { signal } = (running = new AbortController());
    stop.hidden = false;
    says.textContent = "";
    try {
      const found = await lens.compareMethods({
        query: query.source,
        classes: asked(classes),
        methods: missing,
        ...options,
        signal,
      });
      if (signal.aborted) return;
      shown = {
        found: { ...found, methods: [...known, ...found.methods] },
        query,
        of: classes,
        options,
        keys: used.map(({ key }) => key),
      };
      show();
    } catch (error) {
      // A newer run has taken over, and may compute the same.
      if (running?.signal !== signal) return;
      // What was to be added and did not come is not chosen any more.
      const rest = chosen.filter(name => !missing.includes(name));
      if (rest.length >= LEAST) chosen = rest;
      mark();
      if (!signal.aborted) trouble(error);
    } finally {
      if (running?.signal === signal) {
        stop.hidden = true;
        setPage({ busy: null });
      }
    }
  }

  function show() {
    if (!shown || state.mode !== "methods") return;
    const { found, query, keys } = shown;
    const key = state.result?.keys[shownIndex()] ?? keys[found.predicted];
    const at = Math.max(0, keys.indexOf(key));
    const { width, height } = state.result?.query === query ? state.result.found.query : { width: 0, height: 0 };
    const size = width ? { width, height } : null;
    const name = found.classes[at].name;
    grid.show(
      found.methods
        .filter(({ method }) => chosen.includes(method))
        .map(one => [
          one.method,
          {
            name: one.label,
            says: [cost(one), ...one.notes].join(" "),
            photo: query,
            size,
            map: one.maps[at],
            label: `${one.label}: what speaks for ${name} in ${query.name}`,
          },
        ]),
    );
    says.textContent =
      `All explain the same number, the ${found.score} to ${name}, at the layer ${found.layer}. ` +
      `Time and memory are for all classes, beside one forward pass that all share.`;
  }

  // What another lens found, or what rests on another file, is no answer any more.
  on(["lens", "given"], () => {
    running?.abort();
    shown = null;
  });
  on(["mode", "lens", "query", "classes", "choices"], () => void run());
  on(["result", "picked", "hovered"], show);
}

/** @param {MethodResult} result */
function cost({ cost: { own, passes, bytes } }) {
  const { forward, tail, backward } = passes;
  const of = [
    count(forward, "forward pass", "forward passes"),
    count(backward, "backward pass", "backward passes"),
    count(tail, "pass of the tail", "passes of the tail"),
  ].filter(part => part);
  return (
    `${milliseconds(own)}, ${of.length > 0 ? of.join(", ") : "no further pass"}, ` +
    `${bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1000))} kB`}.`
  );
}

/** @param {number} n @param {string} one @param {string} many */
const count = (n, one, many) => (n === 0 ? "" : `${n} ${n === 1 ? one : many}`);
