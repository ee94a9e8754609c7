"""How the picture looks, in light and dark."""

from __future__ import annotations

#: Colours of groups, taken in turn.
HUES = 8

_HUE = "\n".join(
    f".c{n} .run {{ stroke: var(--c{n}); }} .c{n} .end, .c{n} .name, .c{n} .again, .c{n}.part {{ fill: var(--c{n}); }}"
    for n in range(HUES)
)
STYLE = f"""
:root {{ color-scheme: light dark;
  --page: #fbfaf6; --ink: #1d2420; --soft: #66726b; --line: #dfe2da; --stone: #b4b8b2; --c0: #2f7a4f; --c1: #3b6fb6;
  --c2: #b8621b; --c3: #8a4fa3; --c4: #b23a55; --c5: #1f8688; --c6: #87761a; --c7: #5c5fc4; }}
@media (prefers-color-scheme: dark) {{ :root {{
  --page: #131714; --ink: #e6ebe7; --soft: #98a49d; --line: #2c332f; --stone: #5f6762; --c0: #5fb987; --c1: #77a9ea;
  --c2: #e39a57; --c3: #c592dc; --c4: #ec8299; --c5: #5cc3c5; --c6: #cdb94f; --c7: #a2a5f5; }} }}
text {{ font: 12px ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  fill: var(--ink); white-space: pre; }}
text.head, text.words {{
  font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }}
text.head {{ font-size: 17px; font-weight: 600; }}
.page, .dot {{ fill: var(--page); }}
text.soft {{ fill: var(--soft); }}
text.name {{ font-weight: 600; }}
.guide {{ stroke: var(--line); }}
.tie {{ stroke: var(--ink); stroke-width: 1.5; }}
.run {{ fill: none; }}
.more {{ stroke-dasharray: 3 4; }}
.box {{ fill: var(--page); stroke: var(--ink); stroke-width: 1.5; }}
.pinned .run {{ stroke: var(--stone); }}
.pinned .end {{ fill: var(--stone); }}
.pinned .name, .pinned .again {{ fill: var(--soft); }}
svg:has(.group:hover) .group:not(:hover) {{ opacity: .25; }}
{_HUE}
"""
