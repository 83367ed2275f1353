// What is wrong with a page for people who use a keyboard, a screen reader, or eyes that need contrast: a list of sentences.
() => {
  const problems = [];
  const shown = element => element.checkVisibility({visibilityProperty: true}) && element.closest("[aria-hidden=true]") === null;
  const words = element => element.outerHTML.slice(0, 120);
  const textOf = ids => (ids ?? "").split(/\s+/).map(id => document.getElementById(id)?.textContent ?? "").join(" ").trim();

  const controls = "input, select, textarea, button, a[href], progress, [tabindex='0'], dialog, [role=radiogroup], [role=img]";
  for (const element of document.querySelectorAll(controls)) {
    if (!shown(element)) continue;
    const name = element.getAttribute("aria-label") || textOf(element.getAttribute("aria-labelledby"))
      || [...element.labels ?? []].map(label => label.textContent).join(" ").trim()
      || (element.matches("button, a, [role=button], summary") ? element.textContent.trim() : "");
    if (!name) problems.push(`${element.localName} without a name: ${words(element)}`);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/))
        if (document.getElementById(id) === null) problems.push(`${attribute} names ${id}, which is not there`);
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
  for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) problems.push(`the id ${id} is there twice`);
  for (const element of document.querySelectorAll("[tabindex]"))
    if (element.tabIndex > 0) problems.push(`a tabindex of its own order: ${words(element)}`);
  for (const element of document.querySelectorAll("[aria-hidden=true] *, [aria-hidden=true]"))
    if (element.tabIndex >= 0 && shown(element.parentElement)) problems.push(`focus on what is hidden: ${words(element)}`);
  for (const image of document.images) if (!image.hasAttribute("alt")) problems.push(`an image without alt: ${words(image)}`);
  if (!document.documentElement.lang) problems.push("the page has no language");
  if (document.querySelectorAll("main").length !== 1 || document.querySelectorAll("h1").length !== 1) problems.push("not one main and one h1");
  for (const cells of document.querySelectorAll("table")) {
    if (cells.querySelector("th") === null || cells.caption === null) problems.push(`a table without caption or heads: ${words(cells)}`);
  }

  const parse = color => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = color => {
    const [r, g, b] = color.map(part => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backOf = element => {
    for (let one = element; one !== null; one = one.parentElement) {
      const [r, g, b, alpha = 1] = parse(getComputedStyle(one).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(element) || element.closest("option, noscript, .hidden, .skip, :disabled") !== null) continue;
    // A sheet that is faded as a whole is not to be read any more.
    if (element.closest(".is-old, .is-missing") !== null) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(parse(style.color).slice(0, 3)), luminance(backOf(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) problems.push(`a contrast of ${ratio.toFixed(2)}: ${words(element)}`);
  }
  for (const field of document.querySelectorAll("input:not([type=range], [type=radio], [type=checkbox], [type=file]), select, textarea")) {
    if (!shown(field) || field.disabled || field.matches("[aria-invalid]")) continue;
    const [light, dark] = [luminance(parse(getComputedStyle(field).borderTopColor)), luminance(backOf(field))].sort((a, b) => b - a);
    if ((light + 0.05) / (dark + 0.05) < 2.4) problems.push(`a border that is hard to see: ${words(field)}`);
  }
  return [...new Set(problems)];
}
