// The apps whose bundles are weighed and searched.
import { readFileSync } from 'node:fs'

/** Discovery, launch, callback, refresh and one read, by the single steps: the example is what is weighed. */
export const steps = readFileSync(new URL('../examples/spa-steps/main.ts', import.meta.url), 'utf8')

/** The same with the client, which also keeps tabs, connections and what servers get wrong in order. */
export const connectOnly = `
  import { createBrowserClient, usCore } from '@s4s/browser'
  const smart = createBrowserClient({ redirectUri: location.origin, providers: [], plan: usCore.only('Patient') })
  const connection = await smart.handleRedirect()
  if (!connection) smart.connect('mercy')
  else console.log(await connection.read('Patient', connection.patient))
`

/** The whole road. */
export const wholeRoad = `
  import { collect, createBrowserClient, defineStudy, httpDelivery, recordConsent, s4sPilot, share, withdraw } from '@s4s/browser'
  const study = defineStudy({
    id: 's', title: 's', purpose: 's', plan: s4sPilot, recipient: location.origin, consent: { version: '1', text: 's' },
  })
  const smart = createBrowserClient({ redirectUri: location.origin, providers: [], plan: study.plan })
  const connection = await smart.handleRedirect()
  if (!connection) smart.connect('mercy')
  else {
    const record = await collect(connection, { plan: study.plan })
    const consent = recordConsent(study, { participant: 'p', signature: 's' })
    const deliver = httpDelivery({ url: study.recipient, key: 'k' })
    const shared = await share([record], { study, consent, deliver })
    console.log(await withdraw(shared, { deliver, connections: [connection], records: [record] }))
  }
`
