// The decision: classes by similarity.

import { byId, el, milliseconds, roving } from "../dom.js";
import { current, on, shownIndex, state } from "../state.js";
import { pick } from "./classes.js";

const list = byId("ranking", HTMLElement);

export function mountRanking() {
  roving(list, "button");
  on(["result", "picked", "query", "classes", "failed"], show);
}

function show() {
  const { result, query, classes } = state;
  const prediction = byId("prediction", HTMLElement);
  if (!result || !query || !classes.length) {
    prediction.textContent = hint();
    list.replaceChildren();
    byId("timings", HTMLElement).textContent = "";
    return;
  }
  // Between a change of photo and its result the list is still that of the one before, and looks so.
  byId("result", HTMLElement).classList.toggle("stale", current() === null);
  const { found, keys } = result;
  const order = found.classes.map((one, at) => ({ ...one, at })).sort((a, b) => b.similarity - a.similarity);
  const ahead = order.length > 1 ? `${(order[0].similarity - order[1].similarity).toFixed(3)} ahead of ${order[1].name}` : "the only class";
  const text = [el("strong", {}, order[0].name), el("span", { class: "ahead" }, ahead)];
  prediction.replaceChildren(...text);
  prediction.dataset.color = String(result.classes[order[0].at].color);

  // Similarities below nought need room to the left.
  const low = Math.min(0, ...order.map(({ similarity }) => similarity));
  const high = Math.max(...order.map(({ similarity }) => similarity), low === 0 ? 1 : 0.2);
  const focused = list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.key : null;
  list.replaceChildren(
    ...order.map(({ name, similarity, at }) => {
      const shown = at === shownIndex();
      const bar = el("span", { class: "bar-fill" });
      bar.style.setProperty("--from", String((Math.min(0, similarity) - low) / (high - low)));
      bar.style.setProperty("--size", String(Math.abs(similarity) / (high - low)));
      const button = el(
        "button",
        { type: "button", class: "rank", "data-testid": "rank", "data-name": name, "data-similarity": similarity, "data-key": keys[at], "data-color": result.classes[at].color, "aria-pressed": String(shown), tabindex: shown ? "0" : "-1", onclick: () => pick(keys[at]) },
        el("span", { class: "rank-name" }, name),
        el("span", { class: "rank-value" }, similarity.toFixed(3)),
        el("span", { class: "bar-track", "aria-hidden": "true" }, bar),
      );
      return el("li", {}, button);
    }),
  );
  if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-key="${focused}"]`))?.focus();
  const { timings, embedded, score } = found;
  const through = embedded === 0 ? "no photo had to go through the network" : `${embedded} photo${embedded === 1 ? "" : "s"} through the network`;
  byId("timings", HTMLElement).textContent = `${score[0].toUpperCase()}${score.slice(1)} similarity, in ${milliseconds(timings.total)}; ${through}.`;
}

function hint() {
  if (state.failed) return "The model is not loaded.";
  if (!state.query) return "Choose a photo to ask about.";
  if (!state.classes.some(({ photos }) => photos.length > 0)) return "Add a few photos to each class.";
  return "Working …";
}
