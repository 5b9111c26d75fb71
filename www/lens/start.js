// Starting the worker so that the page's content security policy binds it.
//
// A worker loaded from the network takes its policy from its own response: a page with its policy in a <meta> element,
// or a host that sends the header with HTML alone, would leave the worker free, and the worker is what holds the
// photos. A worker started from a blob: inherits the policy of the page that starts it. So the worker is a blob of one
// line that imports the real module; browsers also start such a worker for a module of another origin.
//
// Bundlers read `new Worker(new URL("../worker.js", import.meta.url), { type: "module" })` and put the address of their
// own file there, which only that very expression gets. So it stands below as it is, for bundles. Its worker is bound
// by the header that its file is sent with; whoever wants it to inherit the policy passes the address of the bundled
// file as `createLens({ worker })`.

import { LensError } from "./errors.js";

/** @type {{createScriptURL: (url: string) => string} | null} */
let policy = null;

/**
 * The address of a blob as pages under `require-trusted-types-for 'script'` need it. The policy lets nothing but blobs
 * through.
 * @param {string} url
 */
function trusted(url) {
  const factory = /** @type {any} */ (globalThis).trustedTypes;
  if (!factory) return url;
  try {
    policy ??= factory.createPolicy("famlens", {
      createScriptURL(/** @type {string} */ url) {
        if (!url.startsWith("blob:")) throw new TypeError("famlens starts workers from blobs only.");
        return url;
      },
    });
  } catch {
    throw new LensError(
      "policy",
      "This page's content security policy lacks trusted-types famlens; see docs/privacy.md.",
    );
  }
  return /** @type {NonNullable<typeof policy>} */ (policy).createScriptURL(url);
}

/**
 * Blobs by the module that they import; each is made once and lives as long as the page.
 * @type {Map<string, string>}
 */
const blobs = new Map();

/** @param {string} module */
function blobThatImports(module) {
  let url = blobs.get(module);
  if (!url) {
    url = URL.createObjectURL(new Blob([`import ${JSON.stringify(module)};`], { type: "text/javascript" }));
    blobs.set(module, url);
  }
  return url;
}

/** The worker's file where this module lies as it was written; null in a bundle, where it is somewhere else. */
function unbundledWorker() {
  const here = import.meta.url;
  const { protocol, pathname } = new URL(here);
  if (protocol === "file:" || !pathname.endsWith("/lens/start.js")) return null;
  // Not written as one expression, which bundlers would take for a file to copy.
  return new URL("../worker.js", here).href;
}

/**
 * Starts a worker.
 * @param {string | null} [address] its module, where it is not the one beside this module
 * @returns {Worker}
 * @throws {LensError} `policy` if the page's policy does not let it start
 */
export function startWorker(address = null) {
  const module = address ?? unbundledWorker();
  if (module === null) return new Worker(new URL("../worker.js", import.meta.url), { type: "module", name: "famlens" });
  return new Worker(trusted(blobThatImports(module)), { type: "module", name: "famlens" });
}

/**
 * Calls `refused` if the page's policy stops workers from blobs. Browsers tell that by an event of the document and not
 * by the worker's.
 * @param {(error: LensError) => void} refused
 * @returns {() => void} ends the watch
 */
export function watchPolicy(refused) {
  const told = (/** @type {SecurityPolicyViolationEvent} */ event) => {
    if (event.disposition === "enforce" && event.blockedURI === "blob" && event.effectiveDirective === "worker-src")
      refused(
        new LensError(
          "policy",
          "This page's content security policy does not let famlens start its worker: it needs worker-src blob:. " +
            "See docs/privacy.md.",
        ),
      );
  };
  document.addEventListener("securitypolicyviolation", told);
  return () => document.removeEventListener("securitypolicyviolation", told);
}
