// The page: chooses a model, and joins its form, its answer and its file panel.

import {address, getJson, modelPath, postJson, ServerError} from "./api.js";
import {answerView} from "./answer.js";
import {curl, python} from "./code.js";
import {at, counted, make} from "./dom.js";
import {writeJson} from "./exact.js";
import {FilePanel} from "./file.js";
import {RowForm, sentence} from "./form.js";
import {currentKey, forgetKey, onKeyChange} from "./key.js";

const CHECK_AFTER = 400;
const FINDER_FROM = 20;

let models = [], model = null, path = "", form = null, panel = null;
let checking = null, timer = 0, asking = null;

/** Say what is wrong with the page as a whole; with null nothing is. */
function notify(error) {
  at("notice").hidden = error === null;
  if (error === null) return;
  const again = make("button", {type: "button", class: "plain"}, "Try again");
  again.addEventListener("click", () => start());
  at("notice").replaceChildren(make("p", {}, error.message), again);
}

async function start() {
  notify(null);
  try {
    ({models} = await getJson("models"));
    if (models.length === 0) {
      at("title").textContent = "No model is served";
      return;
    }
    at("model").replaceChildren(...models.map(one => make("option", {value: one.name}, one.name)));
    at("model-choice").hidden = models.length < 2;
    const {name, version} = linked();
    await choose(models.some(one => one.name === name) ? name : models[0].name, version);
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    at("title").textContent = "The model could not be loaded";
    notify(error);
  }
}

/** The model that the address of the page names, `#name` or `#name@version`. */
function linked() {
  try {
    const [name, version] = location.hash.slice(1).split("@").map(decodeURIComponent);
    return {name, version};
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return {};
  }
}

/** Show a model; its newest version where none is named or the one named is not served. */
async function choose(name, version) {
  panel?.close();
  let described = await getJson(modelPath(name));
  const newest = described.versions.at(-1);
  const isOlder = version !== undefined && version !== newest && described.versions.includes(version);
  path = modelPath(name, isOlder ? version : undefined);
  if (isOlder) described = await getJson(path);
  model = described;
  at("model").value = name;
  at("version").replaceChildren(...[...described.versions].reverse().map(one =>
    make("option", {value: one}, one === newest ? `${one} (newest)` : one)));
  at("version").value = described.version;
  at("version-choice").hidden = described.versions.length < 2;
  at("choosers").hidden = at("model-choice").hidden && at("version-choice").hidden;
  const hash = encodeURIComponent(name) + (isOlder ? `@${encodeURIComponent(version)}` : "");
  history.replaceState(null, "", models.length > 1 || isOlder ? `#${hash}` : location.pathname);
  showModel();
}

function showModel() {
  document.title = `${model.name} · afterfit`;
  at("title").textContent = model.name;
  at("about").textContent = model.description ?? "";
  at("facts").textContent = [model.task, `${model.framework.model} of ${model.framework.name} ${model.framework.version}`,
    `version ${model.version}`].join(" · ");
  form = new RowForm(model.columns, at("fields"));
  const unread = model.columns.filter(column => column.input === null).map(column => column.name);
  at("unread").hidden = unread.length === 0;
  at("unread").textContent = `Not read by the model, and left out: ${unread.join(", ")}.`;
  at("find").hidden = form.fields.size < FINDER_FROM;
  at("find-text").value = "";
  panel = new FilePanel(at("file"), model, path);
  at("content").hidden = false;
  fill(model.example.rows[0]);
}

function fill(row) {
  stopChecking();
  asking?.abort();
  at("answer").classList.remove("is-old");
  form.fill(row);
  showRest([]);
  at("check").textContent = "";
  at("answer").replaceChildren(make("p", {class: "quiet"}, "Fill in the form and press Predict, or Enter."));
  showCode();
}

function stopChecking() {
  clearTimeout(timer);
  checking?.abort();
  checking = null;
}

function onInput() {
  at("answer").classList.toggle("is-old", at("answer").querySelector("details") !== null);
  showCode();
  stopChecking();
  timer = setTimeout(check, CHECK_AFTER);
}

/** Have the server look at the row as it stands, without an answer. */
async function check() {
  const {row, unready} = form.read();
  if (unready.size > 0) {
    at("check").textContent = `${counted(unready.size, "field")} to fill in`;
    return;
  }
  const controller = checking = new AbortController();
  try {
    const {warnings} = await postJson(`${path}/check`, writeJson({rows: [row]}), controller.signal);
    if (checking === controller) showMistakes([], warnings);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof ServerError)) throw error;
    if (checking !== controller) return;
    if (error.status === 422) showRefusal(error);
    else at("check").textContent = `Not checked: ${error.message}`;
  }
}

/** Put mistakes beside their fields and the others above the form. */
function showMistakes(errors, warnings) {
  showRest(form.showMistakes(errors, warnings).map(one => `${one.column === null ? "" : `${one.column}: `}${sentence(one)}`));
  at("check").textContent = errors.length > 0 ? counted(errors.length, "mistake")
    : warnings.length > 0 ? counted(warnings.length, "unusual value") : "The row fits the model.";
}

function showRefusal(error) {
  if (error.status === 422) {
    showMistakes(error.errors, []);
    return;
  }
  showRest([error.message]);
  at("check").textContent = "";
}

function showRest(texts) {
  at("form-errors").hidden = texts.length === 0;
  at("form-errors").replaceChildren(...texts.map(text => make("li", {}, text)));
}

async function predict(event) {
  event.preventDefault();
  stopChecking();
  const {row, unready} = form.read();
  form.showMistakes([]);
  showRest([]);
  if (unready.size > 0) {
    form.showUnready(unready);
    at("check").textContent = `${counted(unready.size, "field")} to fill in`;
    focusMistake();
    return;
  }
  asking?.abort();
  const controller = asking = new AbortController();
  const started = performance.now();
  at("check").textContent = "Asking the model …";
  try {
    const answer = await postJson(`${path}/predict`, writeJson({rows: [row]}), controller.signal);
    const took = performance.now() - started;
    if (asking !== controller) return;
    showMistakes([], answer.warnings ?? []);
    at("check").textContent = "";
    at("answer").classList.remove("is-old");
    at("answer").replaceChildren(...answerView(answer, model, took));
    at("answer").parentElement.scrollIntoView({block: "nearest"});
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof ServerError)) throw error;
    if (asking !== controller) return;
    showRefusal(error);
    focusMistake();
  }
}

function focusMistake() {
  if (!at("find").hidden && at("find-text").value !== "") {
    at("find-text").value = "";
    form.find("");
  }
  if (!form.focusFirstMistake()) at("form-errors").scrollIntoView({block: "nearest"});
}

/** The request as it would be sent now; fields that are not filled in are missing from it. */
function showCode() {
  const {row} = form.read();
  const write = at("language").value === "python" ? python : curl;
  at("code").textContent = write(address(`${path}/predict`), {rows: [row]}, currentKey() !== null);
  at("copied").textContent = "";
}

async function copyCode() {
  // Without TLS browsers keep the clipboard from pages of other hosts than this one.
  if (navigator.clipboard === undefined) {
    getSelection().selectAllChildren(at("code"));
    at("copied").textContent = "Selected: press Ctrl+C.";
    return;
  }
  await navigator.clipboard.writeText(at("code").textContent);
  at("copied").textContent = "Copied.";
}

function chooseAgain(name, version) {
  choose(name, version).then(() => notify(null), error => {
    if (!(error instanceof ServerError)) throw error;
    notify(error);
  });
}

at("form").addEventListener("submit", predict);
at("fields").addEventListener("input", onInput);
at("fields").addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
at("fill").addEventListener("click", () => fill(model.example.rows[0]));
at("clear").addEventListener("click", () => fill({}));
at("find-text").addEventListener("input", () => {
  const count = form.find(at("find-text").value);
  at("check").textContent = counted(count, "column");
});
at("find-text").addEventListener("keydown", event => {
  if (event.key === "Enter") event.preventDefault();
});
at("model").addEventListener("change", () => chooseAgain(at("model").value));
at("version").addEventListener("change", () => chooseAgain(model.name, at("version").value));
at("language").addEventListener("change", showCode);
at("copy").addEventListener("click", copyCode);
at("forget-key").addEventListener("click", forgetKey);
onKeyChange(() => {
  at("forget-key").hidden = currentKey() === null;
  if (form !== null) showCode();
});
start();
