import { collect, createBrowserClient, defineStudy, httpDelivery, recordConsent, share } from '@s4s/browser'
import { addButton, inbox, plan, providers } from './page.js'

const study = defineStudy({
  id: 'sleep-2026',
  title: 'Sleep and Recovery',
  purpose: 'How sleep shapes recovery after surgery',
  plan,
  recipient: inbox.url,
  consent: { version: '1', text: 'I share my record with this study.' },
})
const smart = createBrowserClient({ redirectUri: `${location.origin}/`, providers, plan })

for (const { id, name } of providers) addButton(`Connect ${name}`, () => smart.connect(id))

addButton('Share with the study', async () => {
  const connections = await smart.connections()
  const records = await Promise.all(connections.map((connection) => collect(connection, { plan })))
  const consent = recordConsent(study, { participant: 'p-0042', signature: 'Ann Example' })
  const { receipt } = await share(records, { study, consent, deliver: httpDelivery(inbox) })
  document.body.append(`Shared ${receipt.resources} resources. Receipt ${receipt.id}`)
})

await smart.handleRedirect().catch(({ code }) => document.body.append(`Not connected: ${code}`))
