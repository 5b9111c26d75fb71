// How maps are shown.

import { el } from "../dom.js";
import { recall, remember } from "../settings.js";
import { on, set, state } from "../state.js";
import { parts } from "./markup.js";

/** @import { Look } from "../state.js" */

/** @type {Record<string, string>} */
const COLORMAPS = {
  inferno: "Inferno",
  magma: "Magma",
  viridis: "Viridis",
  cividis: "Cividis",
  turbo: "Turbo",
  jet: "Jet",
  grey: "Grey",
};

/** @param {Partial<Look>} patch */
function look(patch) {
  set({ look: { ...state.look, ...patch } });
  remember("look", JSON.stringify(state.look));
}

export function mountTools() {
  restore();
  const opacity = parts.opacity;
  const threshold = parts.threshold;
  const colormap = parts.colormap;
  const contour = parts.contour;
  const box = parts.box;
  const fade = parts.fade;
  const own = parts.own;
  colormap.append(...Object.entries(COLORMAPS).map(([value, label]) => el("option", { value }, label)));
  opacity.addEventListener("input", () => look({ opacity: opacity.valueAsNumber / 100 }));
  threshold.addEventListener("input", () => look({ threshold: threshold.valueAsNumber / 100 }));
  colormap.addEventListener("change", () => look({ colormap: colormap.value }));
  contour.addEventListener("change", () => look({ contour: contour.checked }));
  box.addEventListener("change", () => look({ box: box.checked }));
  own.addEventListener("change", () => look({ own: own.checked }));
  fade.addEventListener("change", () => look({ fade: fade.checked }));
  on(["look"], () => {
    const now = state.look;
    opacity.value = String(Math.round(100 * now.opacity));
    threshold.value = String(Math.round(100 * now.threshold));
    parts.thresholdValue.textContent = `${threshold.value} %`;
    colormap.value = now.colormap;
    contour.checked = now.contour;
    box.checked = now.box;
    fade.checked = now.fade;
    own.checked = now.own;
  });
}

function restore() {
  try {
    const kept = JSON.parse(recall("look") ?? "{}");
    for (const [name, value] of Object.entries(state.look))
      if (typeof kept[name] === typeof value) Object.assign(state.look, { [name]: kept[name] });
    if (!(state.look.colormap in COLORMAPS)) state.look.colormap = "inferno";
  } catch {
    // What is kept is not ours; the defaults stay.
  }
}
