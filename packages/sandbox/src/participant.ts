type Fetch = typeof globalThis.fetch

/** What a person answers on the sandbox's pages. */
export interface Answer {
  /** The id of the record to open; the first of the list unless given. */
  readonly patient?: string
  /** The scopes to leave ticked; all unless given. Those that the page does not let go of are always granted. */
  readonly scopes?: readonly string[]
}

/** An authorization request that is sent as a form. */
export interface PostedRequest {
  readonly action: string
  readonly fields: Readonly<Record<string, string>>
}

const steps = 12

/**
 * Walks the sign-in and approval pages as a browser and its user would: follows redirects, keeps cookies, fills
 * in the forms. Resolves to the address that the sandbox sends the browser back to, without going there.
 */
export async function answerPages(
  send: Fetch,
  sandbox: string,
  start: string | PostedRequest,
  answer: Answer | 'deny',
): Promise<string> {
  const cookies = new Map<string, string>()
  const asked = typeof start === 'string' ? new URL(start).searchParams : new URLSearchParams(start.fields)
  const back = asked.get('redirect_uri')?.split('?')[0]
  let next: { url: string; body?: string } =
    typeof start === 'string' ? { url: start } : { url: start.action, body: asked.toString() }
  for (let step = 0; step < steps; step++) {
    const response = await send(next.url, {
      redirect: 'manual',
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(next.body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(next.body === undefined ? {} : { method: 'POST', body: next.body }),
    })
    for (const line of response.headers.getSetCookie()) keep(cookies, line)
    const location = response.headers.get('location')
    if (location !== null) {
      const url = new URL(location, next.url).href
      const [address] = url.split('?')
      if (address === back || new URL(url).origin !== new URL(sandbox).origin) return url
      next = { url }
      continue
    }
    const page = await response.text()
    const action = /<form method="post" action="([^"]+)"/.exec(page)?.[1]
    if (action === undefined)
      throw new Error(
        `the sandbox answered with status ${response.status} and no form: ${page.slice(0, 300)}`,
      )
    next = { url: new URL(unescaped(action), next.url).href, body: fill(page, answer).toString() }
  }
  throw new Error('the sandbox’s pages did not come to an end')
}

function fill(page: string, answer: Answer | 'deny'): URLSearchParams {
  const form = new URLSearchParams()
  if (answer === 'deny') return new URLSearchParams({ answer: 'deny' })
  if (page.includes('name="username"'))
    return new URLSearchParams({ username: 'demo', password: 'demo', answer: 'sign-in' })
  form.set('answer', 'approve')
  const people = values(page, 'patient', 'radio')
  if (people.length > 0) {
    const patient = answer.patient ?? (people[0] as string)
    if (!people.includes(patient)) throw new Error(`the sandbox lists no patient ${patient}`)
    form.set('patient', patient)
  }
  for (const scope of values(page, 'scope', 'hidden')) form.append('scope', scope)
  for (const scope of values(page, 'scope', 'checkbox'))
    if (!answer.scopes || answer.scopes.includes(scope)) form.append('scope', scope)
  return form
}

function values(page: string, name: string, type: string): string[] {
  const inputs = page.matchAll(new RegExp(`type="${type}" name="${name}" value="([^"]*)"`, 'g'))
  return [...inputs].map(([, value]) => unescaped(value ?? ''))
}

function unescaped(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
}

function keep(cookies: Map<string, string>, line: string): void {
  const [pair = ''] = line.split(';')
  const at = pair.indexOf('=')
  const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
  if (value === '') cookies.delete(name)
  else cookies.set(name, value)
}
