// CSV as RFC 4180 describes it, cut into records and cells that keep their quotes: an empty cell and "" differ.

const COMMA = ",", DELIMITERS = [",", ";", "\t"];

/** Cuts text that arrives in pieces into records: `{text, line}`, the line it begins on, without its line end. */
export class RecordCutter {
  constructor(delimiter = COMMA) {
    this.delimiter = delimiter;
    this.line = 1;
    this.rest = "";
    this.place = 0;
    this.isQuoted = false;
    this.isCellStart = true;
  }

  /** The records that end within what has arrived; with `isLast`, what is left is one too. */
  push(piece, isLast = false) {
    const text = this.rest + piece, records = [];
    let start = 0, startLine = this.line, at = this.place, line = this.lineAt ?? this.line;
    for (; at < text.length; at += 1) {
      const letter = text[at];
      if (letter === '"') {
        if (this.isQuoted) {
          if (at + 1 === text.length && !isLast) break;
          if (text[at + 1] === '"') at += 1;
          else this.isQuoted = false;
        } else if (this.isCellStart) this.isQuoted = true;
        this.isCellStart = false;
      } else if (letter === "\n" || letter === "\r") {
        if (letter === "\r" && at + 1 === text.length && !isLast) break;
        const end = at;
        if (letter === "\r" && text[at + 1] === "\n") at += 1;
        line += 1;
        if (this.isQuoted) continue;
        records.push({text: text.slice(start, end), line: startLine});
        start = at + 1;
        startLine = line;
        this.isCellStart = true;
      } else if (!this.isQuoted) this.isCellStart = letter === this.delimiter;
    }
    if (isLast && start < text.length) {
      records.push({text: text.slice(start), line: startLine});
      start = text.length;
    }
    this.rest = text.slice(start);
    this.place = at - start;
    this.line = startLine;
    this.lineAt = line;
    return records;
  }
}

/** The cells of a record, as they stand there. */
export function rawCells(record, delimiter = COMMA) {
  const cells = [];
  let start = 0, isQuoted = false;
  for (let at = 0; at < record.length; at += 1) {
    const letter = record[at];
    if (isQuoted) {
      if (letter !== '"') continue;
      if (record[at + 1] === '"') at += 1;
      else isQuoted = false;
    } else if (letter === '"' && at === start) isQuoted = true;
    else if (letter === delimiter) {
      cells.push(record.slice(start, at));
      start = at + 1;
    }
  }
  cells.push(record.slice(start));
  return cells;
}

/** What a cell says; null where it is empty without quotes. */
export function cellText(raw) {
  if (raw === "") return null;
  return raw.startsWith('"') ? raw.slice(1, raw.endsWith('"') && raw.length > 1 ? -1 : undefined).replaceAll('""', '"') : raw;
}

/** A text as a cell. */
export function quoteCell(text) {
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A record of another delimiter with commas. */
export function withCommas(record, delimiter) {
  if (delimiter === COMMA) return record;
  return rawCells(record, delimiter).map(raw => (!raw.startsWith('"') && /[,"]/.test(raw) ? quoteCell(raw) : raw)).join(COMMA);
}

/** The delimiter by which a header names most of the columns that are known; a comma where none does. */
export function findDelimiter(header, names) {
  const known = new Set(names);
  const score = delimiter => rawCells(header, delimiter).filter(raw => known.has(cellText(raw))).length;
  return DELIMITERS.reduce((best, one) => (score(one) > score(best) ? one : best), COMMA);
}
