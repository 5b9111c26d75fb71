// The task that is shown, by the address's hash (`#pair`, `#gallery?k=5`): so that it can be linked to and the Back
// button works.

import { namedTask } from "./address.js";
import { context } from "./context.js";
import { byId } from "./dom.js";
import { notify } from "./notices.js";
import { on, set, state } from "./state.js";
import { mounted, view } from "./views.js";
import { INTRO } from "./words.js";

/**
 * @import { Context, View } from "./context.js"
 *
 * @typedef {{id: string, label: string, load: () => Promise<{mount: (container: HTMLElement, context: Context) =>
 *   View}>}} Task
 */

/** @type {Task[]} */
const TASKS = [
  { id: "few-shot", label: "Few-shot", load: () => import("./few-shot/view.js") },
  { id: "pair", label: "Pair", load: () => import("./pair/view.js") },
  { id: "gallery", label: "Gallery", load: () => import("./gallery/view.js") },
  { id: "evaluate", label: "Evaluate", load: () => import("./evaluate/view.js") },
];

/** @param {string} id */
const container = id => byId(`view-${id}`, HTMLElement);

/** The task that the address names; the one that is shown if it names none. */
function asked() {
  const named = namedTask();
  return TASKS.find(({ id }) => id === named) ?? TASKS.find(({ id }) => id === state.view) ?? TASKS[0];
}

/** Mounts the tabs and shows the task that the address names. */
export async function mountRouter() {
  const tabs = byId("tasks", HTMLElement);
  const { title } = document;
  on(["view"], () => {
    const { id, label } = TASKS.find(task => task.id === state.view) ?? TASKS[0];
    byId("intro", HTMLElement).textContent = INTRO[id];
    document.title = id === TASKS[0].id ? title : `${label} · famlens`;
    for (const tab of tabs.querySelectorAll("a")) {
      if (tab.dataset.task === state.view) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    for (const { id } of TASKS) container(id).hidden = id !== state.view;
  });
  // A jump within the page, which must not look like a choice of task.
  byId("skip", HTMLElement).addEventListener("click", event => {
    event.preventDefault();
    byId("main", HTMLElement).focus();
  });
  addEventListener("hashchange", () => void show(asked()));
  set({ view: asked().id });
  await show(asked());
}

/** Makes a task's view, if there is none yet, without showing it. @param {string} id */
export async function mountTask(id) {
  const task = TASKS.find(task => task.id === id);
  if (!task || mounted.has(id)) return;
  const { mount } = await task.load();
  // Two clicks may have asked for it.
  if (!mounted.has(id)) mounted.set(id, mount(container(id), context));
}

/** @param {Task} task */
async function show(task) {
  if (task.id !== state.view) view()?.hide?.();
  set({ view: task.id });
  try {
    await mountTask(task.id);
    if (state.view !== task.id) return;
    view()?.show?.();
    set({ view: task.id });
  } catch (error) {
    console.error(error);
    notify({
      kind: "error",
      text: "This part of the page could not be loaded. Check the connection.",
      action: { label: "Try again", run: () => void show(task) },
    });
  }
}
