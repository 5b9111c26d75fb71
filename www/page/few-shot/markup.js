// What the few-shot view is made of: the elements that its parts fill. Every part gets them by name.

import { el, icon } from "../dom.js";
import { FEW_SHOT, STATISTICS } from "../words.js";

/** @typedef {ReturnType<typeof makeMarkup>} Parts */

/** The elements of the view, from when it is mounted on. @type {Parts} */
export let parts;

/** @param {HTMLElement} container of the view, which is filled */
export function mountMarkup(container) {
  parts = makeMarkup(container);
}

/** @param {HTMLElement} container */
function makeMarkup(container) {
  const query = queryMarkup();
  const result = resultMarkup();
  const classes = classesMarkup();
  container.classList.add("board");
  container.append(query.query, result.result, classes.classes);
  return { ...query, ...result, ...classes };
}

/** In the middle: the photo under its maps, how they are drawn, and the other photos. */
function queryMarkup() {
  const modes = el("div", { id: "modes", class: "segments small", role: "group", "aria-label": "What is shown" });
  const queryName = el("p", { id: "query-name", class: "file-name" });
  const queryInput = fileInput("query-input", { "data-testid": "query-input", accept: "image/*" });
  const takeInput = fileInput("take-input", { "data-testid": "take-input", accept: "image/*", capture: "environment" });
  const classSwitch = el("div", {
    id: "class-switch",
    class: "class-switch",
    role: "radiogroup",
    "aria-labelledby": "class-row-title",
    "data-testid": "class-switch",
  });
  const classRow = el(
    "div",
    { id: "class-row", class: "class-row", hidden: true },
    el("span", { id: "class-row-title" }, "What speaks for"),
    classSwitch,
  );
  const stageEmpty = el(
    "div",
    { id: "stage-empty", class: "stage-empty", hidden: true },
    el("p", { class: "big by-mouse" }, FEW_SHOT.dropHere),
    el("p", { class: "big by-touch" }, FEW_SHOT.chooseOne),
    el("p", { class: "by-mouse" }, FEW_SHOT.orPaste),
  );
  const panes = el("div", { id: "panes", class: "panes", hidden: true });
  const prediction = el("p", { id: "prediction", class: "prediction", "data-testid": "prediction" });
  const beside = toggle("beside", { "data-testid": "beside" });
  const shortcut = el("p", { id: "shortcut", class: "shortcut", "data-testid": "shortcut", hidden: true });
  const coverOpen = button("cover-open", FEW_SHOT.cover.open, {
    class: "link",
    "aria-expanded": "false",
    "aria-controls": "cover",
  });
  const verdictRow = el(
    "div",
    { class: "verdict-row" },
    prediction,
    coverOpen,
    el("label", { class: "tool switch" }, beside, FEW_SHOT.compare),
    shortcut,
  );
  const keys = "Arrow keys move a pointer over the photo and read the map's value.";
  const stage = el(
    "div",
    { id: "stage", class: "stage", tabindex: "-1" },
    stageEmpty,
    panes,
    verdictRow,
    el("p", { id: "stage-keys", class: "unseen" }, keys),
  );
  const formPlace = el("div", { class: "form-place", hidden: true });
  const mode = el("div", { id: "mode", class: "mode", hidden: true });
  const tools = toolsMarkup();
  const cover = el("section", { id: "cover", class: "card cover", "aria-label": FEW_SHOT.cover.open, hidden: true });
  const strip = el("ul", { id: "strip", class: "strip", "aria-label": "Photos to ask about" });
  const stripClear = button("strip-clear", "Clear", { class: "button quiet", hidden: true });
  stripClear.append(el("span", { class: "unseen" }, " the row but for the photo shown"));
  const stripRow = el("div", { id: "strip-row", class: "strip-row" }, strip, stripClear);
  const query = el(
    "section",
    { id: "query", class: "query", "data-testid": "query", "aria-labelledby": "query-title" },
    el(
      "div",
      { class: "query-head" },
      el("h2", { id: "query-title", class: "unseen" }, "Query"),
      modes,
      queryName,
      el("label", { class: "button by-touch", for: "take-input" }, FEW_SHOT.take, takeInput),
      el("label", { class: "button primary", for: "query-input" }, icon("upload"), "Choose photo", queryInput),
    ),
    classRow,
    stage,
    mode,
    formPlace,
    tools.tools,
    cover,
    stripRow,
  );
  return {
    query,
    modes,
    queryName,
    queryInput,
    takeInput,
    formPlace,
    classRow,
    classSwitch,
    stage,
    stageEmpty,
    panes,
    prediction,
    beside,
    shortcut,
    verdictRow,
    mode,
    cover,
    coverOpen,
    strip,
    stripRow,
    stripClear,
    ...tools,
  };
}

function toolsMarkup() {
  const range = (/** @type {string} */ id, /** @type {number} */ min, /** @type {number} */ max) =>
    el("input", { id, "data-testid": id, type: "range", min, max, step: 1 });
  const opacity = range("opacity", 0, 100);
  const threshold = range("threshold", 5, 95);
  const thresholdValue = el("output", { id: "threshold-value", for: "threshold" });
  const colormap = el("select", { id: "colormap", "data-testid": "colormap" });
  const [contour, box, fade, own] = ["contour", "box", "fade", "own"].map(id => toggle(id));
  const tools = el(
    "div",
    { id: "tools", class: "tools", role: "group", "aria-label": "How the map is shown" },
    el("label", { class: "tool" }, "Opacity", opacity),
    el("label", { class: "tool" }, el("span", { class: "unseen" }, "Colours"), colormap),
    el("label", { class: "tool switch" }, contour, "Contour"),
    el("label", { class: "tool switch" }, box, "Box"),
    el("label", { class: "tool switch", title: "Leave the photo clear where the map is low" }, fade, "Fade"),
    el("label", { class: "tool switch", title: FEW_SHOT.ownSays }, own, FEW_SHOT.own),
    el("label", { class: "tool" }, "Threshold", threshold, thresholdValue),
  );
  return { tools, opacity, threshold, thresholdValue, colormap, contour, box, fade, own };
}

/** To the right: the decision, the kind of map, the channels, and saving. */
function resultMarkup() {
  const ranking = el("ol", { id: "ranking", class: "ranking", "data-testid": "ranking" });
  const otherDecision = el("p", { id: "other-decision", class: "says", "data-testid": "other-decision" });
  const numbers = el("p", { id: "numbers", class: "fine", "data-testid": "numbers" });
  const timings = el("p", { id: "timings", class: "fine", "data-testid": "timings" });
  const notes = el("ul", { id: "notes", class: "notes", "data-testid": "notes", "aria-live": "polite" });
  const kind = kindMarkup();
  const choices = choicesMarkup();
  const channelsSays = el("p", { id: "channels-says", class: "says" });
  const channels = el("ul", { id: "channels", class: "channels", "data-testid": "channels" });
  const channelsCard = card("channels", "Strongest channels", {}, channelsSays, channels);
  channelsCard.id = "channels-card";
  channelsCard.hidden = true;
  const savePng = button("save-png", "Save picture", { title: "The photo under its map, as PNG" }, "download");
  const saveJson = button(
    "save-json",
    "Save data",
    { title: "Similarities, maps and contributions, as JSON" },
    "download",
  );
  const saves = el("div", { class: "saves" }, savePng, saveJson);
  const result = el(
    "aside",
    { id: "result", class: "result", "aria-label": "Result" },
    card("verdict", "Decision", { class: "card verdict" }, ranking, otherDecision, numbers, timings, notes),
    kind.kind,
    choices.choices,
    channelsCard,
    saves,
  );
  return {
    result,
    ranking,
    otherDecision,
    numbers,
    timings,
    notes,
    channelsCard,
    channelsSays,
    channels,
    saves,
    savePng,
    saveJson,
    ...kind,
    ...choices,
  };
}

function kindMarkup() {
  const form = el("div", {
    id: "form",
    class: "picks",
    role: "radiogroup",
    "aria-labelledby": "form-title",
    "aria-describedby": "form-says",
    "data-testid": "form",
  });
  const formSays = el("p", { id: "form-says", class: "unseen", "aria-live": "polite" });
  const statisticsSays = el("p", { id: "statistics-says", class: "fine", "data-testid": "statistics" });
  const adapt = button("adapt", STATISTICS.adapt, { class: "link" });
  const adaptBack = button("adapt-back", STATISTICS.back, { class: "link", hidden: true });
  const statistics = el(
    "div",
    { id: "statistics", class: "statistics", hidden: true },
    statisticsSays,
    adapt,
    adaptBack,
  );
  const given = el("div", { id: "given" });
  const choicesCount = el("span", { id: "choices-count" });
  const choicesOpen = button("choices-open", "All choices", {
    class: "link",
    "aria-expanded": "false",
    "aria-controls": "choices",
  });
  choicesOpen.append(choicesCount);
  const kind = card(
    "form",
    "Kind of map",
    {},
    form,
    formSays,
    statistics,
    given,
    el("div", { class: "choices-row" }, choicesOpen),
  );
  return {
    kind,
    form,
    formSays,
    statistics,
    statisticsSays,
    adapt,
    adaptBack,
    given,
    choicesOpen,
    choicesCount,
  };
}

function choicesMarkup() {
  const choicesReset = button("choices-reset", "Reset", { class: "button quiet" });
  const choicesClose = el(
    "button",
    { id: "choices-close", class: "round small", type: "button", "aria-label": "Close the choices" },
    icon("close"),
  );
  const choicesBody = el("div", { id: "choices-body" });
  const choices = el(
    "section",
    {
      id: "choices",
      class: "card choices",
      "aria-labelledby": "choices-title",
      "data-testid": "choices",
      hidden: true,
    },
    el("header", {}, el("h2", { id: "choices-title" }, "All choices"), choicesReset, choicesClose),
    choicesBody,
  );
  return { choices, choicesReset, choicesClose, choicesBody };
}

/** To the left: the classes and their photos. */
function classesMarkup() {
  const sets = el("div", { id: "sets", class: "segments small", role: "group", "aria-label": "Worked examples" });
  const classList = el("div", { id: "class-list", class: "class-list" });
  const classAdd = button("class-add", "Add class", {}, "plus");
  const folderInput = fileInput("folder-input", { webkitdirectory: true });
  const clear = button("clear", "Clear", { class: "button quiet" });
  const classes = el(
    "section",
    { class: "classes", "aria-labelledby": "classes-title" },
    el("div", { class: "classes-head" }, el("h2", { id: "classes-title", class: "unseen" }, "Classes"), sets),
    classList,
    el(
      "div",
      { class: "class-adds" },
      classAdd,
      el(
        "label",
        { class: "button", for: "folder-input", title: "A class for each folder" },
        icon("folder"),
        "Folder",
        folderInput,
      ),
      clear,
    ),
  );
  return { classes, sets, classList, classAdd, folderInput, clear };
}

/**
 * @param {string} id of the card; its title has that too
 * @param {string} title
 * @param {Record<string, unknown>} attributes
 * @param {...Node} children
 */
const card = (id, title, attributes, ...children) =>
  el(
    "section",
    { class: "card", "aria-labelledby": `${id}-title`, ...attributes },
    el("h2", { id: `${id}-title` }, title),
    ...children,
  );

/**
 * @param {string} id
 * @param {string} label
 * @param {Record<string, unknown>} [attributes]
 * @param {Parameters<typeof icon>[0] | null} [picture]
 */
const button = (id, label, attributes = {}, picture = null) =>
  el(
    "button",
    { id, class: "button", type: "button", "data-testid": id, ...attributes },
    picture && icon(picture),
    label,
  );

/** @param {string} id @param {Record<string, unknown>} [attributes] */
const toggle = (id, attributes = {}) => el("input", { id, type: "checkbox", role: "switch", ...attributes });

/** @param {string} id @param {Record<string, unknown>} attributes */
const fileInput = (id, attributes) => el("input", { id, class: "unseen", type: "file", multiple: true, ...attributes });
