// The channels that contribute most to the shown class, each with its own activation map.

import { el, roving } from "../dom.js";
import { on, set, shownClass, shownIndex, state } from "./state.js";
import { trouble } from "../engine.js";
import { drawThumb, thumb } from "../thumb.js";
import { state as page } from "../state.js";
import { parts } from "./markup.js";
import { FEW_SHOT } from "../words.js";

/** @import { Result } from "./state.js" */

/** @type {AbortController | null} */
let drawing = null;
let drawn = "";

export function mountChannels() {
  roving(parts.channels, "button");
  on(["result", "picked"], show);
  on(["channelMaps"], () => void draw());
  on(["look"], () => {
    parts.channels.style.setProperty("--map-opacity", String(Math.max(0.55, page.look.opacity)));
    if (drawnLook() !== drawn) void draw();
  });
  on(["channel"], mark);
}

function show() {
  const { result } = state;
  const shown = shownClass();
  const says = parts.channelsSays;
  // Forms that weigh cells and not channels have none.
  const top = result?.found.top[shownIndex()] ?? [];
  parts.channelsCard.hidden = top.length === 0;
  if (!result || !shown || top.length === 0) {
    parts.channels.replaceChildren();
    says.textContent = "";
    return;
  }
  const carried = top.reduce((sum, { share }) => sum + share, 0);
  says.replaceChildren(
    `These ${top.length} of ${result.found.channels} channels carry `,
    el("strong", {}, percent(carried)),
    result.found.form === "fam" ? ` of the similarity to ${shown.name}.` : ` of what speaks for ${shown.name}.`,
    " They fire in this photo.",
    silent(result, shown.name),
  );
  parts.channels.replaceChildren(
    ...top.map(({ channel, share }, place) => {
      const { box } = thumb(result.query.src, "");
      const button = el(
        "button",
        {
          type: "button",
          class: "channel",
          "data-testid": "channel",
          "aria-label": `Channel ${channel}, ${percent(share)}`,
          title: `Channel ${channel}`,
          tabindex: place === 0 ? "0" : "-1",
          onclick: () => set({ channel: state.channel === place ? null : place }),
        },
        box,
        el("span", { class: "channel-share" }, percent(share)),
      );
      return el("li", {}, button);
    }),
  );
  mark();
}

/** What speaks for a class by being absent, said because no picture of this photo can show it. */
function silent(/** @type {Result} */ result, /** @type {string} */ name) {
  const { contributions, present } = result.found;
  if (present.length === 0) return "";
  let [absent, all] = [0, 0];
  for (const [channel, value] of contributions[shownIndex()].entries()) {
    if (value <= 0) continue;
    all += value;
    if (present[channel] <= 0) absent += value;
  }
  const share = all === 0 ? 0 : absent / all;
  return share < 0.005 ? "" : ` ${FEW_SHOT.silent(percent(share), name)}`;
}

function mark() {
  for (const [place, button] of parts.channels.querySelectorAll("button").entries()) {
    button.setAttribute("aria-pressed", String(place === state.channel));
    if (state.channel !== null) button.tabIndex = place === state.channel ? 0 : -1;
  }
}

async function draw() {
  drawing?.abort();
  const { result, channelMaps } = state;
  drawn = drawnLook();
  if (!result || channelMaps.length === 0) return;
  drawing = new AbortController();
  const { signal } = drawing;
  const canvases = parts.channels.querySelectorAll("canvas");
  try {
    for (const [place, map] of channelMaps.entries())
      if (canvases[place]) await drawThumb(canvases[place], result.query.source, map, signal);
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

const drawnLook = () => `${page.look.colormap} ${page.look.fade}`;

/** @param {number} share */
const percent = share => `${(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)} %`;
