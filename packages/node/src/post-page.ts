import { randomBytes } from 'node:crypto'
import type { AuthorizationForm } from '@s4s/core'

/**
 * A page that sends an authorization request as a form: by itself, or by its button where scripts do not run. Its
 * policy names no `form-action`: Chromium holds the redirects that follow to it.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#request-5
 */
export function postPage(
  form: AuthorizationForm,
  framed = false,
): {
  readonly html: string
  readonly headers: Record<string, string>
} {
  const nonce = randomBytes(16).toString('base64')
  const fields = Object.entries(form.fields)
    .map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`)
    .join('')
  return {
    html: `<!doctype html><html lang="en"><meta charset="utf-8"><title>Continue</title><form method="post" action="${escaped(
      form.action,
    )}">${fields}<button>Continue</button></form><script nonce="${nonce}">document.forms[0].submit()</script></html>`,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; script-src 'nonce-${nonce}'; base-uri 'none'${framed ? '' : "; frame-ancestors 'none'"}`,
    },
  }
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
}
