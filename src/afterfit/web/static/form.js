// The form of one model: a field for each column that the model reads.

import {make} from "./dom.js";
import {controlFor, Unready} from "./controls.js";
import {hintOf} from "./values.js";

/** One column: its label, its control, whether it is missing, and what is wrong with it. */
class Field {
  constructor(column, number) {
    this.column = column;
    const id = `field-${number}`;
    this.control = controlFor(column, id);
    const {input} = this.control;
    const isGroup = input.getAttribute("role") === "radiogroup";
    const label = isGroup ? make("span", {class: "name", id: `${id}-name`}, column.name)
      : make("label", {class: "name", for: id, id: `${id}-name`}, column.name);
    this.message = make("p", {class: "message", id: `${id}-message`});
    if (isGroup) input.setAttribute("aria-labelledby", `${id}-name`);
    input.setAttribute("aria-describedby", `${id}-hint ${id}-message`);
    this.missing = null;
    const head = make("div", {class: "field-head"}, label);
    if (column.nullable) {
      this.missing = make("input", {type: "checkbox", "aria-label": `${column.name} is missing`});
      this.missing.addEventListener("input", () => this.showMissing());
      head.append(make("label", {class: "missing"}, this.missing, " missing"));
    }
    this.element = make("div", {class: "field"}, head, this.control.element,
      make("p", {class: "hint", id: `${id}-hint`}, hintOf(column)), this.message);
    this.element.addEventListener("input", () => this.say(null));
  }

  showMissing() {
    const isMissing = this.missing !== null && this.missing.checked;
    this.element.classList.toggle("is-missing", isMissing);
    for (const part of this.control.parts) part.disabled = isMissing;
  }

  fill(value) {
    if (this.missing !== null) this.missing.checked = value === null || value === "NaN";
    this.control.fill(this.missing?.checked ? undefined : value);
    this.showMissing();
    this.say(null);
  }

  read() {
    return this.missing?.checked ? null : this.control.read();
  }

  /** Show an error, a warning, or with null neither. */
  say(text, kind = "error") {
    this.message.textContent = text ?? "";
    this.message.className = text === null ? "message" : `message ${kind}`;
    this.element.classList.toggle("is-wrong", text !== null && kind === "error");
    this.control.input.toggleAttribute("aria-invalid", false);
    if (text !== null && kind === "error") this.control.input.setAttribute("aria-invalid", "true");
  }

  get isWrong() {
    return this.element.classList.contains("is-wrong");
  }

  focus() {
    if (this.missing?.checked) this.missing.focus();
    else if (this.control.focus !== undefined) this.control.focus();
    else this.control.input.focus();
  }
}

/** The fields of a model, in the order of its columns. */
export class RowForm {
  constructor(columns, place) {
    this.fields = new Map();
    columns.filter(column => column.input !== null).forEach((column, number) => {
      this.fields.set(column.name, new Field(column, number));
    });
    place.replaceChildren(...[...this.fields.values()].map(field => field.element));
  }

  /** Fill in a row; columns that it lacks are emptied. */
  fill(row) {
    for (const [name, field] of this.fields) field.fill(Object.hasOwn(row, name) ? row[name] : undefined);
  }

  /** The row as a Map, and the fields that cannot be read with the reason, by name. */
  read() {
    const row = new Map(), unready = new Map();
    for (const [name, field] of this.fields) {
      try {
        row.set(name, field.read());
      } catch (error) {
        if (!(error instanceof Unready)) throw error;
        unready.set(name, field.missing === null ? error.message : `${error.message.replace(/\.$/, "")}, or tick missing.`);
      }
    }
    return {row, unready};
  }

  /** Put each mistake beside its field; those that belong to none are returned. Nothing else stays said. */
  showMistakes(errors, warnings = []) {
    const told = new Map(), rest = [];
    const gather = (mistakes, kind) => {
      for (const mistake of mistakes) {
        const field = this.fields.get(mistake.column);
        if (field === undefined) {
          rest.push(mistake);
          continue;
        }
        const before = told.get(field);
        told.set(field, {kind: before?.kind ?? kind, texts: [...before?.texts ?? [], sentence(mistake, kind)]});
      }
    };
    gather(errors, "error");
    gather(warnings, "warning");
    for (const field of this.fields.values()) {
      const one = told.get(field);
      field.say(one === undefined ? null : one.texts.join(" "), one?.kind);
    }
    return rest;
  }

  /** Put reasons of the page's own beside the fields. */
  showUnready(unready) {
    for (const [name, reason] of unready) this.fields.get(name).say(reason);
  }

  focusFirstMistake() {
    const field = [...this.fields.values()].find(one => one.isWrong);
    if (field !== undefined) field.focus();
    return field !== undefined;
  }

  /** Show the columns whose name has `text` in it; how many there are. */
  find(text) {
    const wanted = text.trim().toLowerCase();
    let count = 0;
    for (const [name, field] of this.fields) {
      field.element.hidden = !name.toLowerCase().includes(wanted);
      count += field.element.hidden ? 0 : 1;
    }
    return count;
  }
}

/** A mistake of problem details in the words of a form, where a value is ticked as missing instead of sent as null. */
export function sentence({expected, got, fix}, kind = "error") {
  const wanted = String(expected).replace(/ or null$/, ", or missing");
  const advice = String(fix).replace("send null for a missing value", "tick missing if it is");
  const what = kind === "warning" ? `${got} is unusual: expected ${wanted}` : `Expected ${wanted}, got ${got}`;
  return `${what}. ${advice.charAt(0).toUpperCase()}${advice.slice(1)}${/[.?!]$/.test(advice) ? "" : "."}`;
}
