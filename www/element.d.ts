// The types of element.js. Made by tests/web/types.mjs from the comments in www; do not edit.

import type { LensError, ClassSpec, ExplainOptions, Explanation, ImageLike, LensOptions } from "./famlens.js";

/** A class by its name and some photos of it. */
export declare class FamClass extends HTMLElement {
    #private;
    static observedAttributes: string[];
    /** What people call the class. @type {string} */
    get name(): string;
    set name(name: string);
    /**
     * Photos of the class: the addresses in the attribute, divided by white space, or the files given here. Null goes
     * back to the attribute.
     * @type {ImageLike[]}
     */
    get supports(): ImageLike[];
    set supports(/** @type {ImageLike[] | null} */ supports: ImageLike[] | null);
    connectedCallback(): void;
    attributeChangedCallback(): void;
}

/**
 * A photo, its map and the verdict. Children are `<fam-class name supports>`.
 *
 * Fires `famlens-result` (detail: the explanation), `famlens-error` (detail: the LensError), `famlens-state` and
 * `famlens-class` (detail: the index of the class whose map is shown).
 */
export declare class FamLens extends HTMLElement {
    #private;
    static observedAttributes: string[];
    /** What it says; replace entries to translate them, before elements are made. */
    static words: {
        show: string;
        retry: string;
        map: string;
        classes: string;
        loading: (part: number | null) => string;
        looking: string;
        verdict: (name: string, lead: number) => string;
        where: (name: string, peak: [number, number] | null, size: {
            width: number;
            height: number;
        }) => string;
        empty: string;
    };
    constructor();
    /** The photo: an address, or an image given here. @type {ImageLike | null} */
    get query(): ImageLike | null;
    set query(query: ImageLike | null);
    /** The classes: those of the children, or what is given here; null goes back to the children. @type {ClassSpec[]} */
    get classes(): ClassSpec[];
    set classes(/** @type {ClassSpec[] | null} */ classes: ClassSpec[] | null);
    /** The model, as `createLens` takes it; famlens' own by default. @type {LensOptions["model"] | null} */
    get model(): LensOptions["model"] | null;
    set model(model: LensOptions["model"] | null);
    /** Further options of `lens.explain`. @type {ExplainOptions} */
    get options(): ExplainOptions;
    set options(options: ExplainOptions);
    /** The last explanation. @type {Explanation | null} */
    get result(): Explanation | null;
    /** @type {FamLensState} */
    get state(): FamLensState;
    /** Index of the class whose map is shown. @type {number} */
    get shown(): number;
    set shown(index: number);
    /** Begins, where `reveal` is not `"auto"`. */
    reveal(): void;
    /**
     * Explains now, whatever `loading` and `reveal` say, and once more after an error.
     * @returns {Promise<Explanation>}
     */
    explain(): Promise<Explanation>;
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(): void;
}

export type FamLensState = "empty" | "waiting" | "loading" | "ready" | "error";

declare global {
  interface HTMLElementTagNameMap {
    "fam-lens": FamLens;
    "fam-class": FamClass;
  }
  interface HTMLElementEventMap {
    "famlens-result": CustomEvent<Explanation>;
    "famlens-error": CustomEvent<LensError>;
    "famlens-state": CustomEvent<FamLensState>;
    "famlens-class": CustomEvent<number>;
  }
}
