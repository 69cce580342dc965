// The requirements and threats, by chapter, from the two lists beside this file.
import { readFileSync } from 'node:fs'

const ig = 'https://hl7.org/fhir/smart-app-launch/STU2.2'

/** Where each requirement comes from. */
export const sources = {
  conformance: ['SMART 2.2, conformance', `${ig}/conformance.html`],
  'app-launch': ['SMART 2.2, app launch', `${ig}/app-launch.html`],
  scopes: ['SMART 2.2, scopes and launch context', `${ig}/scopes-and-launch-context.html`],
  asymmetric: ['SMART 2.2, asymmetric clients', `${ig}/client-confidential-asymmetric.html`],
  symmetric: ['SMART 2.2, symmetric clients', `${ig}/client-confidential-symmetric.html`],
  backend: ['SMART 2.2, backend services', `${ig}/backend-services.html`],
  introspection: ['SMART 2.2, token introspection', `${ig}/token-introspection.html`],
  'app-state': ['SMART 2.2, app state', `${ig}/app-state.html`],
  'task-launch': ['SMART 2.2, task launch', `${ig}/task-launch.html`],
  'best-practices': ['SMART 2.2, best practices', `${ig}/best-practices.html`],
  'us-core': ['US Core, scopes', 'https://hl7.org/fhir/us/core/scopes.html'],
  fhir: ['FHIR, REST', 'https://hl7.org/fhir/R4/http.html'],
  oidc: ['OpenID Connect Core', 'https://openid.net/specs/openid-connect-core-1_0.html'],
  'oidc-discovery': [
    'OpenID Connect Discovery',
    'https://openid.net/specs/openid-connect-discovery-1_0.html',
  ],
  ...Object.fromEntries(
    ['6749', '6750', '7009', '7521', '7591', '7636', '8252', '9110', '9207', '9700'].map((number) => [
      `rfc${number}`,
      [`RFC ${number}`, `https://www.rfc-editor.org/rfc/rfc${number}`],
    ]),
  ),
}

/** @returns {{ title: string, rows: { id: string, verb: string, source: string, text: string }[] }[]} */
export const requirements = () =>
  chapters('requirements.txt', ([id, verb, source, text]) => {
    if (!(source in sources)) throw new Error(`${id} has the unknown source ${source}`)
    return { id, verb, source, text }
  })

/** @returns {{ title: string, rows: { id: string, text: string }[] }[]} */
export const threats = () => chapters('threats.txt', ([id, text]) => ({ id, text }))

function chapters(file, row) {
  const found = []
  for (const line of readFileSync(new URL(file, import.meta.url), 'utf8').split('\n')) {
    if (line.startsWith('# ')) found.push({ title: line.slice(2), rows: [] })
    else if (line !== '') found.at(-1).rows.push(row(line.split(' | ')))
  }
  return found
}
