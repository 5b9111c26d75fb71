// Few-shot: which class a photo is most like, and which parts of it say so.

import { el } from "../dom.js";
import { on, shownClass, state } from "./state.js";
import { mountChannels } from "./channels.js";
import { mountChoices } from "./choices.js";
import { mountClasses } from "./classes.js";
import { mountPickers, taker } from "./drop.js";
import { explainOn, follow, isExplained } from "./explain.js";
import { mountGiven } from "./given.js";
import { loadExample } from "./inputs.js";
import { mountModes } from "./modes.js";
import { mountRanking } from "./ranking.js";
import { mountSave } from "./save.js";
import { mountStage } from "./stage.js";
import { mountStatistics } from "./statistics.js";
import { mountStrip } from "./strip.js";
import { mountSwitch } from "./switch.js";
import { mountTools } from "./tools.js";
import { mountMarkup, parts } from "./markup.js";

/** @import { Context, View } from "../context.js" */

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
  mountStrip();
  mountClasses();
  mountRanking();
  mountChannels();
  mountSave();
  mountPickers();
  follow();
  void mountExamples(context);
  return {
    taker,
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

/** @param {Context} context */
async function mountExamples(context) {
  const found = await context.examples();
  if (!found)
    return context.notify({
      kind: "error",
      text: "The example photos could not be loaded. Your own photos still work.",
    });
  const group = parts.sets;
  for (const example of found.sets) {
    group.append(
      el("button", { type: "button", "data-testid": "set", onclick: () => loadExample(example) }, example.name),
    );
  }
  // What the user has already put in is not thrown away for an example.
  if (!state.query && state.classes.length === 0) loadExample(found.sets[0]);
  on(["classes", "queries"], () => {
    for (const [place, button] of [...group.children].entries()) {
      const names = found.sets[place].classes.map(({ name }) => name);
      button.setAttribute(
        "aria-pressed",
        String(names.length === state.classes.length && state.classes.every(({ name }, at) => name === names[at])),
      );
    }
  });
}
