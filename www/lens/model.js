// Fetching a model: its manifest, then its weights with progress in bytes, checked against what the manifest says they are.

import { Failure } from "./failure.js";

/**
 * @param {{url: string} | {manifest: object | string, bytes: ArrayBuffer | Uint8Array | Blob}} where
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<{manifest: string, bytes: Uint8Array}>}
 */
export async function loadModel(where, onProgress) {
  if (!("url" in where)) {
    const manifest = typeof where.manifest === "string" ? where.manifest : JSON.stringify(where.manifest);
    const bytes = where.bytes instanceof Blob ? await where.bytes.arrayBuffer() : where.bytes;
    return { manifest, bytes: bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes) };
  }
  const manifestUrl = where.url.endsWith(".json") ? where.url : `${where.url.replace(/\/$/, "")}/model.json`;
  const manifest = await fetchText(manifestUrl);
  const { file, bytes: size, sha256 } = parse(manifest, manifestUrl);
  const bytes = await download(new URL(file, manifestUrl).href, size ?? 0, onProgress);
  await check(bytes, sha256);
  return { manifest, bytes };
}

/** @param {string} url */
async function fetchText(url) {
  const response = await fetch(url).catch(() => null);
  if (response && !response.ok) throw missing(url, response);
  const text = await response?.text().catch(() => null);
  if (typeof text !== "string") throw new Failure("network", "The download of the model did not start. Check the connection and try again.");
  return text;
}

/**
 * @param {string} url
 * @param {Response} response
 */
function missing(url, { status }) {
  return new Failure("network", `The model is not at ${url} (the server answered ${status}).`);
}

/**
 * @param {string} manifest
 * @param {string} url
 * @returns {{file: string, bytes?: number, sha256?: string}}
 */
function parse(manifest, url) {
  try {
    const parsed = JSON.parse(manifest);
    if (typeof parsed.file === "string") return parsed;
  } catch {
    // Told below: not JSON and JSON of another kind need the same remedy.
  }
  throw new Failure("manifest", `${url} is not the description of a model (a model.json that names the file with the weights).`);
}

/**
 * @param {string} url
 * @param {number} size in bytes, 0 if unknown
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<Uint8Array>}
 */
async function download(url, size, onProgress) {
  /** @type {Uint8Array[]} */
  const parts = [];
  let loaded = 0;
  try {
    const response = await fetch(url);
    if (!response.ok) throw missing(url, response);
    // Content-Length counts compressed bytes, if there is compression; the manifest's own figure is exact.
    const total = size || (response.headers.has("content-encoding") ? 0 : Number(response.headers.get("content-length") ?? 0));
    onProgress(0, total);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      loaded += part.value.length;
      onProgress(loaded, total);
    }
    if (size && loaded !== size) throw new Error("cut off");
  } catch (error) {
    if (error instanceof Failure) throw error;
    const of = size ? ` of ${megabytes(size)}` : "";
    const how = loaded > 0 ? `stopped at ${megabytes(loaded)}${of}` : "did not start";
    throw new Failure("network", `The download of the model ${how}. Check the connection and try again.`);
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * @param {Uint8Array} bytes
 * @param {string | undefined} sha256
 */
async function check(bytes, sha256) {
  // Browsers offer digests to secure pages only; elsewhere the length has to do.
  if (!sha256 || !globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (bytes)));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256) throw new Failure("network", "The model arrived damaged: it is not the file its description names. Try again.");
}
