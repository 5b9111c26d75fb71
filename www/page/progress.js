// What is being worked on, and what went wrong with the engine: one box over whichever task is shown.

import { byId } from "./dom.js";
import { again, onModels, running, useDefault } from "./model/models.js";
import { on, set, state } from "./state.js";

const PHASES = /** @type {Record<string, string>} */ ({
  code: "Loading the program",
  load: "Downloading the model",
  compile: "Preparing the engine",
  embed: "Looking at the photos",
  method: "Running the model for a method",
});

/** In words. @param {import("./state.js").Busy} busy */
export function phaseOf({ phase, loaded, total }) {
  const counted =
    phase === "load" && total > 0
      ? `: ${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`
      : total > 0
        ? `: ${loaded} of ${total}`
        : "";
  return `${PHASES[phase] ?? phase}${counted}`;
}

function show() {
  const { busy, failed } = state;
  const bar = byId("progress", HTMLProgressElement);
  byId("busy", HTMLElement).hidden = busy === null || busy.inPlace === true;
  byId("failed", HTMLElement).hidden = failed === null;
  byId("failed-text", HTMLElement).textContent = failed ?? "";
  const usual = byId("use-default", HTMLButtonElement);
  usual.hidden = running().id === "lite0";
  byId("busy-cancel", HTMLButtonElement).hidden = !busy?.cancel;
  if (!busy) return;
  const { loaded, total } = busy;
  byId("busy-text", HTMLElement).textContent = phaseOf(busy);
  if (total > 0) {
    bar.max = total;
    bar.value = loaded;
  } else bar.removeAttribute("value");
}

export function mountProgress() {
  on(["busy", "failed", "lens"], show);
  onModels(show);
  byId("busy-cancel", HTMLButtonElement).addEventListener("click", () => state.busy?.cancel?.());
  byId("retry", HTMLButtonElement).addEventListener("click", () => void again());
  byId("use-default", HTMLButtonElement).addEventListener("click", async () => {
    const why = await useDefault();
    if (why) set({ failed: why });
  });
}
