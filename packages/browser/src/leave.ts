import { type Authorization, SmartError } from '@s4s/core'

/** Sends this page, or a window of ours, to a provider: to an https page, and never to something that runs as script. */
export function leaveFor({ url, form }: Authorization, to: 'assign' | 'replace' | Window): void {
  const target = checked(form?.action ?? url)
  if (form) submit(target, form.fields, typeof to === 'string' ? '_self' : to.name)
  else if (to === 'assign') globalThis.location.assign(target)
  else (typeof to === 'string' ? globalThis : to).location.replace(target)
}

// The address comes from the provider's configuration.
function checked(url: string): string {
  const { protocol, hostname } = new URL(url)
  const loopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  if (protocol === 'https:' || (protocol === 'http:' && loopback)) return url
  throw new SmartError('DISCOVERY_INVALID', 'the provider’s sign-in page is not an https page')
}

function submit(action: string, fields: Readonly<Record<string, string>>, target: string): void {
  const form = Object.assign(document.createElement('form'), { method: 'post', action, target, hidden: true })
  for (const [name, value] of Object.entries(fields))
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
  document.body.append(form)
  form.submit()
  form.remove()
}

/** True in a frame of another site, at whatever depth: there a participant cannot see who they are clicking for. */
export function isFramed(): boolean {
  try {
    let { self } = globalThis as { self: Window }
    for (; self.parent !== self; self = self.parent)
      if (self.parent.location.origin !== globalThis.location.origin) return true
    return false
  } catch {
    return true
  }
}
