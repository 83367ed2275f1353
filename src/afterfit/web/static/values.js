// How values and columns are shown to people.

import {writeJson, writeNumber} from "./exact.js";

const LOOKS_EMPTY = /^\s|\s$|^$|[\n\t]/;

/** A value in few words: texts as they are, quoted where they would not be seen. */
export function shown(value) {
  if (value === null || value === undefined) return "missing";
  if (typeof value === "string") return LOOKS_EMPTY.test(value) ? JSON.stringify(value) : value;
  return writeJson(value);
}

/** A number as a field takes it. */
export function asTyped(value) {
  return typeof value === "number" ? writeNumber(value) : String(value);
}

/** A number with at most `digits` significant digits. */
export function rounded(value, digits = 6) {
  if (typeof value !== "number") return shown(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return String(Number(value.toPrecision(digits)));
  return value.toLocaleString("en", {maximumSignificantDigits: digits});
}

/** A probability in percent; nothing but 0 and 1 is shown as 0 % and 100 %. */
export function percent(probability) {
  if (typeof probability !== "number") return shown(probability);
  if (probability > 0 && probability < 0.001) return "< 0.1\u00a0%";
  if (probability < 1 && probability > 0.999) return "> 99.9\u00a0%";
  return `${(100 * probability).toFixed(1)}\u00a0%`;
}

/** The ends of the numbers that were seen in a column, or null; infinities have no place on a line. */
export function seenRange(column) {
  if (!column.range) return null;
  const [low, high] = column.range.map(Number);
  return Number.isFinite(low) && Number.isFinite(high) ? [low, high] : null;
}

/** What a column is, such as `whole number`. */
export function typeName(column) {
  const name = {float: "number", integer: "whole number", boolean: "yes or no", string: "text"}[column.type] ?? column.type;
  if (!column.shape) return name;
  return `${name}s [${column.shape.map(size => size < 0 ? "any" : size).join(" × ")}]`;
}

/** What people should know of a column before they fill it in. */
export function hintOf(column) {
  const parts = [];
  if (column.categories) {
    const count = column.categories.values.length;
    parts.push(`${count.toLocaleString("en")} known value${count === 1 ? "" : "s"}`);
    if (column.categories.open) parts.push("others are accepted");
  } else if (column.type !== "boolean") parts.push(typeName(column));
  if (column.range) parts.push(`seen ${column.range.map(end => rounded(Number(end))).join(" to ")}`);
  if (column.bounds) parts.push(boundsInWords(column.bounds));
  return parts.join(" · ");
}

function boundsInWords(bounds) {
  const words = {minimum: "at least", exclusive_minimum: "more than", maximum: "at most", exclusive_maximum: "less than"};
  return Object.keys(words).filter(key => typeof bounds[key] === "number")
    .map(key => `${words[key]} ${rounded(bounds[key])}`).join(" and ");
}
