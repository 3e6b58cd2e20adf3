"""Style and script of the HTML page. Colours keep a contrast of 4.5 to 1 and more; every state has a sign besides."""

from __future__ import annotations

STYLE = """
:root{--page:#fff;--text:#1a2233;--quiet:#56607a;--line:#d8deea;--head:#f6f8fc;--focus:#1d4ed8;
--yes:#0b6b41;--yes-in:#dcf3e6;--part:#7a5200;--part-in:#fdefcd;--else:#1a4fb4;--else-in:#e0eafc;
--no:#a4191f;--no-in:#fce2e0;--what:#4b5468;--what-in:#ecedf1}
@media(prefers-color-scheme:dark){:root{--page:#12161f;--text:#e6eaf3;--quiet:#a3adc2;--line:#323b4e;--head:#1a202c;
--focus:#8ab4ff;--yes:#7be0ac;--yes-in:#12372a;--part:#f5cd72;--part-in:#3c3013;--else:#9dc1ff;--else-in:#1a2d52;
--no:#ff9f9a;--no-in:#481d1f;--what:#b8c0d1;--what-in:#262d3a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:96rem;margin:0 auto;padding:1.5rem 2.5rem 4rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .75rem}h3{font-size:1.1rem;margin:0 0 .5rem}
h3 small{color:var(--quiet);font-weight:400}
.lead,.hint{color:var(--quiet);margin:.25rem 0 1rem}
.skip,.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip:focus{position:static;width:auto;height:auto;clip-path:none}
:focus-visible{outline:3px solid var(--focus);outline-offset:1px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;margin:1rem 0}
.tiles div{border:1px solid var(--line);border-radius:8px;padding:.75rem 1rem;display:flex;
flex-direction:column-reverse;justify-content:flex-end}
.tiles dd{margin:0;font-size:1.4rem;font-weight:700}.tiles dt{color:var(--quiet)}
section>h3{margin:1.5rem 0 .5rem}
.errors{border:1px solid var(--no);border-radius:8px;padding:0 1rem;margin:1rem 0;overflow-wrap:anywhere}
fieldset{border:0;padding:0;margin:0 0 1rem;display:flex;flex-wrap:wrap;gap:.5rem}
fieldset label,#filter{border:1px solid var(--line);border-radius:6px;padding:.3rem .6rem;background:var(--page);
color:var(--text);font:inherit}
#filter{min-width:15rem}
#filter::placeholder{color:var(--quiet);opacity:1}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
#matrix{border:1px solid var(--line);border-radius:8px}
.matrix thead th{background:var(--head);text-align:left;vertical-align:bottom;padding:.6rem .4rem;min-width:5.5rem}
.matrix tbody th{text-align:left;font-weight:400;padding:.5rem;border-top:1px solid var(--line);position:sticky;left:0;
background:var(--page);max-width:24rem}
.name,code,pre{font-family:ui-monospace,monospace;font-size:.92em}
.matrix .name{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;max-width:23rem}
.release{display:block;overflow-wrap:anywhere}
small{display:block;color:var(--quiet);font-size:.8rem;font-weight:400;overflow-wrap:anywhere}
h3 small{display:inline}
.matrix td{padding:2px;border-top:1px solid var(--line);max-width:8.6rem;height:3.3rem}
.cell{display:block;height:100%;padding:.25rem .5rem;border-radius:5px;text-decoration:none;line-height:1.3}
.cell .sign{display:block;font-weight:700}
.cell .way{display:block;font-size:.85rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.cell:hover .way{text-decoration:underline}
.attaches{color:var(--yes);background:var(--yes-in)}.misses{color:var(--part);background:var(--part-in)}
.instead{color:var(--else);background:var(--else-in)}.refused{color:var(--no);background:var(--no-in)}
.unknown{color:var(--what);background:var(--what-in)}
.fails{box-shadow:inset 3px 0 0 currentColor}
.sign{padding:0 .25rem;border-radius:3px}.cell .sign{padding:0}
.dim .cell{opacity:.15}
.reason{display:none;border:1px solid var(--line);border-radius:8px;background:var(--head);padding:1rem 1.25rem;
overflow-wrap:anywhere}
.reason:target{display:block}
.reason p{margin:.3rem 0}.reason ul{margin:.2rem 0 .6rem}
.verdicts{margin:.75rem 0}
.verdicts th{font-weight:400;color:var(--quiet);text-align:left}
.verdicts td,.verdicts th{padding:.35rem .5rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
.answer,.verdicts th,.errno{white-space:nowrap}
.answer{padding:0 .4rem;border-radius:4px;font-weight:700}
.answer.yes{color:var(--yes);background:var(--yes-in)}.answer.no{color:var(--no);background:var(--no-in)}
.rule{color:var(--quiet)}
.fields{border:1px solid var(--line);border-radius:8px}
.fields th,.fields td{text-align:left;padding:.3rem .6rem;border-top:1px solid var(--line);vertical-align:top}
.fields thead th{background:var(--head);border-top:0}.fields tbody th{font-weight:400}
.fields small{display:inline}.fields .none{color:var(--quiet)}
.moved{background:var(--part-in);color:var(--part)}.moved small{color:inherit}
pre{border:1px solid var(--line);border-radius:6px;background:var(--page);padding:.5rem .75rem;margin:.5rem 0;
white-space:pre-wrap}
a{color:var(--else)}
[hidden]{display:none!important}
@media print{main{max-width:none;padding:0}.reason{display:block;break-inside:avoid;margin-bottom:1rem}
#filters,.hint,.back,.skip{display:none}.scroll{overflow:visible}.matrix tbody th{position:static}
body{font-size:10pt}.cell,.sign,.answer{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

# Filters rows by name and states; arrows move between cells; / goes to the field; Escape leaves the reasons.
SCRIPT = """
"use strict";
(() => {
  const form = document.getElementById("filters"), field = document.getElementById("filter");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const rows = [...document.querySelectorAll(".matrix tbody tr")];
  const cells = rows.map(row => [...row.querySelectorAll("td")]);
  form.hidden = false;
  form.addEventListener("submit", event => event.preventDefault());
  const apply = () => {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const states = new Set(boxes.filter(box => box.checked).map(box => box.value));
    let shown = 0;
    rows.forEach((row, at) => {
      const named = words.every(word => row.dataset.name.includes(word));
      let some = false;
      for (const cell of cells[at]) {
        const wanted = states.has(cell.dataset.state);
        cell.classList.toggle("dim", !wanted);
        some = some || wanted;
      }
      row.hidden = !(named && some);
      shown += row.hidden ? 0 : 1;
    });
    document.getElementById("empty").hidden = shown > 0;
  };
  form.addEventListener("input", apply);
  apply();
  let left = null;
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const from = document.activeElement;
    if (event.key === "/" && from !== field) { event.preventDefault(); field.focus(); return; }
    if (event.key === "Escape") {
      if (from === field) { field.value = ""; apply(); }
      else if (left) { left.focus(); }
      return;
    }
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    const cell = from && from.closest ? from.closest(".matrix td") : null;
    if (!step || !cell) return;
    let row = rows.indexOf(cell.parentNode), column = cells[row].indexOf(cell) + step[1];
    row += step[0];
    while (rows[row] && rows[row].hidden) row += step[0];
    const goal = rows[row] && cells[row][column];
    if (goal) { event.preventDefault(); goal.firstElementChild.focus(); }
  });
  document.addEventListener("click", event => {
    const link = event.target.closest ? event.target.closest("a.cell") : null;
    if (link) left = link;
  });
})();
"""
