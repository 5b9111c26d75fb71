// Fetching a model: its manifest, then its weights with progress in bytes, checked against what the manifest says they are.

import { sha256 } from "./digest.js";
import { Failure } from "./failure.js";

/**
 * The statistics of a model for its class-specific forms: where they are, or what they are.
 * @typedef {{url: string, sha256: string} | {bytes: Uint8Array}} StatisticsFile
 */

/**
 * @typedef {"stored" | "int8"} Weights how weights are held in memory: as the file has them, or float ones as int8
 * @typedef {({url: string} | {manifest: object | string, bytes: ArrayBuffer | Uint8Array | Blob, statistics?: ArrayBuffer | Uint8Array | Blob}) & {weights?: Weights}} Source
 */

/**
 * @param {Source} where `weights` goes before what the manifest says
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<{manifest: string, bytes: Uint8Array, statistics: StatisticsFile | null}>}
 */
export async function loadModel(where, onProgress) {
  const { manifest, ...files } = await loadFiles(where, onProgress);
  if (!where.weights) return { manifest, ...files };
  try {
    return { manifest: JSON.stringify({ ...JSON.parse(manifest), weights: where.weights }), ...files };
  } catch {
    // What is wrong with it is told where it is read.
    return { manifest, ...files };
  }
}

/**
 * @param {Source} where
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<{manifest: string, bytes: Uint8Array, statistics: StatisticsFile | null}>}
 */
async function loadFiles(where, onProgress) {
  if (!("url" in where)) {
    const manifest = typeof where.manifest === "string" ? where.manifest : JSON.stringify(where.manifest);
    return {
      manifest,
      bytes: await toBytes(where.bytes),
      statistics: where.statistics ? { bytes: await toBytes(where.statistics) } : null,
    };
  }
  const manifestUrl = where.url.endsWith(".json") ? where.url : `${where.url.replace(/\/$/, "")}/model.json`;
  const manifest = await fetchText(manifestUrl);
  const { file, bytes: size, sha256: expected, class_specific: specific } = parse(manifest, manifestUrl);
  const bytes = await download(new URL(file, manifestUrl).href, size ?? 0, onProgress);
  await check(bytes, expected, "model");
  const statistics = specific?.statistics
    ? { url: new URL(specific.statistics, manifestUrl).href, sha256: specific.sha256 ?? "" }
    : null;
  return { manifest, bytes, statistics };
}

/** Twice to three times a model's size is needed while it is read, and WebAssembly has 4 GB. */
const LARGEST_FILE = 2 ** 30;

/** @param {ArrayBuffer | Uint8Array | Blob} data */
async function toBytes(data) {
  const size = data instanceof Blob ? data.size : data.byteLength;
  if (size > LARGEST_FILE) {
    throw new Failure(
      "too_large",
      `The file has ${(size / 1e9).toFixed(1)} GB, and a browser has room for models of ${(LARGEST_FILE / 1e9).toFixed(1)} GB. Make it smaller (famlens quantize), or use the command line.`,
    );
  }
  const bytes = data instanceof Blob ? await data.arrayBuffer() : data;
  return bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
}

/**
 * A small file of the model.
 * @param {string} url
 * @param {string} expected its SHA-256, empty if unknown
 * @param {string} what
 */
export async function fetchFile(url, expected, what) {
  const response = await fetch(url).catch(() => null);
  if (response && !response.ok)
    throw new Failure(
      "network",
      `The ${what} of the model are not at ${url} (the server answered ${response.status}).`,
    );
  const data = await response?.arrayBuffer().catch(() => null);
  if (!data)
    throw new Failure(
      "network",
      `The download of the model's ${what} did not work. Check the connection and try again.`,
    );
  const bytes = new Uint8Array(data);
  await check(bytes, expected, what);
  return bytes;
}

/** @param {string} url */
async function fetchText(url) {
  const response = await fetch(url).catch(() => null);
  if (response && !response.ok) throw missing(url, response);
  const text = await response?.text().catch(() => null);
  if (typeof text !== "string")
    throw new Failure("network", "The download of the model did not start. Check the connection and try again.");
  return text;
}

/**
 * @param {string} url
 * @param {{status: number}} response
 */
function missing(url, { status }) {
  return new Failure("network", `The model is not at ${url} (the server answered ${status}).`);
}

/**
 * @param {string} manifest
 * @param {string} url
 * @returns {{file: string, bytes?: number, sha256?: string, class_specific?: {statistics?: string, sha256?: string}}}
 */
function parse(manifest, url) {
  try {
    const parsed = JSON.parse(manifest);
    if (typeof parsed.file === "string") return parsed;
  } catch {
    // Told below: not JSON and JSON of another kind need the same remedy.
  }
  throw new Failure(
    "manifest",
    `${url} is not the description of a model (a model.json that names the file with the weights).`,
  );
}

/**
 * By XMLHttpRequest, since Chromium now and then counts a streamed fetch as aborted when its last bytes are read, and then does not cache it.
 * @param {string} url
 * @param {number} size in bytes, 0 if unknown
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<Uint8Array>}
 */
function download(url, size, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let loaded = 0;
    const stopped = () => {
      const how =
        loaded > 0 ? `stopped at ${megabytes(loaded)}${size ? ` of ${megabytes(size)}` : ""}` : "did not start";
      reject(new Failure("network", `The download of the model ${how}. Check the connection and try again.`));
    };
    request.responseType = "arraybuffer";
    request.onprogress = event => {
      loaded = event.loaded;
      // The manifest's figure is exact, the server's is that of compressed bytes or missing.
      onProgress(loaded, size || (event.lengthComputable ? event.total : 0));
    };
    request.onerror = request.onabort = request.ontimeout = stopped;
    request.onload = () => {
      if (request.status < 200 || request.status > 299) return reject(missing(url, request));
      const bytes = new Uint8Array(request.response ?? new ArrayBuffer(0));
      loaded = bytes.length;
      if (size && loaded !== size) return stopped();
      onProgress(loaded, loaded);
      resolve(bytes);
    };
    request.open("GET", url);
    request.send();
    onProgress(0, size);
  });
}

/** @param {number} bytes */
const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * @param {Uint8Array} bytes
 * @param {string | undefined} expected
 * @param {string} what
 */
async function check(bytes, expected, what) {
  if (!expected) return;
  const found = await sha256(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  // Where there are no digests the length has to do.
  if (found !== null && found !== expected)
    throw new Failure(
      "network",
      `The ${what === "model" ? "model" : `model's ${what}`} arrived damaged, not as the description says. Try again.`,
    );
}
