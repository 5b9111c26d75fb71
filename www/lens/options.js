// What can be chosen about an explanation. tests/web/suites/options.test.mjs makes it from the catalogue.

/**
 * What can be chosen about an explanation: {@link Lens.choices} describes every field and value.
 * @typedef {object} ExplainOptions
 * @property {"fam" | "mean" | "cam" | "grad-cam" | "grad-cam++" | "layer-cam" | "hires-cam" | "xgrad-cam" | "eigen-cam"
 *   | "score-cam" | "ablation-cam" | "rise" | "occlusion" | "random"} [method] How the map is made.
 * @property {{logit: string | number | (string | number)[]} | null} [against] Outputs of the model's own classifier, in
 *   place of similarities to your classes.
 * @property {string | null} [layer] Whose activation maps are weighed; the target if none.
 * @property {"fam" | "centred" | "contrastive" | "cam" | "magnitude" | "whitened" | "discriminative"} [form] How the
 *   weights of the channels are made.
 * @property {number | null} [rival] The class that the contrastive form is against; all others if none.
 * @property {"cosine" | "dot" | "euclidean" | "centred-cosine" | "pearson" | "bilinear" | "mahalanobis"} [similarity]
 *   How alike two embeddings are; it ranks the classes.
 * @property {"gap" | "gmp" | "gem" | "crow" | "model" | null} [pooling] How activation maps become an embedding.
 * @property {number} [gemExponent] 1 is the average; the larger, the closer to the maximum.
 * @property {"prototype" | "nearest" | "mean"} [decide] What stands for a class.
 * @property {"none" | "model" | "supports" | "gallery"} [center] What is subtracted from embeddings before they are
 *   compared.
 * @property {boolean} [l2] Before they are averaged and compared (the L2N of SimpleShot).
 * @property {boolean} [borderTerm] Takes half of what the supports' borders look like off a class; for supports that
 *   are not cropped tight.
 * @property {number | null} [offset] What a cell must have more evidence than; the form's own if none.
 * @property {number} [sharpness] How strictly each cell goes to the class with the most evidence.
 * @property {number} [cellShrinkage] 0 whitens fully, 1 only subtracts the mean.
 * @property {"none" | "model" | "file" | "whitening" | "lda"} [head] What lies between pooled features and embedding.
 * @property {number} [shrinkage] How much learned covariances are pulled towards independent channels.
 * @property {boolean} [weightRelu] Channels that speak against are left out.
 * @property {"none" | "minmax" | "sum" | "softmax"} [weightNorm] How the weights of the channels are scaled.
 * @property {boolean} [mapRelu] What speaks against is left out of the map.
 * @property {"none" | "minmax" | "sum" | "softmax"} [mapNorm] How the values of the map are scaled.
 * @property {string[]} [targets] The layers whose activation maps are shown; the first one decides.
 * @property {"mean" | "product" | "max"} [fusion] How the maps of several layers become one.
 * @property {{seed?: number, channels?: number, masks?: number, grid?: number, keep?: number, window?: number, stride?:
 *   number}} [methodOptions] seed: Start of the random numbers of RISE and of random weights. channels: How many
 *   channels Score-CAM tries, the most active first; 0 for all. masks: How many random masks RISE takes. grid: Cells
 *   along each side of the grid of RISE's masks. keep: How likely a cell of RISE's masks is to be kept. window: Side of
 *   the grey square of occlusion, in pixels of the input. stride: How far the grey square of occlusion moves, in pixels
 *   of the input.
 * @property {{look?: "auto" | "never" | "always", flip?: boolean, shifts?: number, scales?: number[]}} [finer] look:
 *   The part of the photo around the box is looked at again, with smaller cells. flip: The map is averaged with that of
 *   the mirror image: two passes for one. shifts: The image is looked at n x n times, shifted by parts of a cell, for n
 *   times the cells along each side. scales: The image is also looked at smaller or larger.
 * @property {string | null} [target] a single target layer, in place of `targets`
 */

/**
 * How channel weights are made.
 * @typedef {NonNullable<ExplainOptions["form"]>} Form
 */

export {};
