"""How the report of an alarm looks, on a screen and on A4."""

from __future__ import annotations

STYLE = """
@page { size: A4; margin: 13mm 13mm 15mm }
:root { --ink: #222b33; --faint: #6b7680; --rule: #d9dee2; --sev: #6b7680 }
* { box-sizing: border-box }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact }
body { margin: 0; background: #eef1f3; color: var(--ink);
  font: 13px/1.45 "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei",
    "PingFang SC", "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif }
main { max-width: 210mm; margin: 8mm auto; padding: 12mm 13mm; background: #fff;
  box-shadow: 0 1px 6px #0002 }
.blue { --sev: #1f6fb5 } .yellow { --sev: #b98900 }
.orange { --sev: #d9620b } .red { --sev: #c0152f }
header { border-top: 5px solid var(--sev); padding-top: 8px }
.kind { display: flex; justify-content: space-between; color: var(--faint); font-size: 12px }
h1 { font-size: 22px; line-height: 1.25; margin: 6px 0 4px; overflow-wrap: anywhere }
h1 .chip { background: var(--sev); color: #fff; font-size: 13px; padding: 2px 9px;
  border-radius: 3px; vertical-align: 3px }
h1 .asset { color: var(--faint); font-weight: 500 }
header p { font-size: 15px; margin: 0 0 10px; overflow-wrap: anywhere }
h2 { font-size: 14px; margin: 18px 0 6px; padding-bottom: 3px; border-bottom: 1px solid var(--rule);
  break-after: avoid }
h2 code { color: var(--faint); font-weight: 400 }
.meta { display: grid; grid-template-columns: repeat(3, 1fr); gap: 5px 18px; margin: 0;
  padding: 9px 0; border: solid var(--rule); border-width: 1px 0 }
.meta div:first-child { grid-column: span 2 }
dt { color: var(--faint); font-size: 11px }
dd { margin: 0; overflow-wrap: anywhere }
.tiles { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 12px }
.tiles > div { flex: 1 1 125px; background: #f4f6f8; border-radius: 4px; padding: 7px 10px;
  font-size: 12px; break-inside: avoid; overflow-wrap: anywhere }
.big { font-size: 18px; font-weight: 600; white-space: nowrap }
.faint { color: var(--faint); font-size: 11.5px }
.warn { color: #c0152f; font-weight: 600 }
figure { margin: 4px 0 0; break-inside: avoid }
svg { width: 100%; height: auto; display: block; font-size: 11px;
  font-family: inherit }
svg .n { font-weight: 600; fill: #222b33; paint-order: stroke; stroke: #fff; stroke-width: 3px }
svg .l { font-size: 10px }
table { width: 100%; border-collapse: collapse; font-size: 12px }
th { text-align: left; color: var(--faint); font-weight: 500; font-size: 11px; white-space: nowrap }
th, td { padding: 4px 7px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top;
  overflow-wrap: anywhere }
tr { break-inside: avoid }
thead { display: table-header-group }
.story td:nth-child(-n+3) { white-space: nowrap; font-variant-numeric: tabular-nums }
.story td:first-child { color: var(--faint) }
.story td:nth-child(4) { min-width: 118px } .story td:nth-child(5) { min-width: 52px }
.plan td:nth-child(3) { min-width: 96px } .plan td:nth-child(6) { min-width: 48px }
.quiet td { color: var(--faint) }
.dot { display: inline-block; width: 8px; height: 8px; border-radius: 50%; background: var(--sev);
  margin-right: 5px }
.plan td:nth-child(4), .plan td:nth-child(5) { white-space: nowrap }
.box { display: inline-block; width: 16px; height: 16px; border: 1.5px solid var(--ink);
  border-radius: 3px; text-align: center; line-height: 13px; font-size: 12px }
.overdue .box, .overdue td:nth-child(5), .late td:nth-child(5) div:last-child { color: #c0152f }
.readings td:first-child { width: 30% }
code, pre, .path { font-family: "DejaVu Sans Mono", Consolas, Menlo, "Noto Sans Mono CJK SC",
  "Noto Sans SC", monospace }
code { font-size: 11px }
pre { background: #f7f8f9; border: 1px solid var(--rule); border-radius: 4px; padding: 8px 10px;
  margin: 2px 0 8px; font-size: 10.5px; line-height: 1.45; white-space: pre-wrap;
  overflow-wrap: anywhere }
.path { color: var(--faint); font-size: 10.5px; margin-top: 8px; break-after: avoid }
section > p { margin: 4px 0 }
footer { margin-top: 22px; color: var(--faint); font-size: 11.5px; break-inside: avoid }
.sign { display: flex; gap: 24px; margin-bottom: 12px }
.sign div { flex: 1; border-bottom: 1px solid var(--ink); padding-bottom: 3px; padding-top: 22px;
  border-top: 0; color: var(--ink) }
@media print {
  body { background: none; font-size: 12px }
  main { max-width: none; margin: 0; padding: 0; box-shadow: none }
}
"""
