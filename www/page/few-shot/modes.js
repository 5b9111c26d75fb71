// What the middle of the page shows: the maps of the query, or one of the wider looks, each loaded when it is first chosen.

import { byId, el } from "../dom.js";
import { notify } from "../notices.js";
import { on, set, state } from "../state.js";

/**
 * A wider look. `of` says which parts of the page belong to it: the switch for the class, the tools of the picture, the row of photos.
 * @typedef {{id: string, label: string, of: {classes?: boolean, tools?: boolean, strip?: boolean},
 *   load: () => Promise<{mount: (container: HTMLElement) => void}>}} Mode
 */

/** @type {Mode[]} */
const MODES = [
  {
    id: "methods",
    label: "Methods",
    of: { classes: true, tools: true, strip: true },
    load: () => import("./methods.js"),
  },
  { id: "mosaic", label: "Tell apart", of: { classes: true, tools: true }, load: () => import("./mosaic.js") },
  { id: "check", label: "Check", of: {}, load: () => import("./check.js") },
];

/** @type {Map<string, HTMLElement>} */
const containers = new Map();

export function mountModes() {
  const group = byId("modes", HTMLElement);
  group.hidden = MODES.length === 0;
  for (const { id, label } of [{ id: "maps", label: "Maps" }, ...MODES]) {
    group.append(
      el(
        "button",
        {
          type: "button",
          "data-testid": "mode",
          "data-mode": id,
          onclick: () => set({ mode: id, hovered: null, channel: null }),
        },
        label,
      ),
    );
  }
  on(["mode", "result"], show);
}

function show() {
  const mode = MODES.find(({ id }) => id === state.mode) ?? null;
  const parts = mode ? mode.of : { classes: true, tools: true, strip: true };
  for (const button of byId("modes", HTMLElement).children)
    button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.mode === state.mode));
  byId("stage", HTMLElement).hidden = mode !== null;
  byId("mode", HTMLElement).hidden = mode === null;
  byId("class-row", HTMLElement).hidden = !parts.classes || !state.result || state.result.keys.length < 2;
  byId("tools", HTMLElement).hidden = !parts.tools;
  byId("strip-row", HTMLElement).hidden = !parts.strip;
  for (const [id, container] of containers) container.hidden = id !== state.mode;
  if (mode && !containers.has(mode.id)) void load(mode);
}

/** @param {Mode} mode */
async function load(mode) {
  const container = el("div", { class: `mode-body mode-${mode.id}` });
  containers.set(mode.id, container);
  byId("mode", HTMLElement).append(container);
  try {
    const { mount } = await mode.load();
    mount(container);
  } catch (error) {
    console.error(error);
    containers.delete(mode.id);
    container.remove();
    set({ mode: "maps" });
    notify({ kind: "error", text: "This part of the page could not be loaded. Check the connection and try again." });
  }
}
