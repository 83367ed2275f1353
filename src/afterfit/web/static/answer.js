// The answer to one row: the prediction, its probabilities as bars, and what was unusual.

import {make, makeSvg, table} from "./dom.js";
import {sentence} from "./form.js";
import {writeJson} from "./exact.js";
import {percent, rounded, shown} from "./values.js";

const BARS = 8;

/** What is shown of an answer of one row by a model as described; `milliseconds` it took. */
export function answerView(answer, {task, version}, milliseconds) {
  const prediction = answer.predictions[0];
  const parts = [];
  if (task === "transformation") parts.push(transformedView(prediction, answer.columns));
  else parts.push(...predictionView(prediction, answer));
  if (answer.probabilities) parts.push(...probabilitiesView(answer));
  for (const [name, rows] of Object.entries(answer)) {
    if (["model", "version", "predictions", "probabilities", "classes", "columns", "warnings"].includes(name)) continue;
    parts.push(make("p", {}, `${name}: `, make("code", {}, writeJson(rows[0]))));
  }
  if (answer.warnings?.length) parts.push(warningsView(answer.warnings));
  if (answer.version !== version) {
    parts.push(make("p", {class: "notice warning"}, "The model was replaced after this form was made, and the newer one answered. "
      + "Reload the page to see what it expects."));
  }
  parts.push(make("p", {class: "quiet"}, `Version ${answer.version} answered in ${rounded(milliseconds, 2)} ms.`));
  parts.push(make("details", {}, make("summary", {}, "The answer as it was sent"),
    make("pre", {tabindex: "0", role: "region", "aria-label": "The answer as it was sent"}, writeJson(answer, 1))));
  return parts;
}

function predictionView(prediction, answer) {
  if (Array.isArray(prediction)) {
    const rows = prediction.map((value, index) => [String(index + 1), shown(value)]);
    return [table("Predictions", ["Output", "Value"], rows)];
  }
  const parts = [make("p", {class: "prediction"}, typeof prediction === "number" ? rounded(prediction) : shown(prediction))];
  const chance = chanceOf(prediction, answer);
  if (chance !== null) parts.push(make("p", {class: "chance"}, `with a probability of ${percent(chance).replace("> ", "more than ").replace("< ", "less than ")}`));
  else if (typeof prediction === "number" && rounded(prediction).replaceAll(",", "") !== writeJson(prediction))
    parts.push(make("p", {class: "chance"}, `exactly ${writeJson(prediction)}`));
  return parts;
}

function chanceOf(prediction, answer) {
  const place = answer.classes?.indexOf(prediction) ?? -1;
  const chance = answer.probabilities?.[0]?.[place];
  return typeof chance === "number" ? chance : null;
}

function probabilitiesView(answer) {
  const row = answer.probabilities[0];
  const names = answer.classes ?? row.map((_, index) => index);
  if (!row.every(value => typeof value === "number") || names.length !== row.length)
    return [make("p", {}, "Probabilities: ", make("code", {}, writeJson(row)))];
  const classes = row.map((value, index) => ({name: shown(names[index]), value})).sort((a, b) => b.value - a.value);
  return [...barsView("Probability of each class", "Class", classes.map(one => ({...one, text: percent(one.value)})))];
}

/** Bars, longest first, as a table with a picture in each row; beyond the first few behind a button. */
export function barsView(caption, noun, bars, most = 1) {
  const rows = bars.map(({name, value, text}) => make("tr", {},
    make("th", {scope: "row"}, name),
    make("td", {class: "bar-cell"}, bar(most > 0 ? value / most : 0)),
    make("td", {class: "figure", title: writeJson(value)}, text)));
  const body = make("tbody", {}, ...rows.slice(0, BARS));
  const parts = [make("table", {class: "bars"}, make("caption", {}, caption),
    make("colgroup", {}, make("col", {class: "bar-name"}), make("col"), make("col", {class: "bar-figure"})),
    make("thead", {class: "hidden"}, make("tr", {}, ...[noun, "Bar", "Value"].map(name => make("th", {scope: "col"}, name)))),
    body)];
  if (rows.length > BARS) {
    const more = make("button", {type: "button", class: "plain"}, `Show ${rows.length - BARS} more`);
    more.addEventListener("click", () => {
      body.append(...rows.slice(BARS));
      more.remove();
    });
    parts.push(more);
  }
  return parts;
}

function bar(share) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return makeSvg("svg", {viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true", class: "bar-picture"},
    makeSvg("rect", {width: 100, height: 10, class: "bar-back"}),
    makeSvg("rect", {width, height: 10, class: "bar-front"}));
}

function transformedView(row, columns) {
  const values = Array.isArray(row) ? row : [row];
  return table("Transformed row", ["Column", "Value"],
    values.map((value, index) => [shown(columns?.[index] ?? index), shown(value)]));
}

function warningsView(warnings) {
  return make("div", {class: "notice warning"},
    make("p", {}, "The model has not seen values like these, so that its answer is a guess:"),
    make("ul", {}, ...warnings.map(one => make("li", {}, make("strong", {}, `${one.column}: `), sentence(one, "warning")))));
}
