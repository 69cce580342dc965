// #region readme
import { collect, createNodeClient, httpDelivery, recordConsent, share, toExpress } from '@s4s/node'
import express from 'express'
import { openPortal } from './portal.js'
import { baseUrl, cookieSecret, inbox, providers, store } from './settings.js'
import { study } from './study.js'

const { plan } = study
const custody = { study, deliver: httpDelivery(inbox) }
const smart = createNodeClient({ baseUrl, providers, plan, store, cookieSecret, custody, afterConnect: '/' })
const app = express()

// A link to /smart/connect/mercy takes the participant to Mercy Hospital and back. A page with a script of its own finds
// /smart/collect, events, share and withdraw there too.
app.use('/smart', toExpress(smart))

app.post('/share', express.urlencoded(), async (request, response) => {
  const participant = await smart.participantOf(request)
  if (!participant) return response.redirect('/')
  const connections = await smart.connections({ participant })
  const records = await Promise.all(connections.map((connection) => collect(connection, { plan })))
  const consent = recordConsent(study, { participant, signature: request.body.signature })
  const { receipt } = await share(records, { consent, ...custody })
  response.send(`Shared ${receipt.resources} resources. Receipt ${receipt.id}`)
})

openPortal(app, smart)
// #endregion readme
