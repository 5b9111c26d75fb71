// The row of photos to ask about: examples and the user's own.

import { el, icon, roving } from "../dom.js";
import { ask, clearQueries, removeQuery } from "./inputs.js";
import { on, set, state } from "./state.js";
import { dragOut } from "../drop.js";
import { thumb } from "../thumb.js";
import { parts } from "./markup.js";

/** @import { Photo } from "../state.js" */

/** @type {Map<string, HTMLElement>} */
const items = new Map();

export function mountStrip() {
  roving(parts.strip, ".strip-photo");
  parts.stripClear.addEventListener("click", () => {
    clearQueries();
    /** @type {HTMLElement | null} */ (parts.strip.querySelector(".strip-photo"))?.focus();
  });
  on(["queries", "query"], show);
}

function show() {
  const { queries, query } = state;
  parts.stripClear.hidden = queries.length < 2;
  for (const [key, item] of items) {
    if (queries.some(photo => photo.key === key)) continue;
    item.remove();
    items.delete(key);
  }
  for (const [place, photo] of queries.entries()) {
    const item = items.get(photo.key) ?? make(photo);
    items.set(photo.key, item);
    const button = /** @type {HTMLElement} */ (item.firstElementChild);
    button.setAttribute("aria-pressed", String(photo === query));
    // One stop of the Tab key for the whole row; arrows go on from there.
    button.tabIndex = photo === query || (!query && place === 0) ? 0 : -1;
    if (parts.strip.children[place] !== item) parts.strip.insertBefore(item, parts.strip.children[place] ?? null);
  }
}

/** @param {Photo} photo */
function make(photo) {
  const { box } = thumb(photo.small, "");
  const button = el(
    "button",
    {
      type: "button",
      class: "strip-photo",
      "aria-label": `Explain ${photo.name}`,
      title: photo.name,
      "data-testid": photo.example ? "example" : "query-photo",
      "data-file": photo.example ?? photo.name,
    },
    box,
  );
  button.addEventListener("click", () => (photo === state.query ? set({ picked: null, channel: null }) : ask(photo)));
  button.addEventListener("keydown", event => {
    if (event.key !== "Delete") return;
    const next = /** @type {HTMLElement | null} */ (
      (item.nextElementSibling ?? item.previousElementSibling)?.firstElementChild ?? null
    );
    removeQuery(photo);
    next?.focus();
  });
  dragOut(button, photo);
  const remove = el(
    "button",
    {
      type: "button",
      class: "remove",
      "aria-label": `Remove ${photo.name}`,
      title: "Remove",
      tabindex: "-1",
      onclick: () => removeQuery(photo),
    },
    icon("close"),
  );
  const item = el("li", {}, button, remove);
  return item;
}
