import { serve } from '@hono/node-server'
import {
  collect,
  createNodeClient,
  defineStudy,
  fileStore,
  httpDelivery,
  isSmartError,
  type Provider,
  recordConsent,
  share,
  usCore,
} from '@s4s/node'
import { Hono } from 'hono'
import { html } from 'hono/html'

// The same variables as in the Express example; see its README.
const { PROVIDERS = '[]', INBOX_URL = '', INBOX_KEY = '', STORE = './connections' } = process.env
const { ORIGIN = 'http://127.0.0.1:8080', STORE_KEY = '', COOKIE_SECRET = '' } = process.env

const providers: readonly Provider[] = JSON.parse(PROVIDERS)
const study = defineStudy({
  id: 'sleep-2026',
  title: 'Sleep and Recovery',
  purpose: 'How sleep shapes recovery after surgery',
  plan: usCore.only('Patient', 'Laboratory', 'Medications', 'Vital Signs'),
  recipient: INBOX_URL,
  consent: {
    version: '1',
    text: 'I share my record with the Sleep and Recovery study. I may withdraw at any time.',
  },
})
const { plan } = study
const deliver = httpDelivery({ url: study.recipient, key: INBOX_KEY })
const smart = createNodeClient({
  baseUrl: `${ORIGIN}/smart`,
  providers,
  plan,
  store: fileStore(STORE, { key: STORE_KEY }),
  cookieSecret: COOKIE_SECRET,
  afterConnect: '/',
  custody: { study, deliver },
})
const app = new Hono()

// Request and Response are what Hono speaks too: there is nothing to adapt, also not for what a page's script asks for at
// /smart/collect, events, share and withdraw.
app.all('/smart/*', (c) => smart.handler(c.req.raw))

app.post('/share', async (c) => {
  const participant = await smart.participantOf(c.req.raw)
  if (!participant) return c.redirect('/')
  const connections = await smart.connections({ participant })
  const records = await Promise.all(connections.map((connection) => collect(connection, { plan })))
  const { signature } = await c.req.parseBody()
  const consent = recordConsent(study, { participant, signature: String(signature) })
  const { receipt } = await share(records, { study, consent, deliver })
  return c.text(`Shared ${receipt.resources} resources. Receipt ${receipt.id}`)
})

app.get('/', async (c) => {
  const connections = await smart.connections({ participant: await smart.participantOf(c.req.raw) })
  const connected = new Set(connections.map(({ provider }) => provider.id))
  const error = c.req.query('s4s')
  return c.html(html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${study.title}</title></head>
<body>
<h1>${study.title}</h1>
${error ? html`<p role="alert">That hospital was not connected (${error}).</p>` : ''}
<ul>${providers.map(({ id, name }) =>
    connected.has(id)
      ? html`<li>${name}: connected</li>`
      : html`<li><a href="/smart/connect/${id}">Connect ${name}</a></li>`,
  )}</ul>
<form method="post" action="/share">
<p>${study.consent.text}</p>
<label>Your name <input name="signature" required></label>
<button>Share with the study</button>
</form>
</body>
</html>`)
})

// The code is for the portal to find its own words by; docs/errors.md lists all.
app.onError((error, c) => {
  if (!isSmartError(error)) throw error
  return c.text(`That did not work (${error.code}). What can be done: ${error.remedy}.`, 502)
})

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(new URL(ORIGIN).port) }, () =>
  process.stdout.write(`The portal is at ${ORIGIN}/\n`),
)
