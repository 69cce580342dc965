import { ambientClock, ambientCrypto, ambientFetch, type Provider, usCore } from '@s4s/core'
import {
  checkCallback,
  createTransport,
  discover,
  exchangeCode,
  isCallback,
  type PendingLaunch,
  prepareAuthorization,
  readCallback,
  refreshTokens,
  type TokenClient,
} from '@s4s/core/smart'

const transport = createTransport({ fetch: ambientFetch, clock: ambientClock })
const world = { transport, crypto: ambientCrypto }
const plan = usCore.only('Patient')
const redirectUri = `${location.origin}/`
const provider: Provider = await (await fetch('/provider.json')).json()

/** Leaves for the hospital's sign-in page; what must be remembered meanwhile lies under the state. */
async function connect(): Promise<void> {
  const configuration = await discover(transport, provider)
  const draft = { provider, configuration, plan, redirectUri, now: Date.now() }
  const { url, pending } = await prepareAuthorization(ambientCrypto, draft)
  sessionStorage.setItem(pending.state, JSON.stringify(pending))
  location.assign(url)
}

/** Comes back with a code, which is good once. */
async function finish(callback: string): Promise<void> {
  history.replaceState(null, '', '/')
  const parameters = readCallback(callback)
  const kept = sessionStorage.getItem(parameters.state ?? '')
  if (kept === null) return say('That sign-in did not begin here.')
  sessionStorage.removeItem(parameters.state ?? '')
  const pending: PendingLaunch = JSON.parse(kept)
  const code = checkCallback(parameters, pending, provider.name)
  const { clientId, endpoints, verifier } = pending
  const client: TokenClient = { provider, clientId, tokenEndpoint: endpoints.token }
  const tokens = await exchangeCode(world, client, { code, redirectUri, verifier })
  let { access, refresh } = tokens

  /** The participant's own resource; when access has ended meanwhile, with a new token. */
  const read = async (again = false): Promise<void> => {
    const answer = await transport({
      url: `${provider.iss}/Patient/${tokens.context.patient}`,
      headers: { accept: 'application/fhir+json' },
      within: [provider.iss],
      bearer: access,
    })
    if (answer.status === 401 && refresh && !again) {
      const renewed = await refreshTokens(world, client, { refresh }, async (rotated) => {
        refresh = rotated
      })
      access = renewed.access
      return read(true)
    }
    const { name, birthDate } = JSON.parse(answer.text())
    say(`${name?.[0]?.text}, born ${birthDate}`)
  }
  await read()
  addButton('Read again', () => read())
}

function say(text: string): void {
  document.body.append(Object.assign(document.createElement('p'), { textContent: text }))
}

function addButton(textContent: string, onclick: () => unknown): void {
  document.body.append(Object.assign(document.createElement('button'), { textContent, onclick }))
}

addButton(`Connect ${provider.name}`, connect)
if (isCallback(location.href)) await finish(location.href).catch(({ code }) => say(`Not connected: ${code}`))
