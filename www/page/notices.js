// Messages in words, over the page and never instead of it.

import { byId, el, icon } from "./dom.js";

const LASTS = 9000;

/**
 * A message. `topic` names what it is about: a newer one about the same takes its place, and {@link settle} takes it
 * away once its cause is gone. A `lasting` one stays until it is closed, as errors do. `onGone` is called when it
 * has left the screen, whichever way.
 * @typedef {{kind?: "info" | "error", text: string, action?: {label: string, run: () => void}, topic?: string,
 *   lasting?: boolean, onGone?: () => void}} Notice
 */

/** How each message on screen is closed. @type {Map<Element, () => void>} */
const closing = new Map();

/**
 * Shows a message. Errors stay until they are closed or settled; three messages at most are shown, and others make room
 * before errors do.
 * @param {Notice} notice
 */
export function notify({ kind = "info", text, action, topic, lasting = kind === "error", onGone }) {
  const box = byId("notices", HTMLElement);
  for (const [old, close] of closing)
    if (old instanceof HTMLElement && (old.dataset.text === text || (topic && old.dataset.topic === topic))) close();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const close = () => {
    clearTimeout(timer);
    notice.remove();
    if (closing.delete(notice)) onGone?.();
  };
  const act = () => {
    action?.run();
    close();
  };
  const notice = el(
    "div",
    {
      class: `notice ${kind}`,
      role: kind === "error" ? "alert" : "status",
      "data-testid": "message",
      "data-text": text,
      "data-topic": topic,
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
  closing.set(notice, close);
  box.append(notice);
  while (box.childElementCount > 3) closing.get(box.querySelector(".notice.info") ?? box.children[0])?.();
  if (lasting) return;
  // Whoever reads it or is about to use its button has time.
  const wait = () => clearTimeout(timer);
  const resume = () => {
    clearTimeout(timer);
    timer = setTimeout(close, LASTS);
  };
  resume();
  for (const event of ["pointerenter", "focusin"]) notice.addEventListener(event, wait);
  for (const event of ["pointerleave", "focusout"]) notice.addEventListener(event, resume);
}

/** Takes away what was said about something, since that is over. @param {string} topic */
export function settle(topic) {
  for (const [notice, close] of closing) if (/** @type {HTMLElement} */ (notice).dataset.topic === topic) close();
}

/**
 * Tells of an error, unless it is only that nobody waits any more.
 * @param {unknown} error
 * @param {string} [topic]
 */
export function report(error, topic) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  notify({ kind: "error", text: sentence(error instanceof Error ? error.message : String(error)), topic });
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
