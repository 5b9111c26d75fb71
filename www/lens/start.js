// Starting the worker so that the page's content security policy binds it.
//
// A worker loaded from the network takes its policy from its own response: a page with its policy in a <meta> element,
// or a host that sends the header with HTML alone, would leave the worker free, and the worker is what holds the
// photos. A worker started from a blob: inherits the policy of the page that starts it. So the worker is a blob of one
// line that imports the real module; browsers also start such a worker for a module of another origin.
//
// where.js says where that module is, in the form that bundlers follow for any file: they copy the worker as it is and
// put the new address in its place. (The form that they know for workers, `new Worker(new URL(...))`, would leave no
// address for the blob.) The npm package has the worker in one file, so that copying it is enough.

import { LensError } from "./errors.js";
import { programAt, workerAt } from "./where.js";

/** @typedef {{createScriptURL: (url: string) => string}} Policy */

/** A page may make a policy of a name once, and it may hold this module twice: in a bundle and beside it. */
const POLICY = Symbol.for("famlens.policy");
const shared = /** @type {Record<symbol, Policy | undefined>} */ (/** @type {unknown} */ (globalThis));

/**
 * The address of a blob as pages under `require-trusted-types-for 'script'` need it. The policy lets nothing but blobs
 * through.
 * @param {string} url
 */
function trusted(url) {
  const factory = /** @type {any} */ (globalThis).trustedTypes;
  if (!factory) return url;
  try {
    shared[POLICY] ??= factory.createPolicy("famlens", {
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
  return /** @type {Policy} */ (shared[POLICY]).createScriptURL(url);
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

/**
 * Fails where there are no workers and no page to start them from.
 * @throws {LensError} `environment`
 */
function needPage() {
  if (typeof Worker === "function" && typeof document === "object") return;
  throw new LensError(
    "environment",
    "famlens runs in a browser's page: createLens needs Worker and document, which are not here. Where a page is " +
      "rendered on a server, call createLens in the browser only, such as in onMount or useEffect. In Node.js, use " +
      "the command line (cargo install famlens).",
  );
}

/** A worker that was started before anybody asked for it, and has not failed. @type {Worker | null} */
let early = null;

/**
 * Starts the first worker now, with the program and these files on their way to it. Whoever starts the next worker gets
 * this one. Where it cannot start, the next one tells why.
 * @param {{url: string, what: string}[]} files
 */
export function startEarly(files) {
  try {
    const worker = startWorker();
    worker.addEventListener("error", () => {
      if (early === worker) early = null;
    });
    worker.postMessage({ id: 0, op: "begin", args: { program: programAt(), files } });
    early = worker;
  } catch {
    // The same happens to the next one, and somebody waits for that.
  }
}

/**
 * Starts a worker.
 * @param {string | null} [address] its module, where it is not the one that where.js names
 * @returns {Worker}
 * @throws {LensError} `policy` if the page's policy does not let it start, `environment` where there is no page
 */
export function startWorker(address = null) {
  needPage();
  if (early && address === null) {
    const worker = early;
    early = null;
    return worker;
  }
  return new Worker(trusted(blobThatImports(address ?? workerAt())), { type: "module", name: "famlens" });
}

/**
 * Calls `refused` if the page's policy stops workers from blobs. Browsers tell that by an event of the document and not
 * by the worker's.
 * @param {(error: LensError) => void} refused
 * @returns {() => void} ends the watch
 */
export function watchPolicy(refused) {
  needPage();
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
