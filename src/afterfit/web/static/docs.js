// The documentation: Swagger UI over /openapi.json, with the key of this tab.

import {send, ServerError} from "./api.js";
import {at, make} from "./dom.js";
import {currentKey, forgetKey, onKeyChange} from "./key.js";

async function start() {
  try {
    const spec = await (await send("openapi.json")).json();
    SwaggerUIBundle({
      spec,
      domNode: at("docs"),
      deepLinking: true,
      docExpansion: "list",
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      validatorUrl: null,
      requestInterceptor: withKey,
    });
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    at("notice").hidden = false;
    at("notice").replaceChildren(make("p", {}, error.message));
  }
}

/** The key of this tab, unless Swagger UI was given one of its own. */
function withKey(request) {
  const key = currentKey(), isOurs = new URL(request.url, document.baseURI).origin === location.origin;
  const hasOwn = Object.keys(request.headers).some(name => /^(authorization|x-api-key)$/i.test(name));
  if (key !== null && isOurs && !hasOwn) request.headers.Authorization = `Bearer ${key}`;
  return request;
}

/** Swagger UI has a dark look of its own, for a class. */
function follow(dark) {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => follow(dark));
follow(dark);
at("forget-key").addEventListener("click", forgetKey);
onKeyChange(() => { at("forget-key").hidden = currentKey() === null; });
start();
