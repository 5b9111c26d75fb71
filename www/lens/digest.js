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
