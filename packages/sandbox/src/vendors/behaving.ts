import type { Behavior } from './behavior.js'

type Serve = (request: Request) => Promise<Response>

/** A FHIR server that behaves like a product. */
export function behaving(behavior: Behavior, base: string, server: Serve): Serve {
  const { fhir, software } = behavior
  const named = async (request: Request): Promise<Response> => {
    const answer = await server(request)
    if (software === undefined || !new URL(request.url).pathname.endsWith('/metadata')) return answer
    const text = (await answer.text()).replace(
      '"software":{"name":"@s4s/sandbox"}',
      `"software":{"name":"${software}"}`,
    )
    return new Response(text, answer)
  }
  if (!fhir) return named
  const answer = fhir()
  const root = new URL(base).pathname
  return async (request) => {
    const url = new URL(request.url)
    // Some write their links in another case, and answer to both.
    const below = url.pathname.slice(root.length)
    if (request.method === 'OPTIONS') return server(request)
    const path = below.split('/').filter(Boolean)
    const isSearch =
      (path.length === 1 && path[0] !== 'metadata') || (path.length === 2 && path[1] === '_search')
    const form = request.method === 'POST' && path[1] === '_search' ? await request.clone().text() : ''
    for (const [name, value] of new URLSearchParams(form)) url.searchParams.append(name, value)
    return answer({
      base,
      request,
      url,
      path,
      searched: isSearch ? path[0] : undefined,
      serve: (
        parameters = url.searchParams,
        other = path.filter((one) => one !== '_search' || !isSearch).join('/'),
      ) => {
        const headers = new Headers(request.headers)
        if (other !== path.join('/')) headers.set('accept', 'application/fhir+json')
        const query = parameters.toString()
        const target = `${base}/${other}${query === '' ? '' : `?${query}`}`
        const isPost = request.method === 'POST' && !isSearch
        return named(
          isPost ? new Request(target, request.clone() as Request) : new Request(target, { headers }),
        )
      },
    })
  }
}
