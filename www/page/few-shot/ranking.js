// The decision: classes by similarity.

import { el, milliseconds, roving, scoreDecimals } from "../dom.js";
import { current, on, pictured, published, shownIndex, state } from "./state.js";
import { pick } from "./classes.js";
import { showWhilePointedAt } from "./switch.js";
import { state as page } from "../state.js";
import { parts } from "./markup.js";
import { FEW_SHOT } from "../words.js";

export function mountRanking() {
  roving(parts.ranking, "button");
  on(["result", "opening", "published", "picked", "query", "classes", "failed"], show);
  // Pointing at a class changes nothing but which one is marked, so that what is pointed at stays where it is.
  on(["hovered"], mark);
}

function show() {
  const { result, query, classes } = state;
  const prediction = parts.prediction;
  if (!result || !query || !classes.length) {
    const early = pictured();
    if (early) {
      prediction.replaceChildren(el("strong", {}, early.found.classes[early.found.predicted].name));
      prediction.dataset.color = String(early.classes[early.found.predicted].color);
    } else prediction.textContent = hint();
    parts.ranking.replaceChildren();
    for (const part of [parts.timings, parts.numbers, parts.otherDecision, parts.notes]) part.replaceChildren();
    parts.timings.textContent = early ? FEW_SHOT.later : "";
    return;
  }
  // Between a change of photo and its result the list is still that of the one before, and looks so.
  parts.result.classList.toggle("stale", current() === null);
  const { found, keys } = result;
  const order = found.classes.map((one, at) => ({ ...one, at })).sort((a, b) => b.similarity - a.similarity);
  const most = Math.max(...order.map(({ similarity }) => Math.abs(similarity)), 1e-6);
  const decimals = scoreDecimals(most);
  const { decision } = found;
  const first = order[0];
  const second = order.length > 1 ? order[1] : null;
  const bare = second
    ? `${(first.similarity - second.similarity).toFixed(decimals)} ahead of ${second.name}`
    : FEW_SHOT.only;
  prediction.replaceChildren(
    el("strong", {}, decision?.headline ?? first.name),
    el("span", { class: "ahead" }, decision ? decision.says : bare),
  );
  const decided = !decision || decision.class !== null;
  prediction.dataset.color = decided ? String(result.classes[first.at].color) : "none";
  const focused = parts.ranking.contains(document.activeElement)
    ? /** @type {HTMLElement} */ (document.activeElement).dataset.key
    : null;
  parts.ranking.replaceChildren(
    ...order.map(({ name, similarity, at }) => {
      const shown = at === shownIndex();
      const bar = el("span", { class: "bar-fill" });
      // Where a bar ends is said by the library: a cosine is out of 1, evidence out of what the class's photos have.
      const [from, to] = decision?.bars[at] ?? [0, 0];
      bar.style.setProperty("--from", String(from));
      bar.style.setProperty("--size", String(to - from));
      const button = el(
        "button",
        {
          type: "button",
          class: "rank",
          "data-testid": "rank",
          "data-name": name,
          "data-similarity": similarity,
          "data-key": keys[at],
          "data-color": result.classes[at].color,
          "aria-pressed": String(shown),
          tabindex: shown ? "0" : "-1",
          onclick: () => pick(keys[at]),
        },
        el("span", { class: "rank-name" }, name),
        el("span", { class: "rank-value" }, similarity.toFixed(decimals)),
        el("span", { class: "bar-track", "aria-hidden": "true" }, bar),
      );
      showWhilePointedAt(button, () => keys[at]);
      return el("li", {}, button);
    }),
  );
  if (focused) /** @type {HTMLElement | null} */ (parts.ranking.querySelector(`[data-key="${focused}"]`))?.focus();
  const { timings, embedded, score, notes } = found;
  const { residual = 0, constant = 0 } = found.classes[shownIndex()] ?? {};
  const through =
    embedded === 0
      ? "no photo had to go through the network"
      : `${embedded} photo${embedded === 1 ? "" : "s"} through the network`;
  // A figure is only worth its room where it shows.
  const outside = [
    constant && Math.abs(constant) >= 5e-4 ? `${constant.toFixed(3)} of it is a constant` : "",
    Math.abs(residual) >= 5e-4 ? `${residual.toFixed(3)} of it comes from later steps` : "",
  ].filter(part => part);
  const beyond = outside.length > 0 ? ` ${outside.join("; ")}.` : "";
  parts.numbers.textContent = decision?.numbers ?? "";
  parts.timings.textContent = `Ranked by ${score}.${beyond} ${milliseconds(timings.total)}; ${through}.`;
  parts.notes.replaceChildren(...notes.map(note => el("li", {}, note)));
  const other = published();
  const differs = other && other.keys[other.found.predicted] !== keys[order[0].at];
  parts.otherDecision.textContent = differs
    ? `FAM as published decides by ${other.found.score}: ${other.classes[other.found.predicted].name}.`
    : "";
}

function mark() {
  const shown = state.result?.keys[shownIndex()];
  for (const button of parts.ranking.querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(button.dataset.key === shown));
}

function hint() {
  if (page.failed) return "The model is not loaded.";
  if (!state.query) return "Choose a photo to ask about.";
  if (!state.classes.some(({ photos }) => photos.length > 0)) return "Add a few photos to each class.";
  return "Working …";
}
