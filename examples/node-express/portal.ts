import { type Connection, isSmartError, type NodeClient } from '@s4s/node'
import type { Express, NextFunction, Request, Response } from 'express'
import { origin, port } from './settings.js'
import { study } from './study.js'

/** Adds the page where everything begins, and what a participant reads when something does not work; then listens. */
export function openPortal(app: Express, smart: NodeClient): void {
  app.get('/', async (request, response) => {
    const connections = await smart.connections({ participant: await smart.participantOf(request) })
    response.send(home(smart, connections, request.query.s4s))
  })
  // The code is for the portal to find its own words by; docs/errors.md lists all.
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (!isSmartError(error)) return next(error)
    response.status(502).send(`That did not work (${error.code}). What can be done: ${error.remedy}.`)
  })
  app.listen(port, '127.0.0.1', () => process.stdout.write(`The portal is at ${origin}/\n`))
}

function home(smart: NodeClient, connections: readonly Connection[], error: unknown): string {
  const connected = new Set(connections.map(({ provider }) => provider.id))
  const hospitals = smart.client.providers.map(({ id, name }) =>
    connected.has(id)
      ? `<li>${text(name)}: connected</li>`
      : `<li><a href="/smart/connect/${encodeURIComponent(id)}">Connect ${text(name)}</a></li>`,
  )
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${text(study.title)}</title></head>
<body>
<h1>${text(study.title)}</h1>
${typeof error === 'string' ? `<p role="alert">That hospital was not connected (${text(error)}).</p>` : ''}
<ul>${hospitals.join('')}</ul>
<form method="post" action="/share">
<p>${text(study.consent.text)}</p>
<label>Your name <input name="signature" required></label>
<button>Share with the study</button>
</form>
</body>
</html>
`
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
