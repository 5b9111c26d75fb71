// Small helpers to make and find elements.

/**
 * The element with this id, of this kind; the page's HTML promises that it is there.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} with id ${id}`);
  return found;
}

/**
 * Makes an element. Attributes are set as given; `false`, null and undefined leave one out; functions become listeners
 * (`onclick`).
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null | false | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * A table that scrolls by itself where it is too wide, with the keyboard too.
 * @param {string} label
 * @param {...Node} children
 */
export const scrolled = (label, ...children) =>
  el("div", { class: "table-wrap", role: "group", tabindex: "0", "aria-label": label }, ...children);

/** Outlines of the icons, 24 units square. */
const ICONS = {
  plus: "M12 5v14M5 12h14",
  upload: "M12 16V4M7 9l5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  download: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  folder: "M3 7a1 1 0 0 1 1-1h5l2 2.500h9a1 1 0 0 1 1 1V18a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z",
  close: "M6 6l12 12M18 6L6 18",
  sun:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600l1.400 1.400M17 17l1.400 " +
    "1.400M18.400 5.600L17 7M7 17l-1.400 1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  screen: "M4 5h16v11H4zM9 20h6M12 16v4",
  alert: "M12 4l9 16H3zM12 10v4M12 17v.5",
  layers: "M12 3l9 5-9 5-9-5zM3 12.500l9 5 9-5M3 17l9 5 9-5",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5.500M12 7.500v.5",
};

/**
 * @param {keyof typeof ICONS} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = svgEl("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" });
  svg.append(svgEl("path", { d: ICONS[name] }));
  return svg;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElementTagNameMap[K]}
 */
export function svgEl(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * The 2D context of a canvas, sized.
 * @param {HTMLCanvasElement} canvas
 * @param {ImageData} image
 */
export function paint(canvas, image) {
  if (canvas.width !== image.width) canvas.width = image.width;
  if (canvas.height !== image.height) canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/**
 * Arrow keys move between the items of a group, as they do between radio buttons.
 * @param {HTMLElement} group
 * @param {string} selector of the items
 */
export function roving(group, selector) {
  group.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key] ?? 0;
    const items = /** @type {HTMLElement[]} */ ([...group.querySelectorAll(selector)]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (at < 0 || (!step && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    const to =
      event.key === "Home" ? 0 : event.key === "End" ? items.length - 1 : (at + step + items.length) % items.length;
    items[to].focus();
  });
}

/**
 * A figure for people: three digits that mean something.
 * @param {number} value
 */
export function figure(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1000 || size < 1e-4 ? value.toExponential(1) : value.toPrecision(3);
}

/**
 * Both ends of a range with as many decimals as the larger one needs.
 * @param {number} min
 * @param {number} max
 * @returns {[string, string]}
 */
export function ends(min, max) {
  const size = Math.max(Math.abs(min), Math.abs(max));
  const decimals = size === 0 ? 0 : scoreDecimals(size);
  return [min.toFixed(decimals), max.toFixed(decimals)];
}

/** Decimals that leave three digits of the largest of some scores. @param {number} most */
export const scoreDecimals = most => Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(most || 1))));

/** @param {number} ms */
export function milliseconds(ms) {
  return ms >= 1000
    ? `${(ms / 1000).toFixed(1)} s`
    : ms >= 10
      ? `${Math.round(ms)} ms`
      : ms >= 1
        ? `${ms.toFixed(1)} ms`
        : `${ms.toFixed(2)} ms`;
}

/**
 * Hands a file to the user.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
