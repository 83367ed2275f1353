// Many rows at once: a file that is dropped or chosen, or rows that are pasted.

import {ServerError} from "./api.js";
import {barsView} from "./answer.js";
import {cellText, quoteCell, rawCells} from "./csv.js";
import {counted, downloadLink, make, revoke, table} from "./dom.js";
import {Scoring, Unscorable} from "./scoring.js";
import {shown} from "./values.js";

const LISTED = 100;
const MOST_BARS = 40;

/** What scores files with one model, and shows how it goes in `place`. */
export class FilePanel {
  constructor(place, model, path) {
    this.model = model;
    this.path = path;
    this.controller = null;
    this.links = [];
    this.read = model.columns.filter(column => column.input !== null);
    if (this.read.some(column => column.shape)) {
      place.replaceChildren(make("p", {class: "quiet"},
        "This model reads values that are lists, which no cell of CSV holds. Send such rows as JSON, or score a file with afterfit predict."));
      return;
    }
    place.replaceChildren(...this.inputs(), this.outcome());
  }

  inputs() {
    this.chosen = make("input", {type: "file", id: "csv-file", accept: ".csv,.tsv,.txt,text/csv"});
    this.drop = make("label", {class: "drop", for: "csv-file"},
      make("span", {}, make("strong", {}, "Drop a CSV file here"), ", or choose one"), this.chosen);
    this.text = make("textarea", {id: "csv-text", rows: 4, spellcheck: "false", autocomplete: "off",
      placeholder: this.read.map(column => column.name).slice(0, 8).join(",")});
    this.start = make("button", {type: "button", id: "csv-score"}, "Score the rows");
    const template = make("button", {type: "button", class: "plain"}, "Download a template");
    this.chosen.addEventListener("change", () => {
      if (this.chosen.files.length > 0) this.run(this.chosen.files[0], this.chosen.files[0].name);
    });
    this.start.addEventListener("click", () => this.run(new Blob([this.text.value]), "rows.csv"));
    this.text.addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.start.click();
    });
    template.addEventListener("click", () => this.saveTemplate());
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
      this.drop.addEventListener(kind, event => this.dragged(event));
    return [
      make("p", {class: "quiet"}, "The first line names the columns; commas, semicolons or tabs between them. An empty cell is missing. "
        + "Rows are sent to this server alone, a part at a time."),
      make("div", {class: "ways"}, this.drop,
        make("div", {class: "paste"}, make("label", {for: "csv-text"}, "Or paste rows, from a spreadsheet too"), this.text)),
      make("div", {class: "actions"}, this.start, template),
    ];
  }

  outcome() {
    this.bar = make("progress", {max: 1, value: 0, "aria-label": "Rows scored"});
    this.status = make("span", {id: "csv-status", role: "status"});
    this.cancel = make("button", {type: "button", class: "plain"}, "Cancel");
    this.cancel.addEventListener("click", () => this.stop());
    this.progress = make("div", {class: "progress", hidden: true}, this.bar, this.status, this.cancel);
    this.result = make("div", {id: "csv-result", class: "result"});
    return make("div", {}, this.progress, this.result);
  }

  /** Give up what is under way. */
  stop() {
    this.controller?.abort(new DOMException("cancelled", "AbortError"));
  }

  /** Let go of files that are offered for download. */
  close() {
    this.stop();
    this.links.forEach(revoke);
    this.links = [];
  }

  dragged(event) {
    event.preventDefault();
    this.drop.classList.toggle("is-over", event.type === "dragenter" || event.type === "dragover");
    if (event.type === "drop" && event.dataTransfer.files.length > 0)
      this.run(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
  }

  saveTemplate() {
    const example = this.model.example.rows[0];
    const cells = this.read.map(column => asCell(example[column.name]));
    const text = `${this.read.map(column => quoteCell(column.name)).join(",")}\n${cells.join(",")}\n`;
    const link = downloadLink(new Blob([text], {type: "text/csv"}), `${this.model.name}-template.csv`, "");
    link.click();
    revoke(link);
  }

  async run(blob, name) {
    this.close();
    const controller = this.controller = new AbortController();
    this.result.replaceChildren();
    this.progress.hidden = false;
    this.cancel.hidden = false;
    this.start.disabled = true;
    this.show({fraction: 0, scored: 0, rejected: 0});
    const scoring = new Scoring({path: `${this.path}/predict`, columns: this.read.map(column => column.name),
      signal: controller.signal, onProgress: state => this.show(state)});
    let trouble = null;
    try {
      await scoring.score(blob);
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof ServerError) && !(error instanceof Unscorable)) throw error;
      trouble = error;
    } finally {
      if (this.controller === controller) {
        this.start.disabled = false;
        this.cancel.hidden = true;
        this.chosen.value = "";
      }
    }
    if (this.controller === controller) this.showResult(scoring, name, trouble);
  }

  show({fraction, scored, rejected, isWaiting}) {
    this.bar.value = fraction;
    const wrong = rejected > 0 ? `, ${counted(rejected, "row")} with mistakes` : "";
    this.status.textContent = `${counted(scored, "row")} scored${wrong}${isWaiting ? "; the server is busy, waiting" : ""}`;
  }

  showResult(scoring, name, trouble) {
    this.show(scoring);
    const parts = [];
    if (trouble !== null) parts.push(troubleView(trouble, scoring));
    if (scoring.warnings > 0) {
      parts.push(make("p", {class: "notice warning"}, `${counted(scoring.warnings, "value")} unlike any that the model has seen; `
        + "its answers there are guesses."));
    }
    const stem = name.replace(/\.[^.]*$/, "");
    const downloads = [];
    if (scoring.scored > 0) downloads.push(this.offer(scoring.parts, `${stem}-scored.csv`, "Download the scored rows"));
    if (scoring.mistakes.length > 0)
      downloads.push(this.offer([scoring.mistakesAsCsv()], `${stem}-mistakes.csv`, "Download the mistakes", "second"));
    if (downloads.length > 0) parts.push(make("p", {class: "actions"}, ...downloads));
    if (scoring.prefix !== "")
      parts.push(make("p", {class: "quiet"}, `The file has columns of these names already, so that the answers are called ${scoring.answerNames.join(", ")}.`));
    parts.push(...this.countsView(scoring), ...mistakesView(scoring.mistakes), ...previewView(scoring));
    this.result.replaceChildren(...parts);
  }

  offer(parts, name, text, look = "") {
    const link = downloadLink(new Blob(parts, {type: "text/csv"}), name, text, look);
    this.links.push(link);
    return link;
  }

  countsView({counts, scored}) {
    if (this.model.task !== "classification" || counts === null || counts.size === 0 || counts.size > MOST_BARS) return [];
    const bars = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => ({
      name: shown(label), value: count, text: `${count.toLocaleString("en")} · ${(100 * count / scored).toFixed(1)} %`}));
    return barsView("How often each class was predicted", "Class", bars, scored);
  }
}

function troubleView(trouble, scoring) {
  const done = scoring.scored + scoring.rejected;
  const far = done > 0 ? ` ${counted(done, "row")} had been answered by then.` : "";
  if (trouble.name === "AbortError") return make("p", {class: "notice"}, `Cancelled.${far}`);
  const errors = (trouble.errors ?? []).map(one => make("li", {},
    one.column === null ? "" : make("strong", {}, `${one.column}: `), `expected ${one.expected}, got ${one.got}; ${one.fix}.`));
  return make("div", {class: "notice bad", role: "alert"}, make("p", {}, trouble.message + far),
    errors.length > 0 ? make("ul", {}, ...errors) : null);
}

function mistakesView(mistakes) {
  if (mistakes.length === 0) return [];
  const place = make("div", {});
  const show = count => {
    const some = mistakes.slice(0, count);
    place.replaceChildren(table("Mistakes", ["Row", "Line", "Column", "Expected", "Got", "What to do"],
      some.map(one => [String(one.row), String(one.line), one.column ?? "the whole row", one.expected, one.got, one.fix])));
    if (count >= mistakes.length) return;
    const more = make("button", {type: "button", class: "plain"}, `Show all ${mistakes.length.toLocaleString("en")}`);
    more.addEventListener("click", () => show(mistakes.length));
    place.append(more);
  };
  show(LISTED);
  return [make("h3", {}, counted(mistakes.length, "mistake")), place];
}

function previewView(scoring) {
  const rows = scoring.preview.filter(row => row.answer !== null);
  if (rows.length === 0) return [];
  const cells = text => rawCells(text).map(raw => cellText(raw) ?? "");
  const head = ["Row", ...scoring.answerNames, ...cells(scoring.header)];
  return [make("h3", {}, rows.length < scoring.scored ? "The first rows" : "The rows"),
    table("Scored rows", head, rows.map(row => [String(row.row), ...cells(row.answer), ...cells(row.text)]))];
}

function asCell(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? quoteCell(value) : String(value);
}
