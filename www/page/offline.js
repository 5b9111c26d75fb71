// The page without a network: registers the service worker (www/offline/worker.js) once there is time for it, tells of
// a new version, and says and deletes what it keeps.

import { hasRelaxedSimd } from "../lens/relaxed.js";
import { notify } from "./notices.js";
import { on, state } from "./state.js";
import { OFFLINE } from "./words.js";

/**
 * Where the build writes the service worker: beside the page. It is told which of the program's two files to keep.
 */
const address = new URL("sw.js", document.baseURI);
address.hash = "";
address.search = hasRelaxedSimd() ? "" : "plain";

/** What the names of its caches begin with. */
const OURS = "offline-famlens-";

/** The address as the page's policy wants it: this one and no other. @returns {string} */
function trusted() {
  const factory = /** @type {any} */ (globalThis).trustedTypes;
  if (!factory) return address.href;
  const only = (/** @type {string} */ url) => {
    if (url !== address.href) throw new TypeError("famlens has one service worker.");
    return url;
  };
  return factory.createPolicy("famlens-offline", { createScriptURL: only }).createScriptURL(address.href);
}

/** Begins when the first answer is there, so that it takes nothing away from it. */
export function mountOffline() {
  const { serviceWorker } = navigator;
  // Only pages of https and of this machine may have one.
  if (!serviceWorker || !isSecureContext) return;
  let begun = false;
  on(["lens", "took", "busy"], () => {
    if (begun || !state.lens || state.busy) return;
    begun = true;
    setTimeout(() => void register(serviceWorker).catch(() => {}), 1000);
  });
}

/** @param {ServiceWorkerContainer} container */
async function register(container) {
  const registration = await container.register(trusted(), { updateViaCache: "none" });
  if (registration.waiting) offer(registration.waiting, container);
  registration.addEventListener("updatefound", () => {
    const next = registration.installing;
    next?.addEventListener("statechange", () => {
      if (next.state !== "installed") return;
      if (container.controller) offer(next, container);
    });
  });
}

/** @param {ServiceWorker} next @param {ServiceWorkerContainer} container */
function offer(next, container) {
  const run = () => {
    container.addEventListener("controllerchange", () => location.reload(), { once: true });
    next.postMessage("take over");
  };
  notify({ text: OFFLINE.update, action: { label: OFFLINE.reload, run }, topic: "offline", lasting: true });
}

/** How many files are kept, for the list of what the browser keeps. */
export async function keptFiles() {
  if (!globalThis.caches) return 0;
  const names = (await caches.keys()).filter(name => name.startsWith(OURS));
  const counts = await Promise.all(names.map(async name => (await (await caches.open(name)).keys()).length));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Deletes them, with the service worker. */
export async function forgetFiles() {
  const registration = await navigator.serviceWorker?.getRegistration(address);
  await registration?.unregister();
  for (const name of await caches.keys()) if (name.startsWith(OURS)) await caches.delete(name);
}
