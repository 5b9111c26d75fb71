// Small numeric helpers.

/** Pearson correlation of two sequences of equal length. */
export function pearson(a, b) {
  const mean = x => x.reduce((sum, value) => sum + value, 0) / x.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) ** 2;
    bb += (b[i] - mb) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Sum of a sequence of numbers. */
export function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}

/** Cosine of two vectors of equal length. */
export function cosine(a, b) {
  const dot = (x, y) => x.reduce((total, value, i) => total + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Whether `[x, y]` lies in `[x0, y0, x1, y1]`. */
export function inBox([x, y], [x0, y0, x1, y1]) {
  return x >= x0 && x <= x1 && y >= y0 && y <= y1;
}

/** Middle value; the mean of the two middle ones for an even count. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
