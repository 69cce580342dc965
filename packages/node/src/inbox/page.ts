import { createHash } from 'node:crypto'
import type { PackageRow } from './rows.js'

/** The page on which a study team asks for its packages. */
export function signInPage(wrong: boolean): Response {
  return page(
    'Study inbox',
    `<form method="post">
<p><label for="key">Team key</label> <input id="key" name="key" type="password" autocomplete="off" required autofocus></p>
${wrong ? '<p role="alert">That key opens nothing here.</p>' : ''}
<p><button>Show packages</button></p>
</form>`,
    wrong ? 401 : 200,
  )
}

/** What a study's inbox holds. */
export function statusPage(study: string, rows: readonly PackageRow[]): Response {
  const withdrawn = rows.filter(({ status }) => status === 'withdrawn').length
  const list = rows.map(rowOf).join('\n')
  return page(
    `Inbox of ${study}`,
    `<p>${rows.length - withdrawn} stored, ${withdrawn} withdrawn. No health data is shown here.</p>
<table>
<thead><tr><th scope="col">Participant</th><th scope="col">Received</th><th scope="col">Resources</th><th scope="col">Bytes</th><th scope="col">Status</th><th scope="col">Completeness</th><th scope="col">Package</th></tr></thead>
<tbody>
${list || '<tr><td colspan="7">Nothing has arrived yet.</td></tr>'}
</tbody>
</table>`,
  )
}

function rowOf(row: PackageRow): string {
  const cells = [
    row.participant,
    row.receivedAt,
    String(row.resources),
    String(row.bytes),
    row.status === 'stored'
      ? 'stored'
      : `withdrawn ${row.withdrawnAt ?? ''}, ${row.deleted ? 'deleted' : 'kept, takes no more'}`,
    completenessOf(row),
    row.digest.slice(0, 12),
  ]
  return `<tr class="${row.status}">${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`
}

// How often each status stands, not of what: that would say something about a person.
function completenessOf({ completeness }: PackageRow): string {
  const counts = new Map<string, number>()
  for (const { status } of completeness) counts.set(status, (counts.get(status) ?? 0) + 1)
  return [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
}

const style = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1b1b;background:#fff}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ccc;vertical-align:top}
.withdrawn td{color:#595959}button,input{font:inherit;padding:.3rem .6rem}`

const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

function page(title: string, body: string, status = 200): Response {
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

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
