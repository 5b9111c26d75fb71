// What <fam-lens> is made of: elements and styles, made by calls alone, so that the strictest policy lets them be.

const STYLE = `
:host { display: inline-block; position: relative; max-width: 100%; color: var(--famlens-text, inherit);
  font: var(--famlens-font, inherit); vertical-align: top; }
:host([hidden]) { display: none; }
figure { margin: 0; display: grid; gap: var(--famlens-gap, .5rem); }
.frame { position: relative; display: grid; overflow: hidden; min-block-size: 3rem;
  border-radius: var(--famlens-radius, .5rem); background: var(--famlens-background, #8882); }
.frame > * { grid-area: 1 / 1; }
img { display: block; inline-size: 100%; block-size: auto; }
img:not([src]) { visibility: hidden; }
canvas { inline-size: 100%; block-size: 100%; opacity: var(--famlens-opacity, .6); pointer-events: none;
  transition: opacity .2s; }
[hidden] { display: none !important; }
.over { place-self: center; margin: .75rem; padding: .5rem .9rem; max-inline-size: 30ch; text-align: center;
  border-radius: 999px; background: #000c; color: #fff; font: inherit; font-size: .9em; border: 0; }
button.over { cursor: pointer; min-block-size: 2.5rem; }
.fault { border-radius: .5rem; display: grid; gap: .5rem; justify-items: center; }
.fault button { font: inherit; min-block-size: 2rem; padding: 0 .9rem; border: 1px solid #fff8; border-radius: 999px;
  background: none; color: inherit; cursor: pointer; }
figcaption { display: grid; gap: var(--famlens-gap, .5rem); }
.verdict { margin: 0; font-weight: 600; }
fieldset { all: unset; display: flex; flex-wrap: wrap; gap: .35rem; }
label { display: inline-flex; align-items: center; gap: .4rem; min-block-size: 2rem; padding: 0 .7rem; cursor: pointer;
  border: 1px solid #8886; border-radius: 999px; font-size: .9em; }
label:has(:checked) { border-color: var(--famlens-accent, #c2410c); outline: 1px solid var(--famlens-accent, #c2410c); }
label:has(:focus-visible), button:focus-visible { outline: 3px solid var(--famlens-accent, #c2410c);
  outline-offset: 2px; }
input { accent-color: var(--famlens-accent, #c2410c); margin: 0; }
.score { opacity: .75; font-variant-numeric: tabular-nums; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
@media (prefers-reduced-motion: reduce) { canvas { transition: none; } }
@media (forced-colors: active) { label:has(:checked) { outline: 2px solid Highlight; } .over { border: 1px solid; } }
`;

/** @type {CSSStyleSheet | null} */
let sheet = null;

/** The styles, one sheet for all elements. */
export function styles() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return sheet;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * The parts of a lens; each is reached from outside by `::part(...)`.
 * @param {typeof import("./words.js").words} words
 */
export function parts(words) {
  const photo = make("img", { part: "photo", alt: "" });
  const map = make("canvas", { part: "map", "aria-hidden": "true", hidden: "" });
  const show = make("button", { part: "reveal", class: "over", type: "button", hidden: "" }, words.show);
  const loading = make("span", { part: "loading", class: "over", hidden: "" });
  const message = make("span", { part: "message" });
  const retry = make("button", { part: "retry", type: "button" }, words.retry);
  const fault = make("div", { part: "error", class: "over fault", role: "alert", hidden: "" }, message, retry);
  const frame = make("div", { part: "frame", class: "frame" }, photo, map, show, loading, fault);
  const verdict = make("p", { part: "verdict", class: "verdict" });
  const classes = make("fieldset", { part: "classes", role: "radiogroup", "aria-label": words.classes, hidden: "" });
  const live = make("p", { class: "unseen", role: "status" });
  const caption = make("figcaption", { part: "caption" }, verdict, classes, live);
  const figure = make("figure", { part: "figure" }, frame, caption);
  return { figure, frame, photo, map, show, loading, fault, message, retry, verdict, classes, live };
}
