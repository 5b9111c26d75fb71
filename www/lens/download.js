// Downloads that end: whole, or with a message once the server has been silent for a while. Slow is not stalled: every
// byte that arrives starts the wait anew.

import { Failure } from "./failure.js";

/** Seconds without a byte after which a download is given up, unless {@link setStall} was told otherwise. */
let stall = 30;

/** @param {number} seconds */
export function setStall(seconds) {
  stall = seconds;
}

/** How long a download may be silent at present, in seconds. */
export const stallSeconds = () => stall;

/** @param {number} bytes */
const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * By XMLHttpRequest, since Chromium now and then counts a streamed fetch as aborted when its last bytes are read, and
 * then does not cache it.
 *
 * @param {string} url
 * @param {{what: string, size?: number, onProgress?: (loaded: number, total: number) => void}} about `what` it is, for
 *   messages; `size` in bytes, if it is known
 * @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, type: string}>}
 * @throws {Failure} `network`
 */
export function download(url, { what, size = 0, onProgress = () => {} }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let loaded = 0;
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        end(`nothing arrived for ${stall} seconds`);
        request.abort();
      }, stall * 1000);
    };
    const fail = (/** @type {string} */ message) => {
      clearTimeout(timer);
      reject(new Failure("network", message));
    };
    const end = (/** @type {string} */ why) => {
      const how =
        loaded > 0 ? `stopped at ${megabytes(loaded)}${size ? ` of ${megabytes(size)}` : ""}` : "did not start";
      fail(`The download of the ${what} from ${url} ${how}${why && `: ${why}`}. Check the connection and try again.`);
    };
    request.responseType = "arraybuffer";
    request.onprogress = event => {
      wait();
      loaded = event.loaded;
      // A size that is known is exact; the server's is that of compressed bytes or missing.
      onProgress(loaded, size || (event.lengthComputable ? event.total : 0));
    };
    request.onreadystatechange = wait;
    request.onerror = request.onabort = request.ontimeout = () => end("");
    request.onload = () => {
      clearTimeout(timer);
      if (request.status !== 0 && (request.status < 200 || request.status > 299))
        return fail(`The ${what} is not at ${url} (the server answered ${request.status}).`);
      const bytes = new Uint8Array(request.response ?? new ArrayBuffer(0));
      loaded = bytes.length;
      if (size && loaded !== size) return end("it is not as long as its description says");
      onProgress(loaded, loaded);
      resolve({ bytes, type: request.getResponseHeader("content-type") ?? "" });
    };
    try {
      request.open("GET", url);
      request.send();
    } catch (error) {
      return fail(`The ${what} cannot be fetched from ${url} (${error instanceof Error ? error.message : error}).`);
    }
    wait();
    onProgress(0, size);
  });
}

/**
 * Rejects when something takes too long: a piece of a download, or what cannot be watched, such as an import.
 * @template T
 * @param {Promise<T>} work
 * @param {number} seconds
 * @param {string} what it is that is being loaded
 * @returns {Promise<T>}
 */
export function inTime(work, seconds, what) {
  const why = `nothing arrived for ${seconds} seconds`;
  const message = `The ${what} could not be loaded: ${why}. Check the connection and try again.`;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failure("network", message)), seconds * 1000);
  });
  return Promise.race([work, /** @type {Promise<T>} */ (late)]).finally(() => clearTimeout(timer));
}
