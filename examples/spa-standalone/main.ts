import { collect, createBrowserClient, defineStudy, httpDelivery, recordConsent, s4sPilot, share } from '@s4s/browser'
import { inbox, providers } from './settings.js'

const study = defineStudy({
  id: 'sleep-2026', title: 'Sleep and Recovery', purpose: 'How sleep shapes recovery after surgery',
  plan: s4sPilot, recipient: inbox.url, consent: { version: '1', text: 'I share my record with this study.' },
})
const smart = createBrowserClient({ redirectUri: `${location.origin}/`, providers, plan: study.plan })

await smart.handleRedirect()
for (const provider of providers) addButton(`Connect ${provider.name}`, () => smart.connect(provider.id))

addButton('Share with the study', async () => {
  const connections = await smart.connections()
  const records = await Promise.all(connections.map((connection) => collect(connection, { plan: study.plan })))
  const consent = recordConsent(study, { participant: 'p-0042', signature: 'Ann Example' })
  const { receipt } = await share(records, { study, consent, deliver: httpDelivery(inbox) })
  document.querySelector('output')?.append(`Shared ${receipt.resources} resources. Receipt ${receipt.id}`)
})

function addButton(textContent: string, onclick: () => unknown) {
  document.body.append(Object.assign(document.createElement('button'), { textContent, onclick }))
}
