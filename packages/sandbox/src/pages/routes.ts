import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Asked, AuthorizationServer } from '../auth/authorization-server.js'
import type { Person } from '../data/index.js'
import { readBody, sendText } from '../http.js'
import {
  approvalPage,
  frontPage,
  managePage,
  messagePage,
  type PersonChoice,
  pageHeaders,
  signInPage,
} from './pages.js'

export interface PageRoutes {
  readonly hospital: string
  readonly iss: string
  readonly clientId: string
  readonly people: readonly Person[]
  readonly server: AuthorizationServer
}

/** Answers the pages that a person sees; false when the address is none of them. */
export async function answerPage(
  routes: PageRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const path = (request.url ?? '').split('?')[0] ?? ''
  if (path === '/') front(routes, response)
  else if (path === '/manage') await manage(routes, request, response)
  else if (path.startsWith('/interaction/')) await interaction(routes, request, response, path)
  else return false
  return true
}

async function interaction(
  { hospital, people, server }: PageRoutes,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<void> {
  const asked = await server.asked(request, response)
  if (!asked) {
    const text = 'This sign-in is over, or it began in another browser. Go back to the app and start again.'
    return sendText(response, 400, messagePage(hospital, 'Start again', text), pageHeaders)
  }
  if (request.method !== 'POST') {
    const choices = choosesPatient(asked) ? people : []
    const lasting = asked.scopes.some((scope) => scope === 'offline_access' || scope === 'online_access')
    const text =
      asked.prompt === 'login'
        ? signInPage(hospital, path)
        : approvalPage({
            hospital,
            action: path,
            app: asked.app,
            scopes: asked.scopes,
            people: choices.map(choiceOf),
            ...(lasting ? { until: new Date(Date.now() + server.grantSeconds * 1000) } : {}),
          })
    return sendText(response, 200, text, pageHeaders)
  }
  const body = await readBody(request)
  if (body === undefined) {
    const text = 'That was more than a form can hold.'
    return sendText(response, 413, messagePage(hospital, 'Too long', text), pageHeaders)
  }
  const form = new URLSearchParams(body)
  if (form.get('answer') === 'deny') return server.deny(request, response)
  if (asked.prompt === 'login')
    return server.signIn(request, response, (form.get('username') || 'demo').slice(0, 64))
  const patient = people.find(({ id }) => id === form.get('patient'))?.id
  if (choosesPatient(asked) && patient === undefined) {
    return sendText(
      response,
      400,
      messagePage(hospital, 'Choose a record', 'Go back and choose whose record it is.'),
      pageHeaders,
    )
  }
  await server.approve(request, response, form.getAll('scope'), patient)
}

// An EHR that starts an app has a record open already.
function choosesPatient({ scopes }: Asked): boolean {
  return (
    !scopes.includes('launch') &&
    scopes.some((scope) => scope === 'launch/patient' || scope.startsWith('patient/'))
  )
}

function choiceOf({ id, name, birthDate, description }: Person): PersonChoice {
  return { id, name, note: `born ${birthDate} · ${description}` }
}

function front({ hospital, iss, clientId, people }: PageRoutes, response: ServerResponse): void {
  const text = frontPage({ hospital, iss, clientId, people: people.map(choiceOf) })
  sendText(response, 200, text, pageHeaders)
}

async function manage(
  { hospital, people, server }: PageRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method === 'POST') {
    const grant = new URLSearchParams((await readBody(request)) ?? '').get('revoke')
    if (grant) await server.revoke(grant)
    return sendText(response, 303, '', { location: '/manage' })
  }
  const apps = server.grants().map(({ id, app, patient, at }) => ({
    id,
    app,
    person: people.find((one) => one.id === patient)?.name ?? 'nobody in particular',
    since: at.toISOString().slice(0, 10),
  }))
  sendText(response, 200, managePage(hospital, apps), pageHeaders)
}
