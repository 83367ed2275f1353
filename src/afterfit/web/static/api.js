// Requests to this server: with the key, and with every refusal as one kind of error.

import {parseExact} from "./exact.js";
import {askForKey, currentKey} from "./key.js";

/** The server said no, or nothing. `status` is 0 where there was no answer; `errors` as problem details have them. */
export class ServerError extends Error {
  constructor(status, detail, {errors = [], truncated = false, retryAfter = null} = {}) {
    super(detail);
    this.status = status;
    this.errors = errors;
    this.truncated = truncated;
    this.retryAfter = retryAfter;
  }
}

/** The address of a path of this server, wherever it is mounted. */
export const address = path => new URL(path, document.baseURI).href;

/** The path of a model, or of one version of it. */
export function modelPath(name, version) {
  const path = `models/${encodeURIComponent(name)}`;
  return version === undefined ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

/** Send a request; the response, whose status is good. Asks for a key where the server does. Throws ServerError. */
export async function send(path, {method = "GET", headers = {}, body, signal} = {}) {
  for (;;) {
    const key = currentKey();
    let response;
    try {
      response = await fetch(address(path), {
        method, body, signal, cache: "no-store", credentials: "same-origin",
        headers: key === null ? headers : {...headers, authorization: `Bearer ${key}`}});
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServerError(0, "The server does not answer. Is it running, and is the network up?");
    }
    if (response.ok) return response;
    const refusal = await read(response);
    if (response.status !== 401) throw refusal;
    // Another request may have brought a new key meanwhile.
    if (key === currentKey() && !await askForKey(key === null ? refusal.message : "The server does not know the key it was sent."))
      throw new ServerError(401, "The server answers only with a key.");
  }
}

/** The JSON value that a path answers. */
export async function getJson(path, options) {
  return parseExact(await (await send(path, options)).text());
}

/** The JSON value that a path answers to a body of JSON. */
export function postJson(path, body, signal) {
  return getJson(path, {method: "POST", body, signal, headers: {"content-type": "application/json"}});
}

async function read(response) {
  const text = await response.text();
  const header = Number(response.headers.get("retry-after"));
  const retryAfter = header > 0 ? header : null;
  let problem;
  try {
    problem = parseExact(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const detail = problem?.detail ?? problem?.title ?? `The server answered ${response.status}.`;
  return new ServerError(response.status, String(detail), {
    errors: Array.isArray(problem?.errors) ? problem.errors : [], truncated: problem?.truncated === true, retryAfter});
}
