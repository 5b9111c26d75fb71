// Runs before the page's other scripts: the worker starts, and program, model and statistics are on their way. Which
// model it will be is known from the last visit.

import { startEarly } from "../lens/start.js";
import { recall } from "./settings.js";

/** @param {string} name */
const file = name => new URL(`../../models/efficientnet_lite0/${name}`, import.meta.url).href;

const model = recall("model") ?? "lite0";
startEarly(
  model === "lite0" && !new URLSearchParams(location.search).has("model")
    ? [
        { url: file("model.json"), what: "description of the model" },
        { url: file("model.onnx"), what: "model" },
        { url: file("statistics.bin"), what: "model's statistics" },
      ]
    : [],
);
