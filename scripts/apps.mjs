// The two apps whose bundles are weighed and searched.

/** Discovery, launch, callback, refresh and one read. */
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
