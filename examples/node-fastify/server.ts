import {
  createNodeClient,
  defineStudy,
  fileStore,
  httpDelivery,
  type Provider,
  toExpress,
  usCore,
} from '@s4s/node'
import fastify, { type FastifyPluginAsync } from 'fastify'
import { pageOf } from './page.js'

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
const smart = createNodeClient({
  baseUrl: `${ORIGIN}/smart`,
  providers,
  plan: study.plan,
  store: fileStore(STORE, { key: STORE_KEY }),
  cookieSecret: COOKIE_SECRET,
  afterConnect: '/',
  custody: { study, deliver: httpDelivery({ url: study.recipient, key: INBOX_KEY }) },
})

// Express calls its handlers with Node's own request and response, and Fastify has both. The body is the handler's to read.
const smartRoutes: FastifyPluginAsync = async (routes) => {
  const handle = toExpress(smart)
  routes.removeAllContentTypeParsers()
  routes.addContentTypeParser('*', (_request, _body, done) => done(null))
  routes.all('/smart/*', (request, reply) => {
    reply.hijack()
    handle(request.raw, reply.raw)
  })
}

const app = fastify()
app.register(smartRoutes)
app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(pageOf(study, providers)))

await app.listen({ host: '127.0.0.1', port: Number(new URL(ORIGIN).port) })
process.stdout.write(`The portal is at ${ORIGIN}/\n`)
