// <fam-lens> and <fam-class>: a photo with its map and verdict as one element. Importing this defines both.
// See docs/element.md.

import { FamClass } from "./element/fam-class.js";
import { FamLens } from "./element/fam-lens.js";

export { FamClass } from "./element/fam-class.js";
export { FamLens } from "./element/fam-lens.js";

// Where a page is rendered on a server there is nothing to define them with. Of two copies of this the first counts.
if (typeof customElements === "object") {
  if (!customElements.get("fam-class")) customElements.define("fam-class", FamClass);
  if (!customElements.get("fam-lens")) customElements.define("fam-lens", FamLens);
}
