// On a narrow window the classes, the decision and how the map is drawn are sheets over the picture, opened from a bar
// at the foot; the kinds of map stand under the picture.

import { el, icon } from "../dom.js";
import { SHEETS } from "../words.js";
import { parts } from "./markup.js";

const narrow = matchMedia("(max-width: 760px)");

export function mountSheets() {
  const sheets = [
    { part: parts.classes, label: SHEETS.classes },
    { part: parts.result, label: SHEETS.result },
    { part: parts.tools, label: SHEETS.tools },
  ].map(({ part, label }) => {
    const button = el("button", { type: "button", "aria-expanded": "false", "data-testid": "sheet" }, label);
    const close = el(
      "button",
      { type: "button", class: "round sheet-close", "aria-label": SHEETS.close(label), onclick: () => open(null) },
      icon("close"),
    );
    part.classList.add("sheet");
    part.prepend(close);
    button.addEventListener("click", () => open(part.classList.contains("open") ? null : part));
    part.addEventListener("keydown", event => {
      if (event.key !== "Escape" || !narrow.matches) return;
      open(null);
      button.focus();
    });
    return { part, button };
  });
  const bar = el("nav", { class: "sheet-bar", "aria-label": SHEETS.title }, ...sheets.map(({ button }) => button));
  parts.query.append(bar);

  /** Opens one, or closes all with null. @param {HTMLElement | null} wanted */
  function open(wanted) {
    for (const { part, button } of sheets) {
      part.classList.toggle("open", part === wanted);
      button.setAttribute("aria-expanded", String(part === wanted));
    }
  }
  // A touch of the picture goes back to it.
  parts.stage.addEventListener("pointerdown", () => open(null));

  /** Where the kinds of map are. */
  function place() {
    parts.formPlace.hidden = !narrow.matches;
    if (narrow.matches) parts.formPlace.append(parts.form);
    else parts.formSays.before(parts.form);
    if (!narrow.matches) open(null);
  }
  narrow.addEventListener("change", place);
  place();
}
