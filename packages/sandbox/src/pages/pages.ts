import { describeScope, isFixedScope } from '../auth/scopes.js'
import { type Html, html } from './html.js'

const style = `
:root { color-scheme: light; --ink: #17232f; --line: #c9d3dc; --brand: #14577a; --paper: #f4f7f9 }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
header { background: var(--brand); color: #fff; padding: 1rem max(1rem, calc(50% - 20rem)) }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
h2 { font-size: 1.125rem; margin: 1.5rem 0 .5rem }
dd { margin: 0 0 .75rem }
code { overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem }
fieldset { border: 1px solid var(--line); border-radius: .5rem; background: #fff; margin: 0 0 1.25rem; padding: .75rem 1rem }
legend { font-weight: 600; padding: 0 .375rem }
label { display: block; padding: .375rem 0 }
.choice { display: grid; grid-template-columns: auto 1fr; gap: .625rem; align-items: start }
.choice small { display: block; color: #4a5a68 }
input[type=text], input[type=password] { display: block; width: 100%; font: inherit; padding: .625rem; border: 1px solid #6b7b89; border-radius: .375rem }
input[type=radio], input[type=checkbox] { width: 1.25rem; height: 1.25rem; margin: .125rem 0 0 }
button { font: inherit; font-weight: 600; padding: .75rem 1.25rem; border-radius: .5rem; border: 2px solid var(--brand); background: #fff; color: var(--brand); cursor: pointer }
button.go { background: var(--brand); color: #fff }
:focus-visible { outline: 3px solid #e8a33d; outline-offset: 2px }
.actions { display: flex; flex-wrap: wrap; gap: .75rem }
`

/** One page of the hospital, whole, without anything from elsewhere. */
export function page(hospital: string, title: string, body: Html): string {
  return html`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title} · ${hospital}</title><style>${{ markup: style }}</style></head><body><header>${hospital}</header><main>${body}</main></body></html>`
    .markup
}

/** What a page must be sent with. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
}

export function signInPage(hospital: string, action: string): string {
  return page(
    hospital,
    'Sign in',
    html`<h1>Sign in to ${hospital}</h1>
<p>This hospital is a sandbox. Nobody in it exists, and any name and password will do.</p>
<form method="post" action="${action}">
<fieldset><legend>Your account</legend>
<label>User name <input type="text" name="username" value="demo" required maxlength="64" autocomplete="off" autofocus></label>
<label>Password <input type="password" name="password" value="demo" autocomplete="off"></label>
</fieldset>
<div class="actions"><button class="go" name="answer" value="sign-in">Sign in</button><button name="answer" value="deny" formnovalidate>Cancel</button></div>
</form>`,
  )
}

export interface PersonChoice {
  readonly id: string
  readonly name: string
  readonly note: string
}

export interface Approval {
  readonly hospital: string
  readonly action: string
  readonly app: string
  readonly scopes: readonly string[]
  /** Whose record it can be; one when the EHR has chosen already. */
  readonly people: readonly PersonChoice[]
  /** The end of the access, when it outlasts the visit. */
  readonly until?: Date
}

export function approvalPage({ hospital, action, app, scopes, people, until }: Approval): string {
  const end = until?.toLocaleDateString('en-US', { dateStyle: 'long', timeZone: 'UTC' })
  const lasts = end === undefined ? 'for this visit only' : `until ${end}, or until you end it`
  return page(
    hospital,
    'Share a record',
    html`<h1>Let ${app} read a record?</h1>
<p>${app} asks ${hospital} for access. You can end it at any time on the page <a href="/manage">Apps with access</a>.</p>
<form method="post" action="${action}">
${people.length === 0 ? html`` : html`<fieldset><legend>Whose record?</legend>${people.map(personChoice)}</fieldset>`}
<fieldset><legend>What it may do</legend>${scopes.map(scopeChoice)}</fieldset>
<p>What you share leaves this hospital, and its rules on privacy no longer protect it. Access lasts ${lasts}.</p>
<div class="actions"><button class="go" name="answer" value="approve">Approve</button><button name="answer" value="deny" formnovalidate>Do not approve</button></div>
</form>`,
  )
}

function personChoice({ id, name, note }: PersonChoice, index: number): Html {
  return html`<label class="choice"><input type="radio" name="patient" value="${id}" required ${index === 0 ? html`checked` : html``}><span>${name}<small>${note}</small></span></label>`
}

function scopeChoice(scope: string): Html {
  if (isFixedScope(scope))
    return html`<label class="choice"><input type="checkbox" checked disabled><input type="hidden" name="scope" value="${scope}"><span>${describeScope(scope)}</span></label>`
  return html`<label class="choice"><input type="checkbox" name="scope" value="${scope}" checked><span>${describeScope(scope)}</span></label>`
}

export interface AppWithAccess {
  readonly id: string
  readonly app: string
  readonly person: string
  readonly since: string
}

export function managePage(hospital: string, apps: readonly AppWithAccess[]): string {
  const rows = apps.map(
    ({ id, app, person, since }) =>
      html`<form method="post" action="/manage"><fieldset><legend>${app}</legend><p>Reads the record of ${person}, since ${since}.</p><button name="revoke" value="${id}">End access</button></fieldset></form>`,
  )
  return page(
    hospital,
    'Apps with access',
    html`<h1>Apps with access</h1>${rows.length === 0 ? html`<p>No app has access.</p>` : rows}`,
  )
}

export function messagePage(hospital: string, title: string, text: string): string {
  return page(hospital, title, html`<h1>${title}</h1><p>${text}</p>`)
}

export interface Front {
  readonly hospital: string
  readonly iss: string
  readonly clientId: string
  readonly people: readonly PersonChoice[]
}

export function frontPage({ hospital, iss, clientId, people }: Front): string {
  const rows = people.map(({ id, name, note }) => html`<li>${name} (<code>${id}</code>), ${note}</li>`)
  return page(
    hospital,
    'Sandbox',
    html`<h1>${hospital}</h1>
<p>A sandbox for apps. Nobody in it exists.</p>
<dl><dt>FHIR base</dt><dd><code>${iss}</code></dd><dt>Client id</dt><dd><code>${clientId}</code></dd></dl>
<ul>
<li><a href="/fhir/.well-known/smart-configuration">SMART configuration</a></li>
<li><a href="/fhir/metadata">CapabilityStatement</a></li>
<li><a href="/manage">Apps with access</a></li>
</ul>
<h2>People</h2>
<ul>${rows}</ul>`,
  )
}
