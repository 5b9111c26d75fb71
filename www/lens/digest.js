// SHA-256 in hexadecimal, which files and downloads are known by.

/**
 * @param {BufferSource} bytes
 * @returns {Promise<string | null>} null where the browser has no digests: it offers them to secure pages only
 */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, byte => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * What a content is known by: its digest or, where there are no digests, a name of its own, so that equal images are
 * simply held twice.
 * @param {BufferSource} bytes
 */
export async function contentKey(bytes) {
  return (await sha256(bytes)) ?? `unnamed ${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
}
