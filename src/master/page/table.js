// Elements and tables. Text reaches the document by `textContent` only, so that no text is
// read as HTML.

import { UNKNOWN } from "./text.js";

/** Makes an element. Each child is an element or a text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Sets the text of an element, and touches nothing if it has this text: a selection stays. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets the text of an element, with the exact value in `data-value`. */
export function writeValue(node, text, value) {
  write(node, text);
  if (value == null) delete node.dataset.value;
  else if (node.dataset.value !== String(value)) node.dataset.value = value;
}

/**
 * A table of records. Rows are kept from one update to the next.
 *
 * A column has a `label` and either `text(record)`, with `value(record)` for the exact value,
 * or `fill(cell, record)`. Its `kind` is a class of its cells: `number`, or `code` for text of
 * clients and applications. `mark(record)` is a class of one cell.
 */
export class Table {
  #columns;
  #key;
  #body;
  #rows = new Map();

  /** `key(record)` distinguishes records. */
  constructor(table, columns, key) {
    this.#columns = columns;
    this.#key = key;
    table.setAttribute("role", "table");
    const head = element("tr", { role: "row" });
    for (const { label, kind = "" } of columns) {
      head.append(element("th", { scope: "col", role: "columnheader", class: kind }, label));
    }
    this.#body = element("tbody", { role: "rowgroup" });
    table.append(element("thead", { role: "rowgroup" }, head), this.#body);
  }

  /** Shows exactly these records, in this order. */
  show(records) {
    const shown = new Map();
    let next = this.#body.firstElementChild;
    for (const record of records) {
      let key = this.#key(record);
      while (shown.has(key)) key += "+";
      const row = this.#rows.get(key) ?? this.#makeRow();
      shown.set(key, row);
      this.#columns.forEach((column, index) => fill(row.cells[index], column, record));
      if (row === next) next = next.nextElementSibling;
      else this.#body.insertBefore(row, next);
    }
    for (const [key, row] of this.#rows) if (!shown.has(key)) row.remove();
    this.#rows = shown;
  }

  // Roles are written out because a narrow screen shows rows as blocks, and not every browser
  // keeps the roles of a table then. `data-label` is the heading of the cell there.
  #makeRow() {
    const row = element("tr", { role: "row" });
    this.#columns.forEach(({ label, kind = "" }, index) => {
      const isFirst = index === 0;
      const attributes = isFirst ? { scope: "row", role: "rowheader" } : { role: "cell" };
      const cell = element(isFirst ? "th" : "td", { ...attributes, class: kind, "data-label": label });
      if (kind === "code") cell.append(element("bdi"));
      row.append(cell);
    });
    return row;
  }
}

function fill(cell, column, record) {
  if (column.fill) {
    column.fill(cell, record);
    return;
  }
  const target = column.kind === "code" ? cell.firstElementChild : cell;
  const text = column.text(record);
  writeValue(target, text, column.value?.(record));
  // A narrow screen leaves out what is not known.
  cell.toggleAttribute("data-unknown", text === UNKNOWN);
  if (column.mark) cell.className = `${column.kind ?? ""} ${column.mark(record)}`.trim();
}

/** The entries of a description list: figures with a label. */
export class Tiles {
  #tiles = new Map();

  /** `labels` has the label of each figure by its name, in order. */
  constructor(list, labels) {
    for (const [name, label] of Object.entries(labels)) {
      const parts = [element("dt", {}, label), element("dd", {}, UNKNOWN), element("dd", { class: "note" })];
      const tile = element("div", { "data-figure": name }, ...parts);
      this.#tiles.set(name, tile);
      list.append(tile);
    }
  }

  /** Shows a figure: a text, its exact value, a small text below it, a class for its state. */
  show(name, text, { value = null, note = "", mark = "" } = {}) {
    const tile = this.#tiles.get(name);
    const [, figure, small] = tile.children;
    writeValue(figure, text, value);
    write(small, note);
    tile.className = mark;
  }
}
