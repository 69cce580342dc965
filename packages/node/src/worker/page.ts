import { createHash } from 'node:crypto'
import type { Hour, JobOutcome } from './hours.js'
import { barsOf, type PlotSeries } from './plot.js'
import type { WorkerStatus } from './status.js'
import type { Worker } from './worker.js'

/**
 * A page that shows how the workers stand: numbers, providers, and the last day hour by hour. It names providers and
 * counts jobs; nobody's data is on it. Who may see it is for the app to say: serve it behind your own sign-in.
 *
 * @example app.get('/admin/worker', (c) => page(c.req.raw)) // const page = statusPage(worker)
 */
export function statusPage(worker: Pick<Worker, 'status'>): (request: Request) => Promise<Response> {
  return async (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return new Response(null, { status: 405, headers: { allow: 'GET, HEAD' } })
    return page(await worker.status())
  }
}

const outcomes: readonly {
  readonly of: readonly JobOutcome[]
  readonly label: string
  readonly colour: string
}[] = [
  { of: ['shared'], label: 'shared', colour: '#1b6e3c' },
  { of: ['nothing-new', 'refreshed', 'no-consent'], label: 'nothing to share', colour: '#8a8a8a' },
  { of: ['retry'], label: 'tried again', colour: '#b8860b' },
  { of: ['reconnect'], label: 'needs a sign-in', colour: '#2457a6' },
  { of: ['dead'], label: 'given up', colour: '#a61b1b' },
]

const states: Readonly<Record<WorkerStatus['providers'][number]['state'], string>> = {
  working: 'working',
  paused: 'paused by hand',
  waiting: 'asked to be left alone',
  failing: 'failing, left alone',
}

function page(status: WorkerStatus): Response {
  const { at, workers, scheduled, queued, retrying, active, dead, notices, late, providers, hours } = status
  const labels = hours.map(({ hour }) => `${hour.toISOString().slice(11, 13)} h`)
  const numbers = Object.entries({
    Workers: workers,
    'Connections with a schedule': scheduled,
    'Jobs waiting': queued,
    'Jobs to be tried again': retrying,
    'Jobs in hand': active,
    'Longest wait, in seconds': Math.round(late),
    'Dead letters': dead,
    'Connections that need a sign-in': notices,
  })
  const body = `<p>As of ${escaped(at.toISOString())}. No health data is shown here.</p>
<dl>${numbers.map(([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${value}</dd></div>`).join('')}</dl>
<h2>Jobs in the last day, by the hour (UTC)</h2>
<ul>${outcomes.map(({ label, colour }) => `<li>${swatch(colour)} ${escaped(label)}</li>`).join('')}</ul>
${barsOf('Jobs by the hour', labels, outcomes.map(seriesOf(hours)), escaped)}
<h2>Seconds that a job took, on average</h2>
${barsOf(
  'Seconds a job, by the hour',
  labels,
  [{ label: 's', colour: '#2457a6', values: hours.map(({ seconds }) => seconds) }],
  escaped,
)}
<h2>Providers</h2>
<table>
<thead><tr><th scope="col">Provider</th><th scope="col">State</th><th scope="col">Until</th><th scope="col">Why</th><th scope="col">Waiting</th><th scope="col">Again</th><th scope="col">In hand</th></tr></thead>
<tbody>
${providers.map(rowOf).join('\n') || '<tr><td colspan="7">None was asked yet.</td></tr>'}
</tbody>
</table>`
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Workers</title><style>${style}</style></head>
<body><main>
<h1>Workers</h1>
${body}
</main></body>
</html>
`
  return new Response(html, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
  })
}

const seriesOf =
  (hours: readonly Hour[]) =>
  ({ of, label, colour }: (typeof outcomes)[number]): PlotSeries => ({
    label,
    colour,
    values: hours.map(({ jobs }) => of.reduce((sum, outcome) => sum + (jobs[outcome] ?? 0), 0)),
  })

function rowOf(row: WorkerStatus['providers'][number]): string {
  const cells = [
    ...[row.provider, states[row.state], row.until?.toISOString() ?? '', row.reason ?? ''],
    ...[row.queued, row.retrying, row.active].map(String),
  ]
  return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`
}

const swatch = (colour: string): string =>
  `<svg viewBox="0 0 12 12" class="swatch" aria-hidden="true"><rect width="12" height="12" fill="${colour}"/></svg>`

const style = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1b1b;background:#fff}
dl{display:flex;flex-wrap:wrap;gap:1rem 2rem}dt{color:#595959}dd{margin:0;font-size:1.5rem}
ul{display:flex;flex-wrap:wrap;gap:1rem;list-style:none;padding:0}svg{width:100%;max-width:48rem;font-size:11px}.swatch{width:.8rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ccc;vertical-align:top}`

const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
