// <fam-class name="Bird" supports="a.jpg b.jpg">: a class of the <fam-lens> that it stands in.

import { Base } from "./base.js";

/** @import { ImageLike } from "../famlens.js" */

/** What a class tells its <fam-lens> when it has changed. */
export const CHANGED = "famlens-class-changed";

/** A class by its name and some photos of it. */
export class FamClass extends Base {
  static observedAttributes = ["name", "supports"];

  /** @type {ImageLike[] | null} */
  #supports = null;

  /** What people call the class. @type {string} */
  get name() {
    return this.getAttribute("name") ?? "";
  }

  set name(name) {
    this.setAttribute("name", name);
  }

  /**
   * Photos of the class: the addresses in the attribute, divided by white space, or the files given here. Null goes
   * back to the attribute.
   * @type {ImageLike[]}
   */
  get supports() {
    const text = this.getAttribute("supports") ?? "";
    return this.#supports ?? text.split(/\s+/).filter(address => address !== "");
  }

  set supports(/** @type {ImageLike[] | null} */ supports) {
    this.#supports = supports && [...supports];
    this.attributeChangedCallback();
  }

  connectedCallback() {
    // A framework may have set it before this class was known.
    if (Object.hasOwn(this, "supports")) {
      const { supports } = this;
      delete (/** @type {any} */ (this).supports);
      this.supports = supports;
    }
  }

  attributeChangedCallback() {
    this.dispatchEvent(new CustomEvent(CHANGED, { bubbles: true }));
  }
}
