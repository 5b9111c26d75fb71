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
import { fromFile, restore } from "./project.js";
import { mountKept, restoreKept } from "./project-kept.js";
import { mountProgress } from "./progress.js";
import { report } from "./notices.js";
import { mountRouter } from "./router.js";
import { recall } from "./settings.js";
import { on, state } from "./state.js";
import { mayBeProject, mountShare, openProject } from "./share.js";
import { ownProject } from "./site.js";
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
mountDrop(() => roomTaker() ?? view()?.taker ?? null, bringModel, {
  takes: mayBeProject,
  open: file => void openProject(file).catch(report),
});
mountShare();
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

/** What was kept, or else what the page was saved with. @returns {Promise<boolean>} */
async function putBack() {
  if (await restoreKept()) return true;
  const own = await ownProject();
  if (own) await restore(await fromFile(own));
  return own !== null;
}

// Before the router, since the first view asks whether there is something to put back before it shows an example.
state.restored = putBack().catch(error => {
  report(error);
  return false;
});
await Promise.all([mountRouter(), mountAbout(), startRemembered()]);
await state.restored;
mountKept();

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
