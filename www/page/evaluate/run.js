// What is measured, the run with its progress, and the tables it comes to.

import { evaluate } from "../../famlens.js";
import { download, el, scrolled } from "../dom.js";
import { valuesOf } from "../catalogue.js";
import { on, state } from "../state.js";
import { all, groups, onItems } from "./items.js";

/**
 * @import { Context } from "../context.js"
 * @import { Evaluation, Interval } from "../../famlens.js"
 */

/** What is compared at first; what the library does not have is left out. */
const chosen = new Set(["form:fam", "form:contrastive", "form:discriminative"]);

/** Tables in words. @type {Record<string, string>} */
const TABLES = {
  localisation: "Where the map points",
  decision: "Whether the class is right, for photos without boxes",
  faithfulness: "Whether the map shows what counts",
};

/**
 * @param {HTMLElement} side
 * @param {HTMLElement} results
 * @param {Context} context
 * @param {() => void} showResults
 */
export function mountRun(side, results, context, showResults) {
  /** @type {AbortController | null} */
  let running = null;
  /** @type {Evaluation | null} */
  let last = null;
  const forms = el("div", { class: "picks", role: "group", "aria-label": "Forms that are compared" });
  const methods = el("div", { class: "picks", role: "group", "aria-label": "Methods that are compared" });
  const more = el("details", { class: "says" }, el("summary", {}, "Other methods"), methods);
  const shots = el("input", { type: "number", min: 1, max: 50, step: 1, value: 5 });
  const threshold = el("input", { type: "number", min: 5, max: 95, step: 5, placeholder: "each form's own" });
  const faithful = el("input", { type: "checkbox", role: "switch" });
  const start = el("button", { type: "button", class: "button primary", "data-testid": "evaluate-run" }, "Evaluate");
  const hint = el("p", { class: "says" });
  const bar = el("progress", { hidden: true, "aria-label": "Progress of the evaluation" });
  const far = el("p", { class: "fine", "aria-live": "polite", "data-testid": "evaluate-progress" });
  const saves = el(
    "div",
    { class: "saves", hidden: true },
    el(
      "button",
      {
        type: "button",
        class: "button",
        "data-testid": "evaluate-csv",
        onclick: () => last && download(new Blob([csv(last)], { type: "text/csv" }), "evaluation.csv"),
      },
      "Save rows (CSV)",
    ),
    el(
      "button",
      {
        type: "button",
        class: "button",
        "data-testid": "evaluate-json",
        onclick: () =>
          last && download(new Blob([JSON.stringify(last, null, 1)], { type: "application/json" }), "evaluation.json"),
      },
      "Save all (JSON)",
    ),
  );
  side.append(
    el(
      "section",
      { class: "card" },
      el("h2", {}, "What is compared"),
      el("p", { class: "says" }, "The others are compared with the first one."),
      forms,
      more,
    ),
    el(
      "section",
      { class: "card" },
      el("h2", {}, "How"),
      el("label", { class: "field" }, "Support photos a class", shots),
      el("label", { class: "field" }, "Threshold of the box, %", threshold),
      el("label", { class: "field" }, "Faithfulness too", faithful),
      el(
        "p",
        { class: "fine" },
        "Each photo is explained for its own class, with the other photos of each class as supports. Faithfulness " +
          "takes dozens of passes a photo.",
      ),
    ),
    el("section", { class: "card" }, hint, start, bar, far),
    saves,
  );
  results.append(el("p", { class: "says" }, "Nothing has been evaluated yet."));

  on(["catalogue"], () => {
    for (const [place, kind] of /** @type {const} */ ([
      [forms, "form"],
      [methods, "method"],
    ])) {
      // FAM as a method is what the forms are about.
      const values = valuesOf(kind).filter(({ name }) => kind === "form" || name !== "fam");
      (kind === "method" ? more : place).hidden = values.length === 0;
      place.replaceChildren(
        ...values.map(({ name, label, sentence }) => {
          const input = el("input", { type: "checkbox", class: "unseen", value: `${kind}:${name}` });
          input.checked = chosen.has(input.value);
          input.addEventListener("change", () => {
            if (input.checked) chosen.add(input.value);
            else chosen.delete(input.value);
            ready();
          });
          return el("label", { class: "pick", title: sentence }, input, el("span", {}, label));
        }),
      );
    }
    ready();
  });

  function ready() {
    const boxed = all().filter(({ boxes }) => boxes.length > 0).length;
    const enough = groups().size > 1 && variants().length > 0;
    start.disabled = !running && (!enough || !state.lens);
    if (all().length === 0) hint.textContent = "Add photos in two or more classes.";
    else if (groups().size < 2) hint.textContent = "Two classes at least are needed.";
    else
      hint.textContent =
        `${all().length} photos in ${groups().size} classes; ${boxed} have ` +
        `boxes${boxed === 0 ? ", so only accuracy can be measured" : ""}.`;
  }
  onItems(ready);
  on(["lens"], ready);

  const variants = () =>
    [...side.querySelectorAll(".picks input")].flatMap(input => {
      const { value, checked } = /** @type {HTMLInputElement} */ (input);
      const [kind, name] = value.split(":");
      return checked
        ? [{ name: valuesOf(kind).find(one => one.name === name)?.label ?? name, options: { [kind]: name } }]
        : [];
    });

  start.addEventListener("click", async () => {
    if (running) return running.abort();
    const { lens } = context;
    if (!lens) return;
    const { signal } = (running = new AbortController());
    start.textContent = "Stop";
    start.classList.remove("primary");
    bar.hidden = false;
    bar.removeAttribute("value");
    far.textContent = "Opening the photos";
    try {
      const found = await evaluate(lens, {
        classes: [...groups()].map(([name, items]) => ({
          name,
          photos: items.map(({ photo, path, boxes }) => ({ image: photo.source, path, boxes })),
        })),
        variants: variants(),
        shots: shots.valueAsNumber || 5,
        threshold: threshold.valueAsNumber ? threshold.valueAsNumber / 100 : undefined,
        faithfulness: faithful.checked ? {} : null,
        signal,
        onProgress({ done, total, secondsLeft }) {
          bar.max = total;
          bar.value = done;
          far.textContent = `${done} of ${total} photos${done < total ? `, ${duration(secondsLeft)} left` : ""}`;
        },
      });
      // The last photo may be done before the stop arrives.
      signal.throwIfAborted();
      last = found;
      results.replaceChildren(...tables(found));
      saves.hidden = false;
      showResults();
      context.say(`Evaluated ${all().length} photos.`);
    } catch (error) {
      if (!signal.aborted) context.trouble(error);
      far.textContent = signal.aborted ? "Stopped." : "";
    } finally {
      running = null;
      bar.hidden = true;
      start.textContent = "Evaluate";
      start.classList.add("primary");
      ready();
    }
  });
}

/** @param {number} seconds */
const duration = seconds =>
  seconds >= 90 ? `${Math.round(seconds / 60)} minutes` : `${Math.max(1, Math.round(seconds))} s`;

/** @param {Evaluation} found */
function tables({ aggregates, differences, measures, skipped, rows }) {
  const names = [...new Set(aggregates.map(({ table }) => table))];
  const label = (/** @type {string} */ name) => measures.find(one => one.name === name);
  const parts = names.map(name => {
    const of = aggregates.filter(({ table }) => table === name);
    const columns = measures.map(one => one.name).filter(measure => of.some(({ values }) => measure in values));
    const head = el(
      "tr",
      {},
      el("td", {}),
      ...columns.map(measure =>
        el("th", { scope: "col", title: label(measure)?.sentence }, label(measure)?.label ?? measure),
      ),
      el("th", { scope: "col" }, "photos"),
    );
    const row = (/** @type {Evaluation["aggregates"][number]} */ { variant, size, values }) => {
      const differs =
        size === null ? differences.find(one => one.table === name && one.variant === variant)?.values : undefined;
      const n = Math.max(0, ...Object.values(values).map(one => one.n));
      return el(
        "tr",
        { "data-variant": variant },
        el("th", { scope: "row" }, size === null ? variant : `${variant}, ${size}`),
        ...columns.map(measure => figure(values[measure], differs?.[measure]?.difference)),
        el("td", {}, String(n)),
      );
    };
    const title = TABLES[name] ?? name;
    const [whole, bySize] = [of.filter(({ size }) => size === null), of.filter(({ size }) => size !== null)];
    const table = (/** @type {typeof of} */ some, /** @type {string} */ id) =>
      el(
        "table",
        { class: "figures", "data-testid": id, "data-table": name },
        el("thead", {}, head.cloneNode(true)),
        el("tbody", {}, ...some.map(row)),
      );
    return el(
      "section",
      { class: "eval-table" },
      el("h3", {}, title),
      scrolled(title, table(whole, "evaluate-table")),
      bySize.length > 0 &&
        el(
          "details",
          {},
          el("summary", {}, "Small, medium and large objects apart"),
          scrolled(`${title}, by size of the object`, table(bySize, "evaluate-by-size")),
        ),
    );
  });
  const note = el(
    "p",
    { class: "fine" },
    "Means in per cent with 95 % bootstrap intervals over photos. A dot marks a mean that differs from the first " +
      "row's beyond chance on the same photos.",
  );
  const left =
    skipped.length > 0
      ? [
          el(
            "details",
            { class: "says" },
            el("summary", {}, `${skipped.length} photos were left out`),
            el("ul", {}, ...skipped.map(({ photo, reason }) => el("li", {}, `${photo}: ${reason}`))),
          ),
        ]
      : [];
  return [...parts, note, ...left, rowsOf(rows, measures)];
}

/** One row a photo. @param {Evaluation["rows"]} rows @param {Evaluation["measures"]} measures */
function rowsOf(rows, measures) {
  const columns = measures.filter(({ name }) => rows.some(({ values }) => name in values));
  return el(
    "details",
    { class: "eval-rows" },
    el("summary", {}, `Every photo (${rows.length} rows)`),
    scrolled(
      "Every photo",
      el(
        "table",
        { class: "figures" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "photo"),
            el("th", { scope: "col" }, "map"),
            ...columns.map(({ label, sentence }) => el("th", { scope: "col", title: sentence }, label)),
          ),
        ),
        el(
          "tbody",
          {},
          ...rows.map(({ image, variant, values }) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, image),
              el("td", {}, variant),
              ...columns.map(({ name }) => el("td", {}, name in values ? percent(values[name]) : "")),
            ),
          ),
        ),
      ),
    ),
  );
}

/** @param {Interval | undefined} value @param {Interval | undefined} difference */
function figure(value, difference) {
  if (!value) return el("td", {}, "");
  const apart = difference && (difference.low > 0 || difference.high < 0);
  return el(
    "td",
    {
      title: difference
        ? `${signed(difference.mean)} against the first row, ${signed(difference.low)} to ${signed(difference.high)}`
        : null,
    },
    percent(value.mean),
    apart ? el("span", { class: "apart", "aria-label": " differs from the first row" }, " ●") : null,
    el("small", {}, `${percent(value.low)}–${percent(value.high)}`),
  );
}

/** @param {number} part */
const percent = part => (100 * part).toFixed(1);

/** @param {number} part */
const signed = part => `${part > 0 ? "+" : ""}${percent(part)}`;

/** @param {Evaluation} found */
function csv({ rows, measures }) {
  const columns = measures.map(({ name }) => name).filter(name => rows.some(({ values }) => name in values));
  const head = ["table", "setting", "variant", "image", "class", "size", ...columns];
  const quoted = (/** @type {unknown} */ cell) => {
    // A name must not become a formula in whatever opens the table.
    const text = typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : String(cell);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map(({ table, setting, variant, image, class: name, size, values }) => [
    table,
    setting,
    variant,
    image,
    name,
    size ?? "",
    ...columns.map(column => values[column] ?? ""),
  ]);
  return `${[head, ...lines].map(line => line.map(quoted).join(",")).join("\n")}\n`;
}
