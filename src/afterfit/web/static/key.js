// The key of this tab, and the dialog that asks for it.

import {make} from "./dom.js";

const PLACE = "afterfit-key";
const storage = openStorage();
let current = storage?.getItem(PLACE) ?? null;
let asked = null;
const listeners = [];

/** The storage of this tab; null where the browser is set to keep nothing, and a key then ends with the page. */
function openStorage() {
  try {
    return sessionStorage;
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    return null;
  }
}

/** The key that requests carry, or null. */
export const currentKey = () => current;

/** Call `listener` whenever the key changes. */
export function onKeyChange(listener) {
  listeners.push(listener);
  listener();
}

/** Keep no key any more. */
export function forgetKey() {
  setKey(null);
}

function setKey(key) {
  current = key;
  if (key === null) storage?.removeItem(PLACE);
  else storage?.setItem(PLACE, key);
  listeners.forEach(listener => listener());
}

/** Ask for a key: true once there is one, false where the person would rather not. One dialog for all who ask. */
export function askForKey(reason) {
  asked ??= ask(reason).finally(() => { asked = null; });
  return asked;
}

function ask(reason) {
  const input = make("input", {id: "key", type: "password", autocomplete: "off", spellcheck: "false",
    "aria-describedby": "key-error"});
  const error = make("p", {id: "key-error", class: "error", role: "alert"});
  const cancel = make("button", {type: "button", class: "plain"}, "Cancel");
  const form = make("form", {},
    make("h2", {id: "key-title"}, "This server asks for a key"),
    make("p", {class: "quiet"}, reason),
    make("label", {for: "key"}, "API key"), input, error,
    make("p", {class: "quiet"}, "It is kept in this tab until you close it, and sent to this server only."),
    make("div", {class: "actions"}, make("button", {type: "submit"}, "Use this key"), cancel));
  const dialog = make("dialog", {"aria-labelledby": "key-title"}, form);
  document.body.append(dialog);
  return new Promise(resolve => {
    let given = false;
    form.addEventListener("submit", event => {
      event.preventDefault();
      const key = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) {
        error.textContent = key ? "A key has no spaces and no letters beyond ASCII." : "Enter the key.";
        input.focus();
        return;
      }
      given = true;
      setKey(key);
      dialog.close();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(given);
    });
    dialog.showModal();
    input.focus();
  });
}
