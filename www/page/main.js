// Starts the page: the view that was asked for first, so that there is something to see, then the model.

import { mountAbout } from "./about.js";
import { mountBackend } from "./backend.js";
import { followCatalogue } from "./catalogue.js";
import { byId } from "./dom.js";
import { mountDrop } from "./drop.js";
import { mountModel } from "./model/button.js";
import { startRemembered } from "./model/models.js";
import { bringModel, roomTaker } from "./model/room.js";
import { mountProgress } from "./progress.js";
import { mountRouter, view } from "./router.js";
import { recall } from "./settings.js";
import { on, shownClass, state } from "./state.js";
import { mountTheme } from "./theme.js";

/** @import { BackendChoice } from "../famlens.js" */

/** "gpu" is what the command line calls it. @param {string | null} text @returns {BackendChoice | null} */
const backendOf = text =>
  text === "gpu" ? "webgpu" : text === "auto" || text === "webgpu" || text === "cpu" ? text : null;

state.backend =
  backendOf(new URLSearchParams(location.search).get("backend")) ?? backendOf(recall("backend")) ?? "auto";

mountTheme();
mountBackend();
mountModel();
mountProgress();
followCatalogue();
mountDrop(() => roomTaker() ?? view()?.taker ?? null, bringModel);
on(["lens", "busy", "failed", "result", "query", "classes", "choices", "beside", "view"], tellState);
// For the console, and for programs that drive the page.
Object.defineProperty(window, "famlens", {
  value: {
    get lens() {
      return state.lens;
    },
    /** What was chosen. */
    get result() {
      return state.result?.found ?? null;
    },
    /** FAM as the paper has it, if that is shown beside it. */
    get published() {
      return state.published?.found ?? null;
    },
    get state() {
      const { view, query, classes, choices, look, backend } = state;
      return {
        view,
        query: query?.name ?? null,
        classes: classes.map(({ name, photos }) => ({ name, supports: photos.map(photo => photo.name) })),
        target: shownClass()?.name ?? null,
        choices,
        look,
        backend,
      };
    },
  },
});

await Promise.all([mountRouter(), mountAbout(), startRemembered()]);

function tellState() {
  const { lens, busy, failed } = state;
  const settled = view()?.isReady?.() ?? view() !== null;
  byId("app", HTMLElement).dataset.state = failed
    ? "error"
    : !lens
      ? "loading"
      : busy || !settled
        ? "running"
        : "ready";
}
