// The address's hash: the task that is shown and what it keeps there (`#pair`, `#gallery?k=5`).

import { state } from "./state.js";

/** The task that the address names, as it stands there; empty if it names none. */
export const namedTask = () => location.hash.slice(1).split("?")[0];

/** The part of the hash after the task: what the task keeps in the address. */
export function parameters() {
  return new URLSearchParams(location.hash.split("?")[1] ?? "");
}

/**
 * Keeps a task's parameters in the address, without a step in the history. Nothing happens while another task is shown.
 * @param {string} task
 * @param {URLSearchParams} values
 */
export function keepParameters(task, values) {
  if (state.view !== task) return;
  const text = values.toString();
  if (!text && !location.hash) return;
  history.replaceState(history.state, "", `#${task}${text ? `?${text}` : ""}`);
}
