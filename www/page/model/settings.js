// What the page asks about a model of the user's: the settings that `model.json` has and an ONNX file does not.

/**
 * @typedef {[number, number, number]} Triple one value for each of R, G, B, in units of 0 to 255
 * @typedef {{id: string, label: string, mean: Triple, std: Triple}} Preset
 *
 * @typedef {{height: number, width: number}} Size in pixels
 *
 * `size` null is that of the file, an empty `target` the best layer that the library finds; `mean` and `std` null are
 * what the library takes from the file. `channels` is empty for those that the file has. `resize` is what a photo's
 * shorter side is scaled to before its centre is cut out, `fill` the colour around it in a letterbox; null for the
 * largest part and for the mean. An empty `pooling` leaves it to the library.
 * @typedef {{name: string, size: Size | null, stride: number, geometry: string, resize: number | null, fill: Triple |
 *   null, channels: string, mean: Triple | null, std: Triple | null, target: string, pooling: string, weights: string}}
 *   Settings
 *
 * A model.json as an object. What the page does not ask about stays as it was.
 * @typedef {Record<string, any>} Manifest
 */

/** @param {number[]} values in units of 0 to 1 @returns {Triple} */
const bytes = values => /** @type {Triple} */ (values.map(value => Number((value * 255).toFixed(4))));

/** How models are commonly fed; the first is the one to begin with. @type {Preset[]} */
export const PRESETS = [
  {
    id: "imagenet",
    label: "ImageNet (torchvision, timm, DINO)",
    mean: bytes([0.485, 0.456, 0.406]),
    std: bytes([0.229, 0.224, 0.225]),
  },
  {
    id: "clip",
    label: "CLIP",
    mean: bytes([0.48145466, 0.4578275, 0.40821073]),
    std: bytes([0.26862954, 0.26130258, 0.27577711]),
  },
  { id: "signed", label: "-1 to 1", mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5] },
  { id: "unit", label: "0 to 1", mean: [0, 0, 0], std: [255, 255, 255] },
  { id: "shipped", label: "As the models that come with famlens", mean: [127, 127, 127], std: [128, 128, 128] },
];

export const GEOMETRIES = [
  { name: "squash", label: "Stretched to the input" },
  { name: "crop", label: "Largest centred part" },
  { name: "letterbox", label: "Whole, with a border" },
  { name: "aspect", label: "In its own proportions" },
];

export const CHANNELS = [
  { name: "", label: "As the file has them" },
  { name: "rgb", label: "Red, green, blue" },
  { name: "bgr", label: "Blue, green, red" },
  { name: "grey", label: "Grey" },
];

export const POOLINGS = [
  { name: "", label: "As the network ends" },
  { name: "gap", label: "Average" },
  { name: "gmp", label: "Maximum" },
  { name: "gem", label: "Generalised mean (GeM)" },
  { name: "crow", label: "CroW" },
  { name: "model", label: "The model's own embedding" },
];

/** The preset with these numbers, if there is one. @param {Pick<Settings, "mean" | "std">} settings */
export const presetOf = ({ mean, std }) =>
  (mean && std && PRESETS.find(preset => near(preset.mean, mean) && near(preset.std, std))) || null;

/** @param {Triple} a @param {Triple} b */
const near = (a, b) => a.every((value, at) => Math.abs(value - b[at]) < 0.05);

/**
 * What to begin with for a file, by the `model.json` that came with it. A file that is called what every export calls
 * it says less than its folder.
 * @param {string} file
 * @param {Manifest | null} manifest
 * @param {string | null} [folder] the name of the one it came in, if that is known
 * @returns {Settings}
 */
export function settingsOf(file, manifest, folder = null) {
  const stem = file.replace(/\.onnx$/i, "");
  const input = manifest?.input ?? {};
  return {
    name: String(manifest?.name ?? (/^model$/i.test(stem) ? folder : null) ?? stem),
    size: sizeOf(input),
    stride: Number.isFinite(input.stride) ? input.stride : 32,
    geometry: String(input.geometry ?? "squash"),
    resize: Number.isFinite(input.resize) ? input.resize : null,
    fill: triple(input.fill),
    channels: String(input.channels ?? ""),
    mean: triple(input.mean),
    std: triple(input.std),
    target: String(manifest?.target ?? ""),
    pooling: String(manifest?.pooling ?? ""),
    weights: String(manifest?.weights ?? "stored"),
  };
}

/** The size in the "input" of a model.json. @param {Manifest} input @returns {Size | null} */
function sizeOf({ size, height, width }) {
  if (Number.isFinite(size) && size > 0) return { height: size, width: size };
  return Number.isFinite(height) && Number.isFinite(width) ? { height, width } : null;
}

/** What the "input" of a model.json says of a size. @param {Size} size */
export const sizeFields = ({ height, width }) => (height === width ? { size: height } : { height, width });

/** A size as the form and the command line have it. @param {Size | null} size */
export const sizeText = size =>
  size === null ? "" : size.height === size.width ? String(size.height) : `${size.height}x${size.width}`;

/** What {@link readSize} reads, as a regular expression. */
export const SIZE_PATTERN = "\\s*[1-9]\\d{0,3}(\\s*[x×X]\\s*[1-9]\\d{0,3})?\\s*";

/** @param {string} text one side of a square, or height and width as 256x128 @returns {Size | null} */
export function readSize(text) {
  if (!new RegExp(`^${SIZE_PATTERN}$`).test(text)) return null;
  const [height, width = height] = text.split(/[x×X]/).map(Number);
  return { height, width };
}

/** One number stands for three. @param {unknown} value @returns {Triple | null} */
function triple(value) {
  const list = Array.isArray(value) ? value : [value];
  if (!list.every(Number.isFinite)) return null;
  if (list.length === 1) return [list[0], list[0], list[0]];
  return list.length === 3 ? [list[0], list[1], list[2]] : null;
}

/** What {@link readTriple} reads, as a regular expression. */
export const TRIPLE_PATTERN = "\\s*\\d+(\\.\\d+)?(\\s*,\\s*\\d+(\\.\\d+)?\\s*,\\s*\\d+(\\.\\d+)?)?\\s*";

/** @param {string} text one number or three joined by commas @returns {Triple | null} */
export const readTriple = text => (text.trim() === "" ? null : triple(text.split(",").map(Number)));

/**
 * The `model.json` of these settings.
 * @param {Settings} settings
 * @param {Manifest | null} before the one they began with
 * @param {{file: string, bytes: number, statistics: boolean}} about
 * @returns {Manifest}
 */
export function manifestOf(settings, before, { file, bytes, statistics }) {
  const { name, size, stride, geometry, resize, fill, channels, mean, std, target, pooling, weights } = settings;
  const {
    mean_embedding: embedding,
    class_specific: specific,
    weights: _,
    pooling: _p,
    target: _t,
    ...rest
  } = before ?? {};
  const {
    size: _s,
    height: _h,
    width: _w,
    mean: _m,
    std: _d,
    resize: _r,
    fill: _f,
    channels: _c,
    ...others
  } = rest.input ?? {};
  const input = {
    ...others,
    ...(size === null ? {} : { ...sizeFields(size), stride: Math.min(stride, size.height, size.width) }),
    geometry,
    ...(resize !== null && geometry === "crop" ? { resize } : {}),
    ...(fill !== null ? { fill } : {}),
    ...(channels ? { channels } : {}),
    ...(mean && std ? { mean, std } : {}),
  };
  /** @type {Manifest} */
  const manifest = {
    format: 1,
    ...rest,
    name,
    file,
    bytes,
    input,
    ...(target ? { target } : {}),
    ...(pooling ? { pooling } : {}),
    ...(weights === "stored" ? {} : { weights }),
  };
  // Mean embedding and statistics are those of one layer and one way of feeding it: with others they would be wrong,
  // and nobody would notice.
  const same = before !== null && JSON.stringify(whatItRestsOn(before)) === JSON.stringify(whatItRestsOn(manifest));
  if (embedding && same) manifest.mean_embedding = embedding;
  if (specific)
    manifest.class_specific = statistics && same ? specific : { ...specific, statistics: undefined, sha256: undefined };
  return manifest;
}

/** @param {Manifest} manifest */
const whatItRestsOn = ({ input, target, pooling = "gap", embedding }) => [
  sizeText(sizeOf(input ?? {})),
  input?.geometry ?? "squash",
  input?.resize,
  input?.fill,
  input?.channels ?? "rgb",
  input?.mean,
  input?.std,
  target,
  pooling,
  embedding,
];
