// The service worker: after one visit the page opens without a network. `cargo xtask build` writes it beside index.html
// as sw.js, with a line before it that names the version and the files of the page:
//
//   const PAGE = { version: "...", files: ["index.html", ...] };
//
// It keeps those files and the models that were chosen, and nothing else: a user's photos are never requests.

/* global PAGE */

const OURS = "offline-famlens-";
const CACHE = `${OURS}${PAGE.version}`;
const HERE = new URL("./", self.location.href).href;
/** Of the program's two files, the one that this browser does not load (www/lens/relaxed.js). */
const OTHER = self.location.search === "?plain" ? "/famlens_bg.wasm" : "/famlens_plain_bg.wasm";

self.addEventListener("install", event => {
  // The browser's own cache has them since the page was loaded; a new version must not be mixed with it.
  const files = PAGE.files.filter(file => !file.endsWith(OTHER));
  const fresh = files.map(file => new Request(new URL(file, HERE), { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then(cache => cache.addAll(fresh)));
});

self.addEventListener("activate", event => event.waitUntil(takeOver()));

/** Goes on with this version alone. */
async function takeOver() {
  for (const name of await caches.keys()) {
    if (!name.startsWith(OURS) || name === CACHE) continue;
    await caches.delete(name);
  }
  await self.clients.claim();
}

self.addEventListener("message", event => {
  if (event.data === "take over") self.skipWaiting();
});

self.addEventListener("fetch", event => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(HERE)) return;
  event.respondWith(answer(request));
});

/** @param {Request} request */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const wanted = request.mode === "navigate" ? new URL("index.html", HERE).href : request.url;
  const known = await cache.match(wanted, { ignoreSearch: true });
  if (known) return known;
  const found = await fetch(request);
  if (found.ok && request.url.startsWith(`${HERE}models/`)) await cache.put(request, found.clone()).catch(() => {});
  return found;
}
