// What the few-shot view shows, for pictures, links and code.

import { formOf } from "../catalogue.js";
import { scoreDecimals } from "../dom.js";
import { stem } from "../picture.js";
import { state as page } from "../state.js";
import { SHARE } from "../words.js";
import { shownContents } from "./grid.js";
import { asked, formNow, optionsNow } from "./options.js";
import { rangeOf } from "./pane.js";
import { current, published, shownIndex, shownMap, state } from "./state.js";

/** @import { Panel, Shown } from "../picture.js" */
/** @import { LensMap } from "../../famlens.js" */
/** @import { Result } from "./state.js" */

/** @returns {Shown | null} */
export function picture() {
  const result = current();
  if (!result) return null;
  const at = shownIndex();
  const kind =
    state.channel === null ? result.classes[at].name : `channel ${result.found.top[at][state.channel].channel}`;
  const name = `${stem(result.query.name)} - ${kind}`;
  const title = `${result.query.name}: ${SHARE.speaksFor(result.classes[at].name)}`;
  const grid = shownContents();
  if (state.mode !== "maps") {
    const panels = grid.flatMap(({ photo, size, map, name, says }) =>
      map && size ? [{ src: photo.src, source: photo.source, size, map, title: name, says }] : [],
    );
    return panels.length > 0 ? { name, title, panels } : null;
  }
  const beside = published();
  const panels = [panelOf(result, formOf(formNow()).label, shownMap())];
  if (beside) panels.unshift(panelOf(beside, formOf("fam").label, beside.found.maps[shownIndex(beside)]));
  return { name, title, panels: panels.filter(panel => panel !== null) };
}

/**
 * @param {Result} result
 * @param {string} label
 * @param {LensMap | null} map
 * @returns {Panel | null}
 */
function panelOf({ found, query, classes }, label, map) {
  if (!map) return null;
  const most = Math.max(...found.classes.map(({ similarity }) => Math.abs(similarity)), 1e-6);
  const scores = found.classes
    .map(({ similarity }, at) => ({ name: classes[at].name, similarity }))
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, 4)
    .map(({ name, similarity }) => `${name} ${similarity.toFixed(scoreDecimals(most))}`);
  // The verdict comes first, or what is said in place of a map that shows nothing.
  const verdict = map.says ?? (found.decision ? `${found.decision.headline}. ${found.decision.says}` : "");
  const says = `${verdict} ${found.score}: ${scores.join(", ")}`.trim();
  const range = page.look.own || !found.maps.includes(map) ? null : rangeOf(found.scale);
  return { src: query.src, source: query.source, size: found.query, map, title: label, says, range };
}

/** What an address needs to show the same. @param {string | null} set the example set that is on the page */
export function link(set) {
  const values = new URLSearchParams();
  if (set) values.set("example", set);
  if (set && state.query?.example) values.set("query", state.query.example);
  const picked = state.classes.find(({ key }) => key === state.picked);
  if (set && picked) values.set("class", picked.name);
  if (state.beside) values.set("beside", "true");
  values.set("look", JSON.stringify(page.look));
  for (const [name, value] of Object.entries({ ...page.choices, form: formNow() }))
    values.set(name, typeof value === "string" ? value : JSON.stringify(value));
  return values;
}

/** Quoted for a shell where that is needed. @param {string} text */
const quoted = text => (/^[\w./,=:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Options that the command line calls otherwise. @type {Record<string, string>} */
const FLAGS = { targets: "target", against: "logit", "methodOptions.seed": "method-seed" };

/** @param {string} name */
const flagOf = name =>
  `--${FLAGS[name] ?? (name.split(".").at(-1) ?? name).replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`;

/** The same on the command line and with famlens.js. */
export function code() {
  const { query } = state;
  if (!query) return null;
  const names = new Map(state.classes.flatMap(({ photos }) => photos.map(({ source, name }) => [source, name])));
  const classes = asked(state.classes).map(({ name, supports }) => ({
    name,
    supports: supports.map(source => names.get(source) ?? ""),
  }));
  /** @type {Record<string, unknown>} */
  const chosen = { ...page.choices, form: formNow() };
  const flags = Object.entries(chosen).flatMap(([name, value]) => {
    const flag = flagOf(name);
    if (value === true) return [flag];
    const logit = value && typeof value === "object" && "logit" in value ? value.logit : value;
    return [`${flag} ${quoted([logit].flat().join(","))}`];
  });
  const lines = [
    `--query ${quoted(query.name)}`,
    ...classes.map(({ name, supports }) => `--class ${quoted(`${name}=${supports.join(",")}`)}`),
    ...flags,
    "--out explained",
  ];
  const shell = `famlens explain ${lines.join(" \\\n  ")}`;
  const request = { query: query.name, classes, ...optionsNow() };
  const script =
    `import { createLens } from "./www/famlens.js";\nconst lens = await createLens();\n` +
    `const result = await lens.explain(${JSON.stringify(request, null, 2)});`;
  return { shell, script };
}
