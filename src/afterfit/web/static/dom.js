// Elements are made here and nowhere else, and from text alone: names and values come from files and requests.

/** An element with attributes and children; a string is a text, a boolean attribute is there or not. */
export function make(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** The same for a picture. */
export function makeSvg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** The element of the page with this id. */
export const at = id => document.getElementById(id);

/** A table that scrolls sideways by itself, reachable by keyboard. `rows` are lists of texts or elements. */
export function table(caption, head, rows) {
  const cells = (tag, row) => row.map(cell => make(tag, tag === "th" ? {scope: "col"} : {}, cell));
  return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption},
    make("table", {},
      make("caption", {class: "hidden"}, caption),
      make("thead", {}, make("tr", {}, ...cells("th", head))),
      make("tbody", {}, ...rows.map(row => make("tr", {}, ...cells("td", row))))));
}

/** Offers `blob` under this name as a download; the link that was offered before should be dropped with `revoke`. */
export function downloadLink(blob, name, text, look = "") {
  return make("a", {class: `button ${look}`, href: URL.createObjectURL(blob), download: name}, text);
}

/** Let go of what a link of `downloadLink` holds. */
export function revoke(link) {
  URL.revokeObjectURL(link.href);
}

/** `count` with its noun. */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
