"use strict";
// Tables: a click on a heading sorts by that column, once more turns the order round.
const NUMBER = /^[<>]?\s*([-−+]?[\d.]+(?:e[-+]?\d+)?)(?=$|[\s[×%])/i;
const key = (row, place) => {
  const cell = row.cells[Math.min(place, row.cells.length - 1)];
  const small = cell.querySelector(".small");
  return cell.textContent.slice(0, small ? -small.textContent.length : undefined).trim();
};
for (const table of document.querySelectorAll("table.numbers")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.ariaSort === "ascending" ? -1 : 1;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.ariaSort = sign > 0 ? "ascending" : "descending";
      const found = [...body.rows].map((row) => [key(row, place), row]);
      const numbers = found.every(([text]) => text === "–" || NUMBER.test(text));
      const value = (text) => parseFloat(text.match(NUMBER)[1].replace("−", "-"));
      found.sort(([a], [b]) => {
        if (a === "–" || b === "–") return (a === "–") - (b === "–");  // always last
        const order = numbers ? value(a) - value(b)
          : a.localeCompare(b, undefined, {numeric: true});
        return sign * order;
      });
      body.append(...found.map(([, row]) => row));
    });
  });
}
// Figures: a click, or Enter, shows one in its own size; Esc or another click closes it.
const dialog = document.getElementById("large"), shown = dialog.querySelector("img");
for (const link of document.querySelectorAll("a.large"))
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const image = link.querySelector("img");
    shown.src = image.src;
    dialog.ariaLabel = shown.alt = image.alt;
    dialog.showModal();
  });
dialog.addEventListener("click", (event) => {
  if (event.target === dialog || event.target === shown) dialog.close();
});
// Links to folded parts unfold them; print has them all.
const unfold = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", unfold);
unfold();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("main > details:not([open])")];
  folded.forEach((each) => { each.open = true; });
});
addEventListener("afterprint", () => folded.forEach((each) => { each.open = false; }));
