// What a random view did to a photo, in words.

/** @param {import("../../famlens.js").ViewParameters} view */
export function parametersText({ crop, flip, jitter, grey, blur }) {
  const parts = [];
  if (crop)
    parts.push(
      `crop ${Math.round(crop[2] - crop[0])} × ${Math.round(crop[3] - crop[1])} at ${Math.round(crop[0])}, ` +
        `${Math.round(crop[1])}`,
    );
  if (flip) parts.push("flipped");
  if (jitter) {
    const degrees = Math.round(360 * jitter.hue);
    parts.push(
      `brightness × ${jitter.brightness.toFixed(2)}`,
      `contrast × ${jitter.contrast.toFixed(2)}`,
      `saturation × ${jitter.saturation.toFixed(2)}`,
      `hue ${degrees >= 0 ? "+" : "−"}${Math.abs(degrees)}°`,
    );
  }
  if (grey) parts.push("grey");
  if (blur) parts.push(`blur ${blur.toFixed(1)} px of 224`);
  return parts.length > 0 ? parts.join(" · ") : "as it is";
}
