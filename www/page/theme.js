// Light, dark, or as the system has it.

import { byId, icon } from "./dom.js";
import { recall, remember } from "./settings.js";

const ORDER = /** @type {const} */ (["system", "light", "dark"]);
const ICONS = /** @type {const} */ ({ system: "screen", light: "sun", dark: "moon" });

export function mountTheme() {
  const button = byId("theme-button", HTMLButtonElement);
  let at = Math.max(0, ORDER.indexOf(/** @type {typeof ORDER[number]} */ (recall("theme"))));
  const show = () => {
    const now = ORDER[at];
    if (now === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    const label = `Theme: ${now}. Change it`;
    button.setAttribute("aria-label", label);
    button.title = label;
    button.replaceChildren(icon(ICONS[now]));
  };
  button.addEventListener("click", () => {
    at = (at + 1) % ORDER.length;
    remember("theme", ORDER[at] === "system" ? null : ORDER[at]);
    show();
  });
  show();
}
