import { createHash } from 'node:crypto'

/** Text that stands in a page as it is, whoever wrote it. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

const style = `:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d5dae0;--paper:#fff;--tile:#f5f7f9;--mark:#0b62a8}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#a3adb8;--line:#3a424c;--paper:#14181d;--tile:#1d232a;--mark:#69b1f0}}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.5rem 0 .25rem}p{margin:.25rem 0 .75rem}.soft{color:var(--soft)}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.5rem 0;padding:0}.tiles div{background:var(--tile);border-radius:.5rem;flex:1 1 8rem;padding:.6rem .9rem}
.tiles dt{color:var(--soft);font-size:.85rem}.tiles dd{font-size:1.5rem;font-variant-numeric:tabular-nums;margin:0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{border-bottom:1px solid var(--line);padding:.35rem .6rem;text-align:left;vertical-align:top}th{font-weight:600}thead th{color:var(--soft)}
.number{font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}.name{min-width:8rem;width:14rem}.bar{min-width:10rem;width:32%}.bar svg{display:block;height:1.2rem;width:100%}
code{font-size:.85em}.time{white-space:nowrap}.withdrawn td{color:var(--soft)}.zero{color:var(--soft)}
.key{display:inline-block;height:.75em;margin-right:.35em;width:.75em}.chart{display:block;height:auto;min-width:40rem;width:100%}
.chart text{fill:var(--soft);font:12px system-ui,sans-serif}.chart .column{fill:var(--mark)}.chart line{stroke:var(--line)}
.received{fill:#1a7f5a}.none{fill:#a9d3c1}.truncated{fill:#e0a000}.not-granted{fill:#7a68c9}.refused{fill:#c0453b}.not-supported{fill:#98a2ad}.failed{fill:#6e2020}.other{fill:#3d4650}
summary{color:var(--soft);cursor:pointer;font-size:.9rem}button,input{font:inherit;padding:.3rem .6rem}`

const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** A page that runs no script and loads nothing. */
export function page(title: string, body: string, status = 200): Response {
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${style}</style></head>
<body><main>
<h1>${escaped(title)}</h1>
${body}
</main></body>
</html>
`
  return new Response(html, {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
  })
}

/** The cell of a table, or its head. */
export interface Column {
  readonly name: string
  readonly kind?: 'number' | 'time' | 'bar' | 'name'
}

/** A row of a table; what its cells hold is HTML already. */
export interface TableRow {
  readonly cells: readonly string[]
  readonly className?: string
}

/** @param empty what stands there when there are no rows */
export function table(columns: readonly Column[], rows: readonly TableRow[], empty: string): string {
  const classOf = (column: Column | undefined): string => (column?.kind ? ` class="${column.kind}"` : '')
  const head = columns.map((one) => `<th scope="col"${classOf(one)}>${one.name}</th>`).join('')
  const body = rows.map(({ cells, className }) => {
    const [first = '', ...rest] = cells
    const row = rest.map((cell, at) => `<td${classOf(columns[at + 1])}>${cell}</td>`).join('')
    return `<tr${className ? ` class="${className}"` : ''}><th scope="row">${first}</th>${row}</tr>`
  })
  const none = `<tr><td colspan="${columns.length}">${escaped(empty)}</td></tr>`
  return `<div class="wide"><table>
<thead><tr>${head}</tr></thead>
<tbody>
${body.join('\n') || none}
</tbody>
</table></div>`
}
