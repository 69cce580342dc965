import { createNodeClient, defineStudy, fileStore, httpDelivery, type NodeClient, usCore } from '@s4s/node'

// The same variables as in the Express example; see its README.
const { PROVIDERS = '[]', INBOX_URL = '', INBOX_KEY = '', STORE = './connections' } = process.env
const { ORIGIN = 'http://127.0.0.1:3000', STORE_KEY = '', COOKIE_SECRET = '' } = process.env

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

export const smart: NodeClient = createNodeClient({
  baseUrl: `${ORIGIN}/smart`,
  providers: JSON.parse(PROVIDERS),
  plan: study.plan,
  store: fileStore(STORE, { key: STORE_KEY }),
  cookieSecret: COOKIE_SECRET,
  afterConnect: '/',
  custody: { study, deliver: httpDelivery({ url: study.recipient, key: INBOX_KEY }) },
})
