// What the middle of the page shows: the maps of the query, or one of the wider looks, each loaded when it is first
// chosen.

import { el } from "../dom.js";
import { notify } from "../notices.js";
import { on, set, state } from "./state.js";
import { parts } from "./markup.js";
import { filled } from "./options.js";

/**
 * A wider look. `of` says which parts of the page belong to it: the switch for the class, the tools of the picture, the
 * row of photos.
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
  const group = parts.modes;
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
  on(["mode", "result", "classes"], show);
}

function show() {
  const mode = MODES.find(({ id }) => id === state.mode) ?? null;
  const shown = mode ? mode.of : { classes: true, tools: true, strip: true };
  for (const button of parts.modes.children)
    button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.mode === state.mode));
  parts.stage.hidden = mode !== null;
  parts.mode.hidden = mode === null;
  parts.classRow.hidden = !shown.classes || (state.result?.keys ?? filled(state.classes)).length < 2;
  parts.tools.hidden = !shown.tools;
  parts.stripRow.hidden = !shown.strip;
  for (const [id, container] of containers) container.hidden = id !== state.mode;
  if (mode && !containers.has(mode.id)) void load(mode);
}

/** @param {Mode} mode */
async function load(mode) {
  const container = el("div", { class: `mode-body mode-${mode.id}` });
  containers.set(mode.id, container);
  parts.mode.append(container);
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
