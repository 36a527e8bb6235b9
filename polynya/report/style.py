"""Style of HTML reports: calm, readable from a phone to a wide screen, light and dark."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfcfd; --card: #fff; --ink: #1d2733; --quiet: #5b6875; --line: #dfe5ea;
  --accent: #0b6e99; --second: #c4631b; --third: #3d7d3a; --warn: #a2480a; --soft: #eef3f6; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #12181e; --card: #1a222a; --ink: #e4eaef; --quiet: #9aa8b4; --line: #2d3842;
  --accent: #5bbce4; --second: #f0a35e; --third: #8fce8a; --warn: #f0a35e; --soft: #222c35; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .35rem; overflow-wrap: anywhere; }
p { margin: .4rem 0 .8rem; max-width: 70ch; overflow-wrap: anywhere; }
a { color: var(--accent); }
code { background: var(--soft); border-radius: 4px; padding: .1em .35em; font-size: .9em;
  overflow-wrap: anywhere; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .875rem; }
.cards { display: grid; gap: .75rem; margin: 1.25rem 0;
  grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .8rem 1rem; min-width: 0; }
.card b { display: block; font-size: 1.5rem; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.card.warn b { color: var(--warn); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: .6rem 0; padding: 0;
  list-style: none; font-size: .9rem; }
.legend i { display: inline-block; width: .85em; height: .85em; border-radius: 3px;
  margin-right: .45em; border: 1px solid var(--line); vertical-align: -.05em; }
.toggle { display: inline-flex; gap: .5em; align-items: center; cursor: pointer; }
.samples, .charts, .findings { display: grid; gap: 1rem; margin: .75rem 0 1.25rem; }
.charts { align-items: start; }
.charts > *, .findings > * { min-width: 0; margin: 0; }
.findings { grid-template-columns: repeat(auto-fill, minmax(min(500px, 100%), 1fr));
  align-items: start; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); }
.views { display: flex; flex-wrap: wrap; gap: .6rem; }
.views figure { flex: 1 1 min(190px, 45%); max-width: 300px; }
.views.small { display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(135px, 45%), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { line-height: 1.35; margin-top: .25rem; overflow-wrap: anywhere; }
.chart { margin: 1rem 0 1.75rem; }
.chart img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
.frame { position: relative; display: block; border-radius: 6px; overflow: hidden;
  background: #000; }
.frame img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.over { position: absolute; inset: 0; background: var(--label) 0 0 / 100% 100%; opacity: .42;
  image-rendering: pixelated; }
body:has(#labels:not(:checked)) .over { display: none; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--accent); font-size: .925rem; }
details[open] > summary { margin-bottom: .6rem; }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; border: 1px solid var(--line);
  border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .6rem .8rem .2rem; }
th, td { padding: .4rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; }
.number { text-align: right; }
tbody tr:last-child td { border-bottom: 0; }
.bar { display: flex; height: 1.4rem; border-radius: 6px; overflow: hidden;
  background: var(--soft); }
.bar span { display: block; height: 100%; }
.shares { display: grid; grid-template-columns: max-content 1fr; gap: .5rem .9rem;
  align-items: center; margin: .75rem 0; font-size: .9rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--quiet); font-size: 11px; }
svg .axis { stroke: var(--line); }
svg path { fill: none; stroke-width: 1.6; }
svg .group { stroke: var(--quiet); stroke-width: .7; opacity: .35; }
svg .first { stroke: var(--accent); fill: var(--accent); fill-opacity: .13; }
svg .second { stroke: var(--second); }
svg.lines { max-width: 560px; }
svg .mark { stroke: var(--quiet); stroke-dasharray: 3 3; }
svg .first-line { stroke: var(--accent); stroke-width: 2.2; }
svg .second-line { stroke: var(--second); stroke-width: 2.2; stroke-dasharray: 7 3; }
svg .third-line { stroke: var(--third); stroke-width: 2.2; stroke-dasharray: 2 3; }
svg .fourth-line { stroke: var(--quiet); stroke-width: 2.2; stroke-dasharray: 9 3 2 3; }
svg .first-dot { fill: var(--accent); } svg .second-dot { fill: var(--second); }
svg .third-dot { fill: var(--third); } svg .fourth-dot { fill: var(--quiet); }
.legend i.line-mark { width: 1.6em; height: 0; border: 0; border-radius: 0;
  border-top: 3px solid var(--accent); vertical-align: .25em; }
.legend i.second-line { border-top: 3px dashed var(--second); }
.legend i.third-line { border-top: 3px dotted var(--third); }
.legend i.fourth-line { border-top: 3px double var(--quiet); }
.first-mark { background: var(--accent); } .second-mark { background: var(--second); }
.group-mark { background: var(--quiet); opacity: .45; }
.finding { border-left: 4px solid var(--warn); }
.fixes code { display: block; width: fit-content; max-width: 100%; margin-top: .2rem; }
.tiles { columns: 22rem; font-size: .875rem; padding-left: 1.1rem; }
.tiles li { overflow-wrap: anywhere; break-inside: avoid; }
.fixes li { margin: .5rem 0; max-width: 75ch; overflow-wrap: anywhere; }
@media (max-width: 480px) { main { padding: 1.25rem .9rem 3rem; } h1 { font-size: 1.4rem; }
  .card b { font-size: 1.25rem; } .cards { grid-template-columns: repeat(2, 1fr); } }
@media print { .toggle, nav { display: none; } .card { break-inside: avoid; } }
"""
"""CSS of every page."""
