import { type Connection, isSmartError, type Provider } from '@s4s/browser'
import type { Portal, Step } from '../portal.js'
import { announce, button, dateOf, el, heading, notice } from '../view.js'
import { problemWords } from '../words.js'

export const connectStep: Step = {
  name: 'connect',
  label: 'Connect',
  render(portal, connections) {
    const { smart, study } = portal
    const message = problemNotice(portal)
    const cards = smart.providers.map((provider) =>
      card(
        portal,
        provider,
        connections.filter((connection) => connection.provider.id === provider.id),
      ),
    )
    return [
      heading('Where have you been treated?'),
      ...(message ? [message] : []),
      el(
        'p',
        { className: 'lead' },
        `${study.purpose}. To take part, you share a copy of your health record.`,
      ),
      el(
        'p',
        {},
        'Pick a place and sign in there with your own account. We never see your password. Nothing is shared with the study until you have seen it and said yes.',
      ),
      el('ul', { className: 'cards' }, ...cards),
      el(
        'p',
        { className: 'actions' },
        connections.some(({ status }) => status === 'active')
          ? button('Continue', () => portal.go('collect'), { className: 'main' })
          : el('span', { className: 'hint' }, 'Connect at least one place to go on.'),
      ),
    ]
  },
}

function card(portal: Portal, provider: Provider, connections: readonly Connection[]): HTMLElement {
  const status = el('p', { className: 'hint', role: 'status' })
  const connect = (): Promise<void> => go(portal, provider, status)
  const [connection] = connections
  if (!connection) {
    return el(
      'li',
      { className: 'card' },
      el('h2', {}, provider.name),
      el('p', {}, 'Not connected'),
      button('Connect', connect, { 'aria-label': `Connect ${provider.name}` }),
      status,
    )
  }
  const over = connection.status !== 'active'
  return el(
    'li',
    { className: over ? 'card' : 'card good' },
    el('h2', {}, provider.name),
    el('p', { className: over ? 'badge gap' : 'badge' }, over ? 'Your connection has ended' : 'Connected'),
    el('p', { className: 'hint' }, `Since ${dateOf(connection.connectedAt)}`),
    over && button('Connect again', connect, { 'aria-label': `Connect ${provider.name} again` }),
    button('Disconnect', () => disconnect(portal, connection), {
      className: 'quiet',
      'aria-label': `Disconnect ${provider.name}`,
    }),
    status,
  )
}

async function go({ smart }: Portal, provider: Provider, status: HTMLElement): Promise<void> {
  status.textContent = `Going to ${provider.name} …`
  try {
    await smart.connect(provider.id, { returnTo: '/#connect' })
  } catch (error) {
    status.textContent = problemWords(error, provider.name).text
  }
}

async function disconnect(portal: Portal, connection: Connection): Promise<void> {
  const { server } = await connection.revoke()
  portal.records.get(connection.id)?.wipe()
  portal.records.delete(connection.id)
  portal.go('connect')
  const { name } = connection.provider
  announce(
    server === 'revoked'
      ? `${name} is disconnected.`
      : `${name} is disconnected here, but did not confirm it. You can end our access on its own website.`,
  )
}

function problemNotice(portal: Portal): HTMLElement | undefined {
  const { problem, smart } = portal
  delete portal.problem
  if (problem === undefined) return undefined
  const subject = isSmartError(problem) ? problem.subject : undefined
  const provider = smart.providers.find(({ id }) => id === subject)
  const { title, text } = problemWords(problem, provider?.name)
  if (!provider) return notice(title, text)
  const status = el('span', { className: 'hint', role: 'status' })
  const again = button(`Try ${provider.name} again`, () => go(portal, provider, status), {
    className: 'main',
  })
  return notice(title, text, again, status)
}
