// What the class-specific forms know of images in general, and "adapt to my images": the same, computed from the user's
// own.

import { needs } from "../catalogue.js";
import { pickFiles } from "../drop.js";
import { trouble } from "../engine.js";
import { notify } from "../notices.js";
import { on, set } from "./state.js";
import { formNow } from "./options.js";
import { set as setPage, state as page } from "../state.js";
import { store, stored } from "../statistics-store.js";
import { parts } from "./markup.js";
import { STATISTICS } from "../words.js";

/** @import { StatisticsInfo } from "../../famlens.js" */

/** Fewer images than this make for shaky statistics. */
const STEADY = 100;

/** @type {AbortController | null} */
let adapting = null;

export function mountStatistics() {
  const says = parts.statisticsSays;
  const adapt = parts.adapt;
  const back = parts.adaptBack;
  on(["choices", "classes", "catalogue"], () => {
    parts.statistics.hidden = !needs("form", formNow(), "statistics");
  });
  on(["lens"], async () => {
    const { lens } = page;
    const bytes = lens && (await stored(lens.info.model.identity));
    // Statistics of another version of the model are not for this one.
    if (lens && bytes)
      await lens
        .setStatistics(bytes)
        .then(again)
        .catch(error =>
          error.code === "argument" ? store(lens.info.model.identity, null).catch(() => {}) : undefined,
        );
  });
  on(["lens", "result"], async () => {
    const found = await page.lens?.statistics().catch(() => null);
    says.textContent = found ? words(found) : "";
    back.hidden = !found?.adapted;
  });
  adapt.addEventListener("click", async () => {
    if (adapting) return adapting.abort();
    const { lens } = page;
    const files = (await pickFiles({ folder: true })).filter(({ type }) => type.startsWith("image/"));
    if (!lens || files.length === 0) return;
    adapting = new AbortController();
    adapt.textContent = "Stop";
    try {
      const folder = files[0].webkitRelativePath.split("/")[0] || "your images";
      const { bytes, ...found } = await lens.adaptStatistics(files, { source: folder, signal: adapting.signal });
      const why = await store(lens.info.model.identity, bytes).then(
        () => "",
        error => ` They are for this visit only: ${error.message}`,
      );
      const few = found.images < STEADY ? " About a hundred would make it steadier." : "";
      notify({
        kind: why ? "error" : "info",
        text: `Adapted to ${found.images} images of ${folder}.${few}${why}`,
      });
      again();
    } catch (error) {
      trouble(error);
    } finally {
      adapting = null;
      adapt.textContent = STATISTICS.adapt;
      setPage({ busy: null });
    }
  });
  back.addEventListener("click", async () => {
    const { lens } = page;
    if (!lens) return;
    await lens.setStatistics(null).catch(trouble);
    await store(lens.info.model.identity, null).catch(trouble);
    again();
  });
}

/** Explains again: the options are the same, what they rest on is not. */
function again() {
  set({ result: null });
  setPage({ choices: { ...page.choices } });
}

/** @param {StatisticsInfo} found */
const words = ({ images, source, adapted }) => (adapted ? STATISTICS.own(images, source) : STATISTICS.usual(images));
