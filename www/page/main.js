// Starts the page: the view that was asked for first, so that there is something to see, then the model.

import { mountAbout } from "./about.js";
import { mountBackend } from "./backend.js";
import { followCatalogue } from "./catalogue.js";
import { byId } from "./dom.js";
import { mountDrop } from "./drop.js";
import { mountModel } from "./model/button.js";
import { startRemembered } from "./model/models.js";
import { bringModel, roomTaker } from "./model/room.js";
import { mountOffline } from "./offline.js";
import { mountProgress } from "./progress.js";
import { mountRouter } from "./router.js";
import { recall } from "./settings.js";
import { on, state } from "./state.js";
import { mountTheme } from "./theme.js";
import { mounted, view } from "./views.js";

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
mountOffline();
followCatalogue();
mountDrop(() => roomTaker() ?? view()?.taker ?? null, bringModel);
on(["lens", "busy", "failed", "view", "explained"], tellState);
/** What the few-shot view shows. @returns {Record<string, unknown>} */
const fewShot = () => mounted.get("few-shot")?.tells?.() ?? {};
// For the console, and for programs that drive the page.
Object.defineProperty(window, "famlens", {
  value: {
    get lens() {
      return state.lens;
    },
    /** What was chosen. */
    get result() {
      return fewShot().result ?? null;
    },
    /** FAM as the paper has it, if that is shown beside it. */
    get published() {
      return fewShot().published ?? null;
    },
    get state() {
      const { view, choices, look, backend } = state;
      const { result: _, published: _published, ...shown } = fewShot();
      return { view, choices, look, backend, ...shown };
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
