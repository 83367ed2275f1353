// The request of the form, for other programs.

import {writeJson, writePython} from "./exact.js";

/** A curl command that sends `body` to `url`; the key is never part of it. */
export function curl(url, body, hasKey) {
  return [
    `curl ${quoted(url)}`,
    ...hasKey ? [`-H "Authorization: Bearer $AFTERFIT_KEY"`] : [],
    "-H 'Content-Type: application/json'",
    `-d ${quoted(writeJson(body, 3))}`,
  ].join(" \\\n  ");
}

/** A Python script that does the same. */
export function python(url, body, hasKey) {
  return [
    ...hasKey ? ["import os", ""] : [],
    "import requests", "",
    "answer = requests.post(",
    `    ${writePython(url)},`,
    `    json=${writePython(body, 3).replaceAll("\n", "\n    ")},`,
    ...hasKey ? [`    headers={"Authorization": f"Bearer {os.environ['AFTERFIT_KEY']}"},`] : [],
    "    timeout=30,",
    ")",
    "print(answer.json())",
  ].join("\n");
}

/** A word of a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
