// Starts the page: the example first, so that there is something to see, then the model.

import { byId, el } from "./dom.js";
import { mountDrop } from "./drop.js";
import { loadExample } from "./inputs.js";
import { notify } from "./notices.js";
import { follow, start } from "./run.js";
import { mountSave } from "./save.js";
import { recall } from "./settings.js";
import { on, shownClass, state } from "./state.js";
import { mountTheme } from "./theme.js";
import { mountAbout } from "./views/about.js";
import { mountBackend } from "./views/backend.js";
import { mountChannels } from "./views/channels.js";
import { mountClasses } from "./views/classes.js";
import { mountRanking } from "./views/ranking.js";
import { mountStage } from "./views/stage.js";
import { mountStrip } from "./views/strip.js";
import { mountTools } from "./views/tools.js";

/** @import { BackendChoice } from "../famlens.js" */

const EXAMPLES = new URL("../examples/", import.meta.url).href;

/** @param {string | null} text @returns {BackendChoice | null} */
const backendOf = (text) => (text === "auto" || text === "webgpu" || text === "cpu" ? text : null);

state.backend = backendOf(new URLSearchParams(location.search).get("backend")) ?? backendOf(recall("backend")) ?? "auto";

mountTheme();
mountTools();
mountStage();
mountStrip();
mountClasses();
mountRanking();
mountChannels();
mountBackend();
mountSave();
mountDrop();
follow();
on(["lens", "busy", "failed", "result", "query", "classes", "form"], tellState);
// For the console, and for programs that drive the page.
Object.defineProperty(window, "famlens", {
  value: {
    get lens() {
      return state.lens;
    },
    get result() {
      return state.result?.found ?? null;
    },
    get state() {
      const { query, classes, form, look, backend } = state;
      return { query: query?.name ?? null, classes: classes.map(({ name, photos }) => ({ name, supports: photos.map((photo) => photo.name) })), target: shownClass()?.name ?? null, form, look, backend };
    },
  },
});

await Promise.all([mountExamples(), start()]);

function tellState() {
  const { lens, busy, failed, result, query, classes, form } = state;
  const asked = query !== null && classes.some(({ photos }) => photos.length > 0);
  const current = !asked || (result !== null && result.query === query && result.of === classes && result.found.form === form);
  byId("app", HTMLElement).dataset.state = failed ? "error" : !lens ? "loading" : busy || !current ? "running" : "ready";
}

async function mountExamples() {
  /** @type {any} */
  let file;
  try {
    file = await (await fetch(new URL("examples.json", EXAMPLES))).json();
  } catch {
    notify({ kind: "error", text: "The example photos could not be loaded. Your own photos still work." });
    mountAbout([]);
    return;
  }
  mountAbout(file.attributions);
  const group = byId("sets", HTMLElement);
  for (const example of file.sets) {
    group.append(el("button", { type: "button", "data-testid": "set", onclick: () => loadExample(example, EXAMPLES) }, example.name));
  }
  // What the user has already put in is not thrown away for an example.
  if (!state.query && state.classes.length === 0) loadExample(file.sets[0], EXAMPLES);
  on(["classes", "queries"], () => {
    for (const [place, button] of [...group.children].entries()) {
      const names = file.sets[place].classes.map((/** @type {{name: string}} */ one) => one.name);
      button.setAttribute("aria-pressed", String(names.length === state.classes.length && state.classes.every(({ name }, at) => name === names[at])));
    }
  });
}
