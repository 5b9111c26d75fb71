// The switch for the class that is explained, over the stage: a row of the classes with their scores.

import { el } from "../dom.js";
import { on, pictured, set, shownIndex, state } from "./state.js";
import { parts } from "./markup.js";
import { filled } from "./options.js";

export function mountSwitch() {
  on(["result", "opening", "classes", "picked", "hovered", "query"], show);
}

/**
 * As long as something is pointed at or has the focus, the map of its class is shown.
 * @param {HTMLElement} element
 * @param {() => string | null} key of the class
 */
export function showWhilePointedAt(element, key) {
  element.addEventListener("pointerenter", event => {
    if (event.pointerType === "mouse") set({ hovered: key(), channel: null });
  });
  element.addEventListener("pointerleave", () => {
    if (state.hovered !== null) set({ hovered: null });
  });
}

/** The classes, while nothing is known of them. */
function unanswered() {
  const classes = filled(state.classes);
  return { classes, keys: classes.map(({ key }) => key) };
}

let made = "";

function show() {
  const answered = pictured() ?? state.result;
  const result = answered ?? unanswered();
  const names = JSON.stringify(result.classes.map(({ key, name, color }) => [key, name, color]));
  if (names !== made) {
    made = names;
    parts.classSwitch.replaceChildren(
      ...result.classes.map(({ key, name, color }) => {
        const input = el("input", { type: "radio", name: "class-shown", value: key, class: "unseen" });
        input.addEventListener("change", () => set({ picked: key, channel: null }));
        const label = el(
          "label",
          { class: "class-chip", "data-testid": "class-chip", "data-name": name, "data-color": color },
          input,
          el("span", {}, el("i", { class: "swatch" }), name),
        );
        showWhilePointedAt(label, () => key);
        return label;
      }),
    );
  }
  const shown = answered?.keys[shownIndex(answered)];
  for (const input of parts.classSwitch.querySelectorAll("input")) input.checked = input.value === shown;
}
