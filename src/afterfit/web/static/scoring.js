// Scores CSV of any length in requests of bounded size. Knows nothing of the page.

import {send, ServerError} from "./api.js";
import {cellText, findDelimiter, quoteCell, rawCells, RecordCutter, withCommas} from "./csv.js";

const MOST_ROWS = 2_000;
const MOST_LETTERS = 1_000_000;
const TRIES = 10;
const LONGEST_WAIT = 60;
const PREVIEW = 50;
const MOST_DISTINCT = 200;
const PASSING = new Set([429, 502, 503, 504]);

/** What stops the whole: not a mistake of one row. */
export class Unscorable extends Error {}

/**
 * Scores one table. `score` resolves when all rows are through; whatever becomes of it, the fields say how far it came.
 *
 * `parts` make up the scored file; a row with mistakes is in it without an answer, unless it cannot even be cut
 * into the cells of the header and is left out. `mistakes` are all of
 * them as `{row, line, column, expected, got, fix}`, rows counted from 1 and without the header. `counts` says how often
 * each prediction was given, null where there are too many to count. `preview` are the first rows, answers first.
 */
export class Scoring {
  constructor({path, columns, signal, onProgress = () => {}}) {
    this.path = path;
    this.columns = columns;
    this.signal = signal;
    this.onProgress = onProgress;
    this.mostRows = MOST_ROWS;
    this.scored = 0;
    this.rejected = 0;
    this.warnings = 0;
    this.fraction = 0;
    this.isWaiting = false;
    this.parts = [];
    this.mistakes = [];
    this.counts = new Map();
    this.preview = [];
    this.header = null;
    this.prefix = "";
  }

  /** Score all rows of a Blob. Throws Unscorable, ServerError, or AbortError where it was cancelled. */
  async score(blob) {
    let pending = [], letters = 0;
    for await (const {record, fraction} of records(blob, this.columns)) {
      if (this.header === null) {
        this.header = record.text;
        this.width = rawCells(record.text).length;
        continue;
      }
      // Where there is one column, a blank line is a row whose value is missing.
      if (record.text === "" && this.width > 1) continue;
      pending.push({...record, row: this.scored + this.rejected + pending.length + 1, answer: null});
      letters += record.text.length;
      if (pending.length >= this.mostRows || letters >= MOST_LETTERS) {
        await this.scoreRows(pending);
        this.fraction = fraction;
        pending = [];
        letters = 0;
        this.onProgress(this);
      }
    }
    if (this.header === null) throw new Unscorable("There are no rows: the first line names the columns.");
    if (pending.length > 0) await this.scoreRows(pending);
    if (this.scored + this.rejected === 0) throw new Unscorable("There are no rows below the line that names the columns.");
    this.fraction = 1;
    this.onProgress(this);
  }

  async scoreRows(rows) {
    let left = rows;
    while (left.length > 0) {
      const some = left.slice(0, this.mostRows);
      const again = await this.scoreSome(some);
      left = [...again, ...left.slice(some.length)];
    }
    this.write(rows);
  }

  /** Send some rows; those that have to be sent again, without what was wrong with the others. */
  async scoreSome(rows) {
    const body = [this.header, ...rows.map(row => row.text), ""].join("\n");
    try {
      const response = await this.ask(body);
      this.warnings += Number(response.headers.get("afterfit-warnings") ?? 0);
      this.take(rows, await response.text());
      return [];
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.status === 413 && rows.length > 1) {
        this.mostRows = Math.max(1, Math.floor(rows.length / 2));
        return rows;
      }
      if (error.status === 413) {
        this.reject(rows[0], [{column: null, expected: "a row within the server's limit", got: error.message, fix: "shorten it"}]);
        return [];
      }
      if (error.status === 422) return this.setAside(rows, error);
      throw error;
    }
  }

  /** Send a body, again and again while the server has too much to do. */
  async ask(body) {
    for (let tries = 1; ; tries += 1) {
      try {
        const headers = {"content-type": "text/csv", accept: "text/csv"};
        const response = await send(this.path, {method: "POST", body, headers, signal: this.signal});
        this.isWaiting = false;
        return response;
      } catch (error) {
        if (!(error instanceof ServerError) || !PASSING.has(error.status) || tries === TRIES) throw error;
        // A quota that is used up does not come back while somebody watches.
        if (error.retryAfter > LONGEST_WAIT) throw error;
        this.isWaiting = true;
        this.onProgress(this);
        await pause(error.retryAfter ?? tries, this.signal);
      }
    }
  }

  take(rows, text) {
    const [head, ...answers] = new RecordCutter().push(text, true).map(record => record.text);
    if (head === undefined || answers.length !== rows.length)
      throw new Unscorable(`The server answered ${answers.length} rows for ${rows.length}; nothing of them is kept.`);
    if (this.parts.length === 0 && this.answerHead === undefined) this.answerHead = head;
    if (head !== this.answerHead) throw new Unscorable("The model was replaced while the file was scored; score it again.");
    rows.forEach((row, index) => { row.answer = answers[index]; });
  }

  /** Note the mistakes of a refusal; the rows that have none. Throws what is a mistake of no row. */
  setAside(rows, refusal) {
    const wrong = new Map();
    for (const mistake of refusal.errors) {
      if (typeof mistake.row !== "number" || rows[mistake.row] === undefined) throw refusal;
      if (!wrong.has(mistake.row)) wrong.set(mistake.row, []);
      wrong.get(mistake.row).push(mistake);
    }
    if (wrong.size === 0) throw refusal;
    // A list that was cut off may lack mistakes of its last row, which is asked about again.
    if (refusal.truncated && wrong.size > 1) wrong.delete(Math.max(...wrong.keys()));
    for (const [index, mistakes] of wrong) this.reject(rows[index], mistakes);
    return rows.filter((_, index) => !wrong.has(index));
  }

  reject(row, mistakes) {
    row.mistakes = mistakes;
    for (const mistake of mistakes) this.mistakes.push({...mistake, row: row.row, line: row.line});
  }

  write(rows) {
    if (this.answerHead === undefined && rows.every(row => row.answer === null)) {
      // No answer has named its columns yet.
      this.held = [...this.held ?? [], ...rows];
    } else {
      const all = [...this.held ?? [], ...rows];
      this.held = undefined;
      if (this.parts.length === 0) this.begin();
      const blank = ",".repeat(rawCells(this.answerHead).length - 1);
      const kept = all.filter(row => row.answer !== null || rawCells(row.text).length === this.width);
      // Browsers may keep Blobs on disk.
      this.parts.push(new Blob(kept.map(row => `${row.text},${row.answer ?? blank}\n`)));
    }
    for (const row of rows) {
      if (row.answer === null) this.rejected += 1;
      else this.count(row);
      if (this.preview.length < PREVIEW) this.preview.push(row);
    }
  }

  begin() {
    const taken = new Set(rawCells(this.header).map(cellText));
    const names = rawCells(this.answerHead).map(raw => cellText(raw) ?? "");
    while (names.some(name => taken.has(this.prefix + name))) this.prefix += "model_";
    this.answerNames = names.map(name => this.prefix + name);
    this.parts.push(`${this.header},${this.answerNames.map(quoteCell).join(",")}\n`);
  }

  count(row) {
    this.scored += 1;
    if (this.counts === null) return;
    const prediction = cellText(rawCells(row.answer)[0]) ?? "";
    this.counts.set(prediction, (this.counts.get(prediction) ?? 0) + 1);
    if (this.counts.size > MOST_DISTINCT) this.counts = null;
  }

  /** The mistakes as CSV. */
  mistakesAsCsv() {
    const names = ["row", "line", "column", "expected", "got", "fix"];
    const lines = this.mistakes.map(one => names.map(name => quoteCell(String(one[name] ?? ""))).join(","));
    return [names.join(","), ...lines, ""].join("\n");
  }
}

/** The records of a Blob, with commas, and how much of it had been read. Throws Unscorable where it is no UTF-8. */
async function* records(blob, columns) {
  const decoder = new TextDecoder("utf-8", {fatal: true});
  const reader = blob.stream().getReader();
  let read = 0, head = "", cutter = null, delimiter = ",";
  for (;;) {
    const {done, value} = await reader.read();
    let text;
    try {
      text = done ? decoder.decode() : decoder.decode(value, {stream: true});
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new Unscorable("The file is not UTF-8. In a spreadsheet, save it as CSV UTF-8.");
    }
    read += done ? 0 : value.length;
    if (cutter === null) {
      head += text;
      const [first] = new RecordCutter().push(head, done);
      if (first === undefined) {
        if (done) return;
        continue;
      }
      delimiter = findDelimiter(first.text, columns);
      cutter = new RecordCutter(delimiter);
      text = head;
    }
    const fraction = blob.size === 0 ? 1 : read / blob.size;
    for (const record of cutter.push(text, done))
      yield {record: {text: withCommas(record.text, delimiter), line: record.line}, fraction};
    if (done) return;
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal.addEventListener("abort", stop, {once: true});
  });
}
