// Fetching a model: its manifest, then its weights with progress in bytes, checked against what the manifest says they
// are.

import { fetched } from "./begun.js";
import { sha256 } from "./digest.js";
import { Failure } from "./failure.js";

/**
 * The statistics of a model for its class-specific forms: where they are, or what they are.
 * @typedef {{url: string, sha256: string} | {bytes: Uint8Array}} StatisticsFile
 */

/**
 * @typedef {"stored" | "int8"} Weights how weights are held in memory: as the file has them, or float ones as int8
 * `file` and `statistics` say where these are, where it is not the place that the description at `url` names.
 * `external` has the files beside the ONNX file that hold its weights (`external_data`), by their names.
 * @typedef {({url: string, file?: string, statistics?: string} | {manifest: object | string, bytes: ArrayBuffer |
 *   Uint8Array | Blob, statistics?: ArrayBuffer | Uint8Array | Blob,
 *   external?: Record<string, ArrayBuffer | Uint8Array | Blob>}) & {weights?: Weights}} Source
 */

/**
 * What belongs to a model, read.
 * @typedef {{manifest: string, bytes: Uint8Array, statistics: StatisticsFile | null,
 *   external: Map<string, Uint8Array>}} Files
 */

/**
 * @param {Source} where `weights` goes before what the manifest says
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<Files>}
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
 * @returns {Promise<Files>}
 */
async function loadFiles(where, onProgress) {
  if (!("url" in where)) {
    const manifest = typeof where.manifest === "string" ? where.manifest : JSON.stringify(where.manifest);
    const external = new Map();
    for (const [name, data] of Object.entries(where.external ?? {})) external.set(baseName(name), await toBytes(data));
    return {
      manifest,
      bytes: await toBytes(where.bytes),
      statistics: where.statistics ? { bytes: await toBytes(where.statistics) } : null,
      external,
    };
  }
  const manifestUrl = where.url.endsWith(".json") ? where.url : `${where.url.replace(/\/$/, "")}/model.json`;
  const manifest = new TextDecoder().decode((await fetched(manifestUrl, { what: "description of the model" })).bytes);
  const { file, bytes: size, sha256: expected, class_specific: specific } = parse(manifest, manifestUrl);
  const { bytes } = await fetched(where.file ?? new URL(file, manifestUrl).href, {
    what: "model",
    size: size ?? 0,
    onProgress,
  });
  await check(bytes, expected, "model");
  const statistics = specific?.statistics
    ? { url: where.statistics ?? new URL(specific.statistics, manifestUrl).href, sha256: specific.sha256 ?? "" }
    : null;
  return { manifest, bytes, statistics, external: new Map() };
}

/** A file's name without the folders before it. @param {string} path */
const baseName = path => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);

/**
 * The bytes of a model, with the weights that lie in the files given beside it.
 * @param {Files} files
 * @param {(bytes: Uint8Array, load: (name: string) => Uint8Array | undefined) => Uint8Array} join
 */
export const wholeModel = ({ bytes, external }, join) =>
  external.size === 0 ? bytes : join(bytes, name => external.get(baseName(name)));

/** Twice to three times a model's size is needed while it is read, and WebAssembly has 4 GB. */
const LARGEST_FILE = 2 ** 30;

/** @param {ArrayBuffer | Uint8Array | Blob} data */
async function toBytes(data) {
  const size = data instanceof Blob ? data.size : data.byteLength;
  if (size > LARGEST_FILE) {
    throw new Failure(
      "too_large",
      `The file has ${(size / 1e9).toFixed(1)} GB, and a browser has room for models of ` +
        `${(LARGEST_FILE / 1e9).toFixed(1)} GB. Make it smaller (famlens quantize), or use the command line.`,
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
  const { bytes } = await fetched(url, { what: `model's ${what}` });
  await check(bytes, expected, what);
  return bytes;
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
    `The file at ${url} is not the description of a model (a model.json that names the file with the weights).`,
  );
}

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
