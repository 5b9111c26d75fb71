// The model's name in the bar, which is always there; the room opens under it.

import { byId } from "../dom.js";
import { on, state } from "../state.js";
import { onModels, running } from "./models.js";
import { mountRoom } from "./room.js";

export function mountModel() {
  const button = byId("model-button", HTMLButtonElement);
  mountRoom();
  const show = () => {
    const name = state.info?.model.name ?? running().name;
    byId("model-name", HTMLElement).textContent = name;
    // In a narrow window the button is its icon alone.
    button.setAttribute("aria-label", `Model: ${name}`);
    button.title = name;
  };
  on(["info", "failed"], show);
  onModels(show);
}
