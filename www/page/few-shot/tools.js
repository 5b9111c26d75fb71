// How the map is shown, and which kind of map it is.

import { byId, ends, el, paint } from "../dom.js";
import { recall, remember } from "../settings.js";
import { on, set, shownMap, state } from "../state.js";

/**
 * @import { Form } from "../../famlens.js"
 * @import { Look } from "../state.js"
 */

/** @type {Record<string, string>} */
const COLORMAPS = { inferno: "Inferno", magma: "Magma", viridis: "Viridis", cividis: "Cividis", turbo: "Turbo", jet: "Jet", grey: "Grey" };

/** @type {{value: Form, label: string, says: string}[]} */
const FORMS = [
  { value: "fam", label: "Faithful", says: "Adds up exactly what the similarity is made of, so it is true to the decision; but it hardly tells classes apart: their maps look much the same." },
  { value: "centred", label: "Centred", says: "Takes away what the average photo has before comparing, so what is particular to these photos stands out." },
  { value: "contrastive", label: "Contrastive", says: "Weighs each channel by how much more of it this class has than the others: what speaks for this class and against them." },
];

/** @param {Partial<Look>} patch */
function look(patch) {
  set({ look: { ...state.look, ...patch } });
  remember("look", JSON.stringify(state.look));
}

export function mountTools() {
  restore();
  const opacity = byId("opacity", HTMLInputElement);
  const threshold = byId("threshold", HTMLInputElement);
  const colormap = byId("colormap", HTMLSelectElement);
  const contour = byId("contour", HTMLInputElement);
  const box = byId("box", HTMLInputElement);
  const fade = byId("fade", HTMLInputElement);
  colormap.append(...Object.entries(COLORMAPS).map(([value, label]) => el("option", { value }, label)));
  opacity.addEventListener("input", () => look({ opacity: opacity.valueAsNumber / 100 }));
  threshold.addEventListener("input", () => look({ threshold: threshold.valueAsNumber / 100 }));
  colormap.addEventListener("change", () => look({ colormap: colormap.value }));
  contour.addEventListener("change", () => look({ contour: contour.checked }));
  box.addEventListener("change", () => look({ box: box.checked }));
  fade.addEventListener("change", () => look({ fade: fade.checked }));
  on(["look"], () => {
    const now = state.look;
    opacity.value = String(Math.round(100 * now.opacity));
    threshold.value = String(Math.round(100 * now.threshold));
    byId("threshold-value", HTMLOutputElement).textContent = `${threshold.value} %`;
    colormap.value = now.colormap;
    contour.checked = now.contour;
    box.checked = now.box;
    fade.checked = now.fade;
  });
  on(["look", "result"], () => void drawLegend());
  on(["result", "picked", "channel", "channelMaps"], () => {
    const map = shownMap();
    const [min, max] = map ? ends(map.min, map.max) : ["", ""];
    byId("legend-min", HTMLElement).textContent = min;
    byId("legend-max", HTMLElement).textContent = max;
  });
  mountForms();
}

function restore() {
  try {
    const kept = JSON.parse(recall("look") ?? "{}");
    for (const [name, value] of Object.entries(state.look)) if (typeof kept[name] === typeof value) Object.assign(state.look, { [name]: kept[name] });
    if (!(state.look.colormap in COLORMAPS)) state.look.colormap = "inferno";
  } catch {
    // What is kept is not ours; the defaults stay.
  }
}

/** A ramp from the lowest to the highest value, coloured as the map is. */
async function drawLegend() {
  const { lens, result, look: { colormap, threshold } } = state;
  if (!lens || !result) return;
  const data = Float32Array.from({ length: 64 }, (_, i) => i / 63);
  const ramp = { data, width: 64, height: 1, min: 0, max: 1 };
  const drawn = await lens.render(result.query.source, ramp, { width: 96, height: 10, colormap, mode: "constant", threshold }).catch(() => null);
  if (drawn && colormap === state.look.colormap) paint(byId("legend", HTMLCanvasElement), drawn.image);
}

function mountForms() {
  const group = byId("form", HTMLElement);
  for (const { value, label } of FORMS) {
    const input = el("input", { type: "radio", name: "form", value, class: "unseen" });
    input.addEventListener("change", () => set({ form: value, channel: null }));
    group.append(el("label", {}, input, el("span", {}, label)));
  }
  on(["classes"], () => {
    const few = state.classes.filter(({ photos }) => photos.length > 0).length < 2;
    for (const input of group.querySelectorAll("input")) if (input.value === "contrastive") input.disabled = few && state.classes.length > 0;
    // Against other classes, of which there are none.
    if (few && state.classes.length > 0 && state.form === "contrastive") set({ form: "fam" });
  });
  on(["form"], () => {
    for (const input of group.querySelectorAll("input")) input.checked = input.value === state.form;
    byId("form-says", HTMLElement).textContent = FORMS.find(({ value }) => value === state.form)?.says ?? "";
  });
}
