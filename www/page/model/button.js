// The model's name in the bar; the room opens under it.

import { byId } from "../dom.js";
import { on, state } from "../state.js";
import { mountRoom } from "./room.js";

export function mountModel() {
  const button = byId("model-button", HTMLButtonElement);
  mountRoom();
  on(["info"], () => {
    const model = state.info?.model;
    button.hidden = !model;
    if (!model) return;
    byId("model-name", HTMLElement).textContent = model.name;
    // In a narrow window the button is its icon alone.
    button.setAttribute("aria-label", model.name);
    button.title = model.name;
  });
}
