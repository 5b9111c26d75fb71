// The picture of the network in the model room: blocks and layers from top to bottom, with shapes, weights and cost; a
// click on a layer moves the target there.

import { el, icon } from "../dom.js";
import { report } from "../notices.js";
import { on, state } from "../state.js";
import { aboutAfter, aboutItem, mapPreview } from "./network-about.js";
import { drawLanes } from "./network-lanes.js";
import { rowMaker } from "./network-row.js";
import { chooseTargets, targetsCount, targetsNow, toggleTarget } from "./network-target.js";
import { around, inSight, keyed, plant, search, typedAhead } from "./network-tree.js";
import { count } from "./network-words.js";

/**
 * @import { Lens } from "../../famlens.js"
 * @import { Network } from "../../famlens.js"
 * @import { Item } from "./network-tree.js"
 *
 * @typedef {{network: Network, roots: Item[], items: Item[], ofLayer: Item[], byName: Map<string, Item>, row: (item:
 *   Item) => HTMLElement}} Plan
 */

/** Fewer rows than this are no picture of a network. */
const FEW = 10;

/** How long letters count as one word, in milliseconds. */
const TYPED_TOGETHER = 700;

export function networkSection() {
  const tree = el("div", {
    class: "net-tree",
    role: "tree",
    "aria-label": "Layers of the network",
    "aria-multiselectable": "true",
    "data-testid": "net-tree",
  });
  const picture = el("div", { class: "net-picture" }, tree);
  const find = el("input", {
    type: "search",
    placeholder: "Find a layer",
    "aria-label": "Find a layer by name, operator or shape",
    autocomplete: "off",
    spellcheck: "false",
    "data-testid": "net-find",
  });
  const hits = el("output", { class: "net-hits", "data-testid": "net-hits" });
  const says = el("p", { class: "fine net-says" });
  const about = el("div", { class: "net-about", "data-testid": "net-about" });
  const preview = mapPreview();
  const after = el("div", { class: "net-after", "data-testid": "net-after" });
  const tool = (/** @type {string} */ label, /** @type {() => void} */ onclick) =>
    el("button", { type: "button", class: "link", onclick }, label);
  const tools = el(
    "div",
    { class: "net-tools" },
    el("span", { class: "net-find" }, find, hits),
    tool("Target", () => toTarget(true)),
    tool("Unfold all", () => unfold(() => true)),
    tool("Fold all", () => unfold(() => false)),
  );
  const heads = el(
    "div",
    { class: "net-row net-heads", "aria-hidden": "true" },
    ...["Layer", "Operator", "Output", "Weights", "Map", "Cost so far"].map(text => el("span", {}, text)),
  );
  const body = el(
    "div",
    { class: "net-body", hidden: true },
    says,
    tools,
    el("div", { class: "net-frame" }, heads, picture),
    el("div", { class: "net-beside" }, about, preview.element),
    el("h3", {}, "After the target layer"),
    after,
  );
  const summary = el(
    "summary",
    { "data-testid": "net-open" },
    icon("layers"),
    el("span", {}, "Network"),
    el("span", { class: "net-short fine" }, "see every layer, and choose where the map comes from"),
  );
  const element = el("details", { class: "net", "data-testid": "network" }, summary, body);

  /** @type {Plan | null} */
  let plan = null;
  /** @type {Lens | null} of which the network is shown */
  let shown = null;
  /** @type {Set<Item>} */
  const open = new Set();
  /** @type {Item[]} */
  let rows = [];
  /** @type {Item | null} the one that the keyboard is on */
  let active = null;
  /** @type {Item[]} */
  let found = [];
  let typed = "";
  let typedAt = 0;

  const isOpen = (/** @type {Item} */ item) => open.has(item) || filtered.has(item);
  /** Blocks that a search keeps open. @type {Set<Item>} */
  let filtered = new Set();
  const isTarget = (/** @type {Item} */ item) => !item.block && targetsNow().includes(item.layer.name);

  async function load() {
    const { lens } = state;
    if (!element.open || !lens || lens === shown) return;
    shown = lens;
    body.hidden = true;
    try {
      const network = await lens.network(targetsNow()[0] ?? "");
      if (shown !== lens) return;
      const grown = plant(network);
      plan = {
        network,
        ...grown,
        byName: new Map(grown.ofLayer.map(item => [item.layer.name, item])),
        row: rowMaker(network),
      };
    } catch (error) {
      shown = null;
      return report(error);
    }
    const { network } = plan;
    says.textContent =
      `${network.layers.length} layers, ${count(network.parameters)} weights, ` +
      `${count(network.multiplyAdds)} products a forward pass, input ${network.input.slice(1).join(" × ")}`;
    find.value = "";
    found = [];
    filtered = new Set();
    open.clear();
    body.hidden = false;
    after.replaceChildren(...aboutAfter(network.after));
    told = targetsNow()[0] ?? "";
    toTarget(false);
    // The way to the target may be one line; large blocks make it a picture.
    for (let block = largest(); rows.length < FEW && block; block = largest()) {
      open.add(block);
      draw();
    }
    if (active) goTo(active, false);
    void preview.draw();
  }

  /** The folded block in sight with most layers. */
  const largest = () =>
    rows.filter(item => item.block && !isOpen(item)).sort((a, b) => b.last - b.first - (a.last - a.first))[0];

  /** What stands under `after` is of this layer. */
  let told = "";

  /** Another target, or another form that looks at it or not. */
  async function follow() {
    if (!plan || !element.open) return;
    mark();
    const [target] = targetsNow();
    // The explanation comes first: a large network is not read again before it.
    const { idle, target: answered } = state.explained;
    const explained = idle || !targetsCount() || answered === target;
    if (!target || target === told || !explained) return;
    told = target;
    const lens = shown;
    try {
      const network = await lens?.network(target);
      if (network && told === target && shown === lens) after.replaceChildren(...aboutAfter(network.after));
    } catch (error) {
      report(error);
    }
  }

  function unfold(/** @type {(item: Item) => boolean} */ which) {
    if (!plan) return;
    open.clear();
    for (const item of plan.items) if (item.block && which(item)) open.add(item);
    if (active && !which(active)) active = around(active)[0] ?? active;
    draw();
  }

  /** Unfolds the way to the target layer and nothing else that is not. @param {boolean} focus */
  function toTarget(focus) {
    const item = plan?.byName.get(targetsNow()[0] ?? "") ?? plan?.ofLayer[plan.network.target];
    if (!plan || !item) return;
    for (const one of around(item)) open.add(one);
    draw();
    goTo(item, focus);
  }

  function draw() {
    if (!plan) return;
    const query = find.value.trim();
    element.classList.toggle("filtering", query !== "");
    const all = inSight(plan.roots, isOpen);
    const kept = new Set(found.flatMap(item => [...around(item), item]));
    rows = query === "" ? all : all.filter(item => kept.has(item));
    if (!active || !rows.includes(active))
      active =
        (active &&
          around(active)
            .reverse()
            .find(item => rows.includes(item))) ??
        rows[0] ??
        null;
    tree.replaceChildren(...rows.map(plan.row));
    const places = new Map(rows.map(item => [item, plan?.row(item)]));
    for (const [item, row] of places) {
      const siblings = (item.parent?.children ?? plan.roots).filter(one => places.has(one));
      row?.setAttribute("aria-setsize", String(siblings.length));
      row?.setAttribute("aria-posinset", String(siblings.indexOf(item) + 1));
      if (item.block) row?.setAttribute("aria-expanded", String(isOpen(item)));
    }
    lines();
    mark();
  }

  /** The lines beside the rows, once these have a height. */
  function lines() {
    picture.querySelector(".net-lines")?.remove();
    const height = /** @type {HTMLElement | null} */ (tree.firstElementChild)?.getBoundingClientRect().height ?? 0;
    if (!plan || height === 0) return;
    // Between hits of a search lie rows that are not shown.
    const drawn = drawLanes(plan.network, find.value.trim() === "" ? rows : [], isOpen, height, isTarget);
    element.style.setProperty("--gutter", `${find.value.trim() === "" ? drawn.width : 8}px`);
    picture.prepend(drawn.svg);
  }

  /** Targets, hits and the row in focus. */
  function mark() {
    if (!plan) return;
    const counts = targetsCount();
    const hit = new Set(found);
    for (const item of rows) {
      const row = plan.row(item);
      const target = isTarget(item);
      const within = item.block !== null && !isOpen(item) && targetsNow().some(name => inside(item, name));
      row.classList.toggle("target", target);
      row.classList.toggle("within", within);
      row.classList.toggle("unused", !counts);
      row.classList.toggle("hit", hit.has(item));
      row.setAttribute("tabindex", item === active ? "0" : "-1");
      row.setAttribute("aria-selected", String(target));
      const said = /** @type {HTMLElement} */ (row.querySelector(".net-mark"));
      said.hidden = !target && !within;
      said.textContent = counts ? "map from here" : "target layer";
    }
    tell();
    element.style.setProperty("--rows", String(rows.length));
  }

  const inside = (/** @type {Item} */ block, /** @type {string} */ name) => {
    const at = plan?.byName.get(name)?.first ?? -1;
    return at >= block.first && at <= block.last;
  };

  /** What is said of the row in focus, and its connections. */
  function tell() {
    if (!plan || !active) return;
    about.replaceChildren(...aboutItem(plan.network, active));
    const at = String(rows.indexOf(active));
    for (const one of picture.querySelectorAll("path"))
      one.classList.toggle("on", one.dataset.from === at || one.dataset.to === at);
  }

  /** @param {Item} item @param {boolean} focus */
  function goTo(item, focus) {
    if (!plan) return;
    const before = active && plan.row(active);
    active = item;
    before?.setAttribute("tabindex", "-1");
    const row = plan.row(item);
    row.setAttribute("tabindex", "0");
    if (focus) row.focus({ preventScroll: true });
    // The tree alone scrolls, not the room around it.
    const { offsetTop, offsetHeight } = row;
    const frame = /** @type {HTMLElement} */ (picture.parentElement);
    const head = heads.offsetHeight;
    if (offsetTop - head < frame.scrollTop) frame.scrollTop = offsetTop - head - 3 * offsetHeight;
    else if (offsetTop + offsetHeight > frame.scrollTop + frame.clientHeight)
      frame.scrollTop = offsetTop + 4 * offsetHeight - frame.clientHeight;
    tell();
  }

  /** @param {Item} item @param {boolean} [to] */
  function fold(item, to = !isOpen(item)) {
    if (to) open.add(item);
    else {
      open.delete(item);
      filtered.delete(item);
    }
    active = item;
    draw();
    goTo(item, true);
  }

  /** @param {Item} item @param {boolean} more */
  function choose(item, more) {
    if (item.layer.whyNot) return;
    if (more) toggleTarget(item.layer.name);
    else chooseTargets([item.layer.name]);
  }

  /** @param {EventTarget | null} target @returns {Item | null} */
  const itemAt = target => {
    const row = target instanceof Element ? target.closest(".net-row") : null;
    return rows.find(item => plan?.row(item) === row) ?? null;
  };

  tree.addEventListener("click", event => {
    const item = itemAt(event.target);
    if (!item) return;
    goTo(item, true);
    if (item.block) fold(item);
    else choose(item, event.shiftKey || event.ctrlKey || event.metaKey);
  });
  tree.addEventListener("focusin", event => {
    const item = itemAt(event.target);
    if (item && item !== active) goTo(item, false);
  });
  tree.addEventListener("keydown", event => {
    if (!active || event.altKey || event.metaKey) return;
    const does = keyed(event.key, rows, active, isOpen(active));
    if (does && (!event.ctrlKey || event.key === "Enter")) {
      event.preventDefault();
      if ("go" in does) goTo(does.go, true);
      else if (does.act === "open" || does.act === "close") fold(active, does.act === "open");
      else if (does.act === "openAll") {
        for (const one of active.parent?.children ?? plan?.roots ?? []) if (one.block) open.add(one);
        draw();
        goTo(active, true);
      } else choose(active, does.act === "add" || event.ctrlKey || event.shiftKey);
      return;
    }
    if (event.key === "Escape" && find.value !== "") return leaveSearch(event);
    if (event.key.length !== 1 || event.ctrlKey) return;
    const now = performance.now();
    typed = now - typedAt > TYPED_TOGETHER ? event.key : typed + event.key;
    typedAt = now;
    const to = typedAhead(rows, active, typed);
    if (to) goTo(to, true);
  });

  /** Leaves the search and not the room; the hit that was reached stays in sight. @param {KeyboardEvent} event */
  function leaveSearch(event) {
    event.preventDefault();
    event.stopPropagation();
    const focus = tree.contains(document.activeElement);
    find.value = "";
    seek();
    if (active) goTo(active, focus);
  }

  function seek() {
    if (!plan) return;
    found = search(plan.items, find.value);
    filtered = new Set(found.flatMap(around));
    if (find.value.trim() === "") {
      hits.textContent = "";
      for (const one of active ? around(active) : []) open.add(one);
    } else {
      if (active && !found.includes(active)) active = found.find(({ block }) => !block) ?? found[0] ?? active;
      hits.textContent = found.length === 0 ? "none" : `${found.indexOf(active ?? found[0]) + 1} of ${found.length}`;
    }
    draw();
    if (active) goTo(active, false);
  }

  find.addEventListener("input", seek);
  find.addEventListener("keydown", event => {
    if (event.key === "Escape" && find.value !== "") return leaveSearch(event);
    if (event.key === "ArrowDown" && active) {
      event.preventDefault();
      return goTo(active, true);
    }
    if (event.key !== "Enter" || found.length === 0) return;
    event.preventDefault();
    const at = active ? found.indexOf(active) : -1;
    const next = found[(at + (event.shiftKey ? found.length - 1 : 1)) % found.length];
    goTo(next, false);
    mark();
    hits.textContent = `${found.indexOf(next) + 1} of ${found.length}`;
  });

  element.addEventListener("toggle", () => {
    if (!element.open) return;
    // The target may have been moved elsewhere meanwhile.
    if (plan && state.lens === shown) toTarget(false);
    void load();
    void follow();
    void preview.draw();
  });
  // Rows are as high as the window's width has them.
  new ResizeObserver(() => requestAnimationFrame(lines)).observe(tree);
  on(["lens"], () => void load());
  on(["choices", "explained"], () => void follow());
  return { element, shown: () => void preview.draw() };
}
