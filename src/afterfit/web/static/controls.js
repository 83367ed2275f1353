// One control for each kind of column. A control has an `element`, the `input` that is focused and described,
// `fill(value)` for a value of JSON, `read()` for one to send, and says `change` by bubbling input events.
// `read` throws Unready, with words for the person, where nothing has been entered that could be sent.

import {make} from "./dom.js";
import {Literal, NUMBER, parseExact, writeJson} from "./exact.js";
import {asTyped, seenRange, shown} from "./values.js";

/** Nothing is entered yet that could be sent. */
export class Unready extends Error {}

/** The control of a column. */
export function controlFor(column, id) {
  if (column.shape) return tensorControl(id, column);
  if (column.type === "boolean") return booleanControl(id);
  if (column.categories?.values.length) return choiceControl(id, column);
  return plainControl(id, column);
}

function plainControl(id, column) {
  if (column.type === "string") return textControl(id, column);
  return numberControl(id, column);
}

function numberControl(id, column) {
  const seen = seenRange(column);
  const isWhole = column.type === "integer";
  // A number field takes no infinity.
  const takesInfinity = Boolean(column.range) && seen === null;
  const input = make("input", {id, type: takesInfinity ? "text" : "number", autocomplete: "off",
    step: stepOf(seen, isWhole), min: column.bounds?.minimum, max: column.bounds?.maximum});
  const element = make("div", {class: "number"}, input);
  const slider = seen !== null && seen[0] < seen[1] ? sliderFor(seen, isWhole) : null;
  if (slider !== null) {
    element.append(slider);
    slider.addEventListener("input", () => { input.value = slider.value; });
    input.addEventListener("input", () => { slider.value = input.value || seen[0]; });
  }
  return {
    element, input, parts: slider === null ? [input] : [input, slider],
    fill(value) {
      input.value = value === undefined || value === null ? "" : asTyped(value);
      if (slider !== null) slider.value = input.value || seen[0];
    },
    read() {
      const text = input.value.trim();
      if (text === "") throw new Unready(input.validity.badInput ? "This is no number." : "Enter a number.");
      // What is no number is sent as it is, for the server to say what is wrong with it.
      return NUMBER.test(text) ? new Literal(text) : text;
    },
  };
}

/** A twin of a number field for mouse and finger: the keyboard and screen readers have the field. */
function sliderFor([low, high], isWhole) {
  return make("input", {type: "range", min: low, max: high, step: isWhole ? 1 : stepOf([low, high], false),
    tabindex: "-1", "aria-hidden": "true"});
}

/** About a hundredth of what was seen, as a power of ten. */
function stepOf(seen, isWhole) {
  if (isWhole) return 1;
  if (seen === null || seen[0] === seen[1]) return "any";
  return Number(`1e${Math.floor(Math.log10((seen[1] - seen[0]) / 50))}`);
}

function textControl(id, column) {
  const rows = column.analyzers?.length ? 5 : 1;
  const input = make("textarea", {id, rows, autocomplete: "off", spellcheck: "false"});
  return {
    element: input, input, parts: [input],
    fill(value) { input.value = value ?? ""; },
    read: () => input.value,
  };
}

function booleanControl(id) {
  const input = make("div", {id, class: "choice", role: "radiogroup"});
  const radios = [["yes", true], ["no", false]].map(([word, value]) => {
    const radio = make("input", {type: "radio", name: `${id}-choice`, value: String(value)});
    input.append(make("label", {}, radio, ` ${word}`));
    return radio;
  });
  return {
    element: input, input, parts: radios, focus: () => (radios.find(radio => radio.checked) ?? radios[0]).focus(),
    fill(value) { for (const radio of radios) radio.checked = radio.value === String(value); },
    read() {
      const chosen = radios.find(radio => radio.checked);
      if (chosen === undefined) throw new Unready("Choose yes or no.");
      return chosen.value === "true";
    },
  };
}

const OTHER = "other";

/** The categories as a list; where others are accepted too, a field for them. */
function choiceControl(id, column) {
  const {values, open} = column.categories;
  const input = make("select", {id}, make("option", {value: "", disabled: true, hidden: true}, "Choose …"),
    ...values.map((value, index) => make("option", {value: index}, shown(value))));
  const element = make("div", {class: "category"}, input);
  const other = open ? plainControl(`${id}-other`, {...column, categories: null}) : null;
  if (other !== null) {
    input.append(make("option", {value: OTHER}, "Another value …"));
    other.input.setAttribute("aria-label", `Another value of ${column.name}`);
    element.append(other.element);
  }
  const showOther = () => { if (other !== null) other.element.hidden = input.value !== OTHER; };
  // The focus stays: typing in a list of a browser chooses at the first letter, and the rest would end up elsewhere.
  input.addEventListener("input", showOther);
  showOther();
  return {
    element, input, parts: other === null ? [input] : [input, ...other.parts],
    fill(value) {
      const index = values.indexOf(value);
      if (index >= 0) input.value = String(index);
      else input.value = other !== null && value !== undefined && value !== null ? OTHER : "";
      if (other !== null) other.fill(input.value === OTHER ? value : undefined);
      showOther();
    },
    read() {
      if (input.value === "") throw new Unready("Choose a value.");
      return input.value === OTHER ? other.read() : values[Number(input.value)];
    },
  };
}

/** Lists within lists, as JSON. */
function tensorControl(id, column) {
  const input = make("textarea", {id, class: "json", rows: 6, autocomplete: "off", spellcheck: "false"});
  const example = column.shape.map(size => (size < 0 ? "any" : size)).join(" × ");
  return {
    element: input, input, parts: [input],
    fill(value) { input.value = value === undefined || value === null ? "" : writeJson(value, column.shape.length - 1); },
    read() {
      if (input.value.trim() === "") throw new Unready(`Enter a JSON list of ${example} values.`);
      try {
        return parseExact(input.value);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        throw new Unready(`This is no JSON: ${error.message}.`);
      }
    },
  };
}
