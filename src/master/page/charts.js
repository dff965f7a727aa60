// The charts: SVG that is made by script, one figure each.

import { clock } from "./text.js";
import { element, write } from "./table.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
/** Room for the times below the plot, and above it for the text of the highest line. */
const [BELOW, ABOVE] = [18, 14];
/** The lengths of time that a chart can show, in seconds. */
const SPANS = [180, 300, 600, 900];

function drawn(tag, attributes = {}) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const fixed = (value) => value.toFixed(1);

/** A scale from 0 to a round number, half of which is round too. `base` is 10 for numbers and 2
 * for sizes. */
export function linear(base) {
  const steps = base === 2 ? [1, 1.5, 2] : [1, 2, 4, 6, 10];
  return (values) => {
    const highest = Math.max(base === 2 ? 2 ** 20 : 2, ...values);
    const power = base ** Math.floor(Math.log(highest) / Math.log(base) + 1e-9);
    const top = power * (steps.find((step) => step * power >= highest) ?? base);
    return { ticks: [0, top / 2, top], place: (value) => value / top };
  };
}

/** A logarithmic scale over whole powers of ten: two at least. */
export function logarithmic(lowest) {
  return (values) => {
    const seen = values.map((value) => Math.max(value, lowest));
    const [least, most] = seen.length ? [Math.min(...seen), Math.max(...seen)] : [0.001, 0.1];
    const low = Math.floor(Math.log10(least) + 1e-9);
    const high = Math.max(Math.ceil(Math.log10(most) - 1e-9), low + 2);
    const ticks = [];
    for (let power = low; power <= high; power += 1) ticks.push(10 ** power);
    const place = (value) => (Math.log10(Math.max(value, lowest)) - low) / (high - low);
    return { ticks, place };
  };
}

/** The part of time that the points cover, in the shortest span that holds it. */
function period(points, interval) {
  const end = points.at(-1).at;
  const covered = end - points[0].at;
  const span = SPANS.find((length) => length >= covered) ?? SPANS.at(-1);
  return { begin: end - span, end, span, gap: interval * 2.5 };
}

/**
 * A chart of several series over time. A series has a `label`, a class `name`, and
 * `value(point)`, which may be null. With `stacked` the series are areas upon each other;
 * otherwise they are lines. `alarm(point)` marks points at the bottom, however small their
 * values are.
 */
export class Chart {
  #options;
  #svg;
  #grid = drawn("g", { class: "grid" });
  #labels = drawn("g");
  #plots = drawn("g");
  #alarms = drawn("path", { class: "alarm" });
  #cursor = drawn("line", { class: "cursor" });
  #values = [];
  #points = [];
  #area;

  /** `choose(index)` is called with the point below the pointer, or null. */
  constructor(parent, options, choose) {
    this.#options = options;
    const legend = element("ul", { class: "legend" });
    for (const { label, name } of options.series) {
      const value = element("span", { class: "value" });
      this.#values.push(value);
      legend.append(element("li", { class: name }, element("span", { class: "swatch", "aria-hidden": "true" }), `${label} `, value));
    }
    this.#svg = drawn("svg", { role: "img" });
    for (const { name } of options.series) this.#plots.append(drawn("path", { class: name }));
    this.#svg.append(this.#grid, this.#plots, this.#alarms, this.#labels, this.#cursor);
    const caption = element("figcaption", {}, element("h3", {}, options.title), legend);
    parent.append(element("figure", { "data-chart": options.name }, caption, this.#svg));
    this.#svg.addEventListener("pointermove", (event) => choose(this.#nearest(event)));
    this.#svg.addEventListener("pointerleave", () => choose(null));
  }

  /** The index of the point that is nearest to the pointer. */
  #nearest(event) {
    if (!this.#area) return null;
    const { begin, span, width } = this.#area;
    const at = begin + ((event.clientX - this.#svg.getBoundingClientRect().left) / width) * span;
    let best = 0;
    this.#points.forEach((point, index) => {
      if (Math.abs(point.at - at) < Math.abs(this.#points[best].at - at)) best = index;
    });
    return best;
  }

  /** Draws the points, of which there is one at least. */
  draw(points, interval) {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    if (!width) return;
    this.#points = points;
    const { series, stacked, scale, format, alarm } = this.#options;
    const sums = (point) => [series.reduce((sum, { value }) => sum + value(point), 0)];
    const each = (point) => series.map(({ value }) => value(point)).filter((value) => value != null);
    const { ticks, place } = scale(points.flatMap(stacked ? sums : each));
    const range = period(points, interval);
    const inner = height - ABOVE - BELOW;
    const x = (at) => ((at - range.begin) / range.span) * width;
    const y = (value) => ABOVE + inner * (1 - place(value));
    this.#area = { ...range, width, height, x };
    this.#drawGrid(ticks, y, format);
    const base = new Array(points.length).fill(0);
    const paths = series.map(({ value }) => {
      const tops = points.map((point, index) => (stacked ? base[index] + value(point) : value(point)));
      const path = this.#path(tops.map((top) => (top == null ? null : y(top))), stacked && base.map(y));
      if (stacked) base.splice(0, base.length, ...tops);
      return path;
    });
    paths.forEach((path, index) => this.#plots.children[index].setAttribute("d", path));
    const marked = alarm ? points.filter(alarm) : [];
    const marks = marked.map((point) => `M${fixed(x(point.at))} ${height - BELOW}v5`);
    this.#alarms.setAttribute("d", marks.join(""));
  }

  #drawGrid(ticks, y, format) {
    const { begin, end, span, width, height, x } = this.#area;
    const [lines, labels] = [[], []];
    const label = (text, attributes) => {
      labels.push(drawn("text", attributes));
      labels.at(-1).textContent = text;
    };
    for (const tick of ticks) {
      const place = y(tick);
      lines.push(drawn("line", { x1: 0, x2: width, y1: fixed(place), y2: fixed(place) }));
      if (tick > 0) label(format(tick), { x: 0, y: fixed(place - 3) });
    }
    const step = span / 3;
    for (let at = Math.ceil(begin / step) * step; at <= end; at += step) {
      const place = x(at);
      if (place < 20 || place > width - 20) continue;
      lines.push(drawn("line", { x1: fixed(place), x2: fixed(place), y1: height - BELOW, y2: height - BELOW + 4 }));
      label(clock(at).slice(0, 5), { x: fixed(place), y: height - 4, "text-anchor": "middle" });
    }
    this.#grid.replaceChildren(...lines);
    this.#labels.replaceChildren(...labels);
  }

  /** A line through the tops, or with `bottoms` an area; it is interrupted where points are
   * missing, or their values. */
  #path(tops, bottoms) {
    const { x, gap } = this.#area;
    const runs = [];
    tops.forEach((top, index) => {
      if (top == null) return;
      const last = runs.at(-1);
      const previous = last?.at(-1);
      const follows = previous === index - 1 && this.#points[index].at - this.#points[previous].at <= gap;
      if (follows) last.push(index);
      else runs.push([index]);
    });
    const at = (index, value) => `${fixed(x(this.#points[index].at))} ${fixed(value)}`;
    return runs
      .map((run) => {
        const line = `M${run.map((index) => at(index, tops[index])).join("L")}`;
        // A single point has a length of its own: with round ends it is a dot.
        if (!bottoms) return run.length === 1 ? `${line}h0.1` : line;
        return `${line}L${run.toReversed().map((index) => at(index, bottoms[index])).join("L")}Z`;
      })
      .join("");
  }

  /** Shows the values of a point in the legend; `isChosen` draws a line at it. */
  show(index, isChosen) {
    const point = this.#points[index];
    if (!point || !this.#area) return;
    const { series, format, title } = this.#options;
    const texts = series.map(({ value }) => format(value(point)));
    texts.forEach((text, place) => write(this.#values[place], text));
    const { x, height } = this.#area;
    const place = fixed(x(point.at));
    const line = isChosen ? { x1: place, x2: place, y1: ABOVE, y2: height - BELOW } : { x1: -9, x2: -9, y1: 0, y2: 0 };
    for (const [name, value] of Object.entries(line)) this.#cursor.setAttribute(name, value);
    const words = series.map(({ label }, nth) => `${label} ${texts[nth]}`).join(", ");
    this.#svg.setAttribute("aria-label", `${title}, at ${clock(point.at)}: ${words}`);
    return words;
  }
}
