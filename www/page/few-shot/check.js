// Whether the examples fit together: each support is taken out in turn, and the others say which class it is.

import { el, scrolled } from "../dom.js";
import { trouble } from "../engine.js";
import { on, state } from "./state.js";
import { thumb } from "../thumb.js";
import { ask } from "./inputs.js";
import { asked, filled, optionsNow } from "./options.js";
import { state as page } from "../state.js";

/** @import { SupportCheck } from "../../famlens.js" */

/** @type {AbortController | null} */
let running = null;

/** @param {HTMLElement} container */
export function mount(container) {
  const head = el("p", { class: "check-head", "aria-live": "polite", "data-testid": "check-accuracy" });
  const says = el(
    "p",
    { class: "says" },
    "Each photo of a class is taken out in turn, and the others say which class it is. What they get wrong is worth " +
      "a look: a wrong label, a class that is too mixed, or two classes that are too alike.",
  );
  const table = scrolled("How many photos of each class the others put into which class");
  const wrong = el("ul", { class: "check-photos" });
  const notes = el("ul", { class: "notes" });
  container.append(says, head, table, notes, wrong);

  on(["mode", "lens", "classes", "choices"], async () => {
    running?.abort();
    const { lens } = page;
    const { classes } = state;
    const used = filled(classes);
    if (state.mode !== "check" || !lens) return;
    if (used.length < 2) {
      head.textContent = "Two classes with photos are needed.";
      for (const part of [table, wrong, notes]) part.replaceChildren();
      return;
    }
    const { signal } = (running = new AbortController());
    for (const part of [table, wrong, notes]) part.replaceChildren();
    head.textContent = "Checking";
    try {
      const found = await lens.checkSupports({
        classes: asked(classes),
        ...optionsNow(),
        signal,
      });
      if (signal.aborted) return;
      const judged = found.images.filter(({ predicted }) => predicted !== null);
      if (judged.length === 0) {
        head.textContent = "Add a second photo to a class: the one photo of a class has no others to check it.";
        return;
      }
      const right = judged.filter(one => one.predicted === one.class).length;
      const alone = found.images.length - judged.length;
      const only =
        alone === 1 ? "One is the only photo of its class." : `${alone} are the only photos of their classes.`;
      const left = alone > 0 ? ` ${only}` : "";
      const by = found.score ? ` (${found.score})` : "";
      head.textContent = `${right} of ${judged.length} photos are recognised by the others${by}.${left}`;
      table.replaceChildren(confusion(found));
      notes.replaceChildren(...found.notes.map(note => el("li", {}, note)));
      const photos = used.flatMap(one => one.photos);
      wrong.replaceChildren(
        ...found.images.flatMap(({ class: own, predicted, margin }, at) => {
          if (predicted === null || predicted === own) return [];
          const photo = photos[at];
          return [
            el(
              "li",
              {},
              el(
                "button",
                { type: "button", class: "check-photo", "data-testid": "check-wrong", onclick: () => ask(photo) },
                thumb(photo.small, "").box,
                el(
                  "span",
                  {},
                  el("strong", {}, photo.name),
                  ` is in ${found.classes[own]}; the others say ` +
                    `${found.classes[predicted]}${margin === null ? "" : `, by ${Math.abs(margin).toFixed(3)}`}.`,
                ),
              ),
            ),
          ];
        }),
      );
    } catch (error) {
      if (signal.aborted) return;
      head.textContent = "";
      trouble(error);
    }
  });
}

/** Rows are where photos are, columns what the others say they are. @param {SupportCheck} found */
function confusion({ classes, confusion }) {
  const most = Math.max(1, ...confusion.flat());
  return el(
    "table",
    { class: "figures confusion", "data-testid": "confusion" },
    el(
      "thead",
      {},
      el("tr", {}, el("td", {}, "is in \\ others say"), ...classes.map(name => el("th", { scope: "col" }, name))),
    ),
    el(
      "tbody",
      {},
      ...confusion.map((row, at) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, classes[at]),
          ...row.map((count, to) => {
            const cell = el("td", { class: count === 0 ? "none" : at === to ? "right" : "wrong" }, String(count));
            cell.style.setProperty("--part", String(count / most));
            return cell;
          }),
        ),
      ),
    ),
  );
}
