// Panes in a grid that fills its place: what methods and forms side by side are shown in.

import { el, paint } from "../dom.js";
import { on } from "./state.js";
import { makePane } from "./pane.js";
import { fit, scrolling } from "./stage.js";
import { state as page } from "../state.js";

/** @import { Content, Pane } from "./pane.js" */

/** What each grid shows, by its place. @type {Map<HTMLElement, Content[]>} */
const shown = new Map();

/** What the grid on screen shows. */
export const shownContents = () => [...shown].find(([place]) => place.offsetParent !== null)?.[1] ?? [];

/**
 * @param {HTMLElement} place
 * @param {{caption?: number}} [options] room under each photo, in pixels
 */
export function makeGrid(place, { caption = 66 } = {}) {
  const grid = el("div", { class: "panes" });
  place.append(grid);
  /** @type {Map<string, Pane>} */
  const panes = new Map();

  /** @param {[number, number] | null} at */
  const point = at => {
    for (const pane of panes.values()) void pane.probe(at, pane.overlay.matches(":hover"));
  };

  function arrange() {
    const size = [...panes.values()][0]?.content?.size;
    if (!size || !place.clientWidth) return;
    const ratio = size.width / size.height;
    const height = scrolling.matches ? Infinity : place.clientHeight;
    const [columns, width] = scrolling.matches
      ? [Math.min(2, panes.size), (place.clientWidth - 14 * (Math.min(2, panes.size) - 1)) / Math.min(2, panes.size)]
      : fit(panes.size, ratio, place.clientWidth, height, caption);
    grid.style.setProperty("--columns", String(columns));
    grid.style.setProperty("--photo", `${Math.floor(width)}px`);
    grid.style.setProperty("--ratio", String(ratio));
  }
  new ResizeObserver(arrange).observe(place);

  async function ramps() {
    const first = [...panes.values()].find(({ content }) => content?.map)?.content;
    if (!page.lens || !first) return;
    const { colormap, threshold } = page.look;
    const data = Float32Array.from({ length: 64 }, (_, i) => i / 63);
    const drawn = await page.lens
      .render(
        first.photo.source,
        { data, width: 64, height: 1, min: 0, max: 1 },
        { width: 96, height: 10, colormap, mode: "constant", threshold },
      )
      .catch(() => null);
    if (drawn) for (const pane of panes.values()) paint(pane.ramp, drawn.image);
  }
  on(["look"], () => void ramps());

  return {
    /** Shows these, by key; the rest goes. @param {[string, Content][]} contents */
    show(contents) {
      shown.set(
        place,
        contents.map(([, content]) => content),
      );
      for (const [key, pane] of panes) {
        if (contents.some(([name]) => name === key)) continue;
        pane.element.remove();
        panes.delete(key);
      }
      for (const [place, [key, content]] of contents.entries()) {
        const pane = panes.get(key) ?? makePane(key, `overlay-${key}`, point);
        panes.set(key, pane);
        if (grid.children[place] !== pane.element) grid.insertBefore(pane.element, grid.children[place] ?? null);
        pane.show(content);
      }
      arrange();
      void ramps();
    },
  };
}
