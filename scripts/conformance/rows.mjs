// The requirements and threats, by chapter, from the two lists beside this file.
import { readFileSync } from 'node:fs'

const ig = 'https://hl7.org/fhir/smart-app-launch/STU2.2'
const smart = 'SMART App Launch 2.2'

/** The pages of the standards that a requirement can come from: their names and addresses. */
export const sources = {
  conformance: [`${smart}, conformance`, `${ig}/conformance.html`],
  'app-launch': [`${smart}, app launch`, `${ig}/app-launch.html`],
  scopes: [`${smart}, scopes and launch context`, `${ig}/scopes-and-launch-context.html`],
  asymmetric: [`${smart}, asymmetric clients`, `${ig}/client-confidential-asymmetric.html`],
  symmetric: [`${smart}, symmetric clients`, `${ig}/client-confidential-symmetric.html`],
  backend: [`${smart}, backend services`, `${ig}/backend-services.html`],
  introspection: [`${smart}, token introspection`, `${ig}/token-introspection.html`],
  'app-state': [`${smart}, app state`, `${ig}/app-state.html`],
  'task-launch': [`${smart}, task launch`, `${ig}/task-launch.html`],
  'best-practices': [`${smart}, best practices`, `${ig}/best-practices.html`],
  'us-core': ['US Core, scopes', 'https://hl7.org/fhir/us/core/scopes.html'],
  fhir: ['FHIR R4, REST', 'https://hl7.org/fhir/R4/http.html'],
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

/** The verbs, and what each says about a row. */
export const verbs = {
  'SHALL, SHALL NOT': 'SMART asks it of every client that does this at all',
  'SHOULD, SHOULD NOT': 'SMART recommends it',
  MAY: 'SMART allows it',
  'MUST, MUST NOT': 'an RFC, or OpenID Connect, that SMART builds on asks it',
  tolerance: 'real servers differ here, and the client copes',
  information: 'what SMART tells clients without asking anything of them',
}
const known = new Set(Object.keys(verbs).flatMap((some) => some.split(', ')))

/** @returns {{ title: string, rows: { id: string, verb: string, source: string, text: string }[] }[]} */
export const requirements = () =>
  chapters('requirements.txt', ([id, verb, source, text]) => {
    if (!known.has(verb)) throw new Error(`${id} has the unknown verb ${verb}`)
    return { id, verb, source: linked(id, source), text }
  })

/** @returns {{ title: string, rows: { id: string, text: string }[] }[]} */
export const threats = () => chapters('threats.txt', ([id, text]) => ({ id, text }))

// `rfc9207 2.4` is the section of an RFC, which has an address of its own.
function linked(id, source) {
  const [page, section] = source.split(' ')
  if (!(page in sources)) throw new Error(`${id} has the unknown source ${page}`)
  const [name, address] = sources[page]
  if (section === undefined) return `[${name}][${page}]`
  return page.startsWith('rfc')
    ? `[${name} §${section}](${address}#section-${section})`
    : `[${name} §${section}][${page}]`
}

function chapters(file, row) {
  const found = []
  const ids = new Set()
  for (const line of readFileSync(new URL(file, import.meta.url), 'utf8').split('\n')) {
    if (line.startsWith('# ')) found.push({ title: line.slice(2), rows: [] })
    else if (line !== '') {
      const made = row(line.split(' | '))
      if (ids.has(made.id) || !made.text) throw new Error(`${made.id} stands twice or says nothing`)
      ids.add(made.id)
      found.at(-1).rows.push(made)
    }
  }
  return found
}
