// Messages in words, over the page and never instead of it.

import { byId, el, icon } from "./dom.js";

const LASTS = 9000;

/**
 * Shows a message. Errors stay until they are closed; three messages at most are shown, and others make room before
 * errors do.
 * @param {{kind?: "info" | "error", text: string, action?: {label: string, run: () => void}}} notice
 */
export function notify({ kind = "info", text, action }) {
  const box = byId("notices", HTMLElement);
  for (const old of box.querySelectorAll(".notice"))
    if (old instanceof HTMLElement && old.dataset.text === text) old.remove();
  const close = () => notice.remove();
  const act = () => {
    close();
    action?.run();
  };
  const notice = el(
    "div",
    {
      class: `notice ${kind}`,
      role: kind === "error" ? "alert" : "status",
      "data-testid": "message",
      "data-text": text,
    },
    icon(kind === "error" ? "alert" : "info"),
    el("p", {}, text),
    action && el("button", { type: "button", class: "link", onclick: act }, action.label),
    el(
      "button",
      { type: "button", class: "round small", "aria-label": "Close this message", onclick: close },
      icon("close"),
    ),
  );
  box.append(notice);
  while (box.childElementCount > 3) (box.querySelector(".notice.info") ?? box.firstElementChild)?.remove();
  if (kind !== "info") return;
  // Whoever reads it or is about to use its button has time.
  let timer = setTimeout(close, LASTS);
  const wait = () => clearTimeout(timer);
  const resume = () => {
    clearTimeout(timer);
    timer = setTimeout(close, LASTS);
  };
  for (const event of ["pointerenter", "focusin"]) notice.addEventListener(event, wait);
  for (const event of ["pointerleave", "focusout"]) notice.addEventListener(event, resume);
}

/**
 * Tells of an error, unless it is only that nobody waits any more.
 * @param {unknown} error
 */
export function report(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  notify({ kind: "error", text: sentence(error instanceof Error ? error.message : String(error)) });
}

/** What the library says begins small and ends without a stop, as error messages do there. @param {string} text */
export function sentence(text) {
  const trimmed = text.trim();
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}${/[.!?…]$/.test(trimmed) ? "" : "."}`;
}

/**
 * For screen readers alone.
 * @param {string} text
 */
export function say(text) {
  byId("live", HTMLElement).textContent = text;
}
