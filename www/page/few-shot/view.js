// Few-shot: which class a photo is most like, and which parts of it say so.

import { el } from "../dom.js";
import { on, set, shownClass, state } from "./state.js";
import { mountChannels } from "./channels.js";
import { asked, mountChoices } from "./choices.js";
import { mountCover } from "./cover.js";
import { mountClasses } from "./classes.js";
import { mountPickers, taker } from "./drop.js";
import { explainOn, follow, isExplained } from "./explain.js";
import { mountGiven } from "./given.js";
import { loadExample } from "./inputs.js";
import { mountModes } from "./modes.js";
import { mountOpening } from "./opening.js";
import { code, link, picture } from "./picture.js";
import { onChange, restore, save } from "./project.js";
import { mountRanking } from "./ranking.js";
import { mountSave } from "./save.js";
import { mountSheets } from "./sheets.js";
import { mountStage } from "./stage.js";
import { mountStatistics } from "./statistics.js";
import { mountStrip } from "./strip.js";
import { mountSwitch } from "./switch.js";
import { mountTools } from "./tools.js";
import { mountMarkup, parts } from "./markup.js";
import { state as page } from "../state.js";

/**
 * @import { Context, View } from "../context.js"
 * @import { ExampleSet } from "../photo.js"
 */

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @returns {View}
 */
export function mount(container, context) {
  mountMarkup(container);
  mountTools();
  mountChoices();
  mountGiven(parts.given);
  mountStatistics();
  mountSwitch();
  mountModes();
  mountStage();
  mountCover();
  mountStrip();
  mountClasses();
  mountRanking();
  mountChannels();
  mountSave();
  mountPickers();
  mountSheets();
  follow();
  // What needs the model looks so until there is one.
  on(["lens"], () => {
    for (const part of [
      parts.modes,
      parts.classRow,
      parts.formPlace,
      parts.coverOpen,
      parts.tools,
      parts.kind,
      parts.choices,
      parts.saves,
    ])
      part.inert = page.lens === null;
  });
  // What has been shown is not to move, so nothing is before it is known what there is.
  container.classList.add("unsettled");
  void mountExamples(context).finally(() => container.classList.remove("unsettled"));
  /** The example set that is on the page, by name. */
  const setNow = () => known.find(isOf)?.name ?? null;
  return {
    taker,
    picture,
    link: () => link(setNow()),
    code,
    save,
    restore,
    onChange,
    isReady: isExplained,
    explainOn,
    photos: () => [
      ...(state.query ? [state.query] : []),
      ...state.queries,
      ...state.classes.flatMap(({ photos }) => photos),
    ],
    tells: () => ({
      result: state.result?.found ?? null,
      published: state.published?.found ?? null,
      query: state.query?.name ?? null,
      classes: state.classes.map(({ name, photos }) => ({ name, supports: photos.map(photo => photo.name) })),
      target: shownClass()?.name ?? null,
    }),
  };
}

/** The example sets, once they are loaded. @type {ExampleSet[]} */
let known = [];

/** @param {Context} context */
async function mountExamples(context) {
  const found = await context.examples();
  if (!found)
    return context.notify({
      kind: "error",
      text: "The example photos could not be loaded. Your own photos still work.",
    });
  known = found.sets;
  const group = parts.sets;
  for (const example of found.sets) {
    group.append(
      el("button", { type: "button", "data-testid": "set", onclick: () => loadExample(example) }, example.name),
    );
  }
  // What the user has already put in is not thrown away for an example.
  if (!(await page.restored) && !state.query && state.classes.length === 0) {
    openExample(found.sets);
    await mountOpening();
  }
  on(["classes", "queries", "query", "result"], () => {
    const said = found.sets.find(one => one.says && isOf(one));
    parts.shortcut.hidden = !said || state.query?.example !== said.query;
    parts.shortcut.textContent = said?.says ?? "";
  });
  on(["classes", "queries"], () => {
    for (const [place, button] of [...group.children].entries())
      button.setAttribute("aria-pressed", String(isOf(found.sets[place])));
  });
}

/** Whether the classes are those of an example set, photo for photo. @param {ExampleSet} set */
const isOf = ({ classes }) =>
  classes.length === state.classes.length &&
  classes.every(({ name, supports }, at) => {
    const one = state.classes[at];
    return (
      one.name === name &&
      one.photos.length === supports.length &&
      one.photos.every(({ example }, place) => example === supports[place])
    );
  });

/** The set, photo and class that the address names, or the first ones. @param {ExampleSet[]} sets */
function openExample(sets) {
  const { example, query, class: name } = asked;
  loadExample(sets.find(one => one.name === example) ?? sets[0]);
  const photo = state.queries.find(one => one.example === query);
  const picked = state.classes.find(one => one.name === name);
  set({ query: photo ?? state.query, picked: picked?.key ?? null });
}
