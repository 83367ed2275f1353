// JSON without loss: integers beyond 2^53 are BigInts, and a number is sent as it was typed.

const TOKEN = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const LONG_INTEGER = /^-?\d{16,}$/;

/** What a number is written with, digit by digit. */
export const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

/** A number that is written as it stands. */
export class Literal {
  constructor(text) {
    this.text = text;
  }
}

/** The value of a JSON text; integers that no double holds are BigInts. Throws SyntaxError. */
export function parseExact(text) {
  const mark = `integer ${Math.random()}`;
  const marked = text.replace(TOKEN, token => LONG_INTEGER.test(token) && !Number.isSafeInteger(Number(token))
    ? `{"${mark}":"${token}"}` : token);
  if (marked === text) return JSON.parse(text);
  return JSON.parse(marked, (_, value) => value !== null && typeof value === "object" && Object.hasOwn(value, mark)
    ? BigInt(value[mark]) : value);
}

const JSON_WORDS = {true: "true", false: "false", null: "null"};
const PYTHON_WORDS = {true: "True", false: "False", null: "None"};

/** A value as JSON; a Map is an object whose keys keep their order. Objects and lists down to `depth` are spread over lines. */
export function writeJson(value, depth = 0) {
  return write(value, JSON_WORDS, depth, "");
}

/** A value as Python spells it; every string of JSON is one of Python. */
export function writePython(value, depth = 0) {
  return write(value, PYTHON_WORDS, depth, "");
}

function write(value, words, depth, indent) {
  if (value instanceof Literal) return value.text;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return writeNumber(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (value === null || typeof value === "boolean") return words[value];
  const isList = Array.isArray(value);
  const inner = depth > 0 ? `${indent}  ` : indent;
  const parts = isList
    ? value.map(item => write(item, words, depth - 1, inner))
    : (value instanceof Map ? [...value] : Object.entries(value)).map(([key, item]) => `${JSON.stringify(key)}: ${write(item, words, depth - 1, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  if (depth <= 0 || parts.length === 0) return open + parts.join(", ") + close;
  return `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}`;
}

/** A number as JSON writes it, the sign of a zero kept. */
export function writeNumber(value) {
  return Object.is(value, -0) ? "-0.0" : String(value);
}
