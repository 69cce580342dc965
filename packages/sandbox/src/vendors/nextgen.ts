import { type Behavior, changed, has, outcome } from './behavior.js'

const pageLength = 25
/** Types whose chain of links ends before their results do. */
const lossy = new Set(['Procedure', 'Encounter'])

export const nextGen: Behavior = {
  software: 'NextGen FHIR API',
  auth: { audience: 'absent' },
  fhir: () => {
    /** The cursors of the pages of a search, by its address and its token. */
    const chains = new Map<string, (string | undefined)[]>()
    return async ({ base, url, request, searched, serve }) => {
      if (searched === undefined) return serve()
      if (searched === 'Observation' && !has(url, 'category', 'code', '_id'))
        return outcome(400, { diagnostics: 'Observation needs a category or a code.' })
      if (searched === 'CarePlan' && !has(url, 'category', '_id'))
        return outcome(404, {
          severity: 'error',
          diagnostics: 'Valid care plan category not present in search.',
        })
      if (searched === 'Provenance')
        return outcome(400, {
          code: 'exception',
          diagnostics: 'NotImplementedException: The method or operation is not implemented.',
        })
      const number = Number(url.searchParams.get('page') ?? 1)
      const parameters = new URLSearchParams(url.search)
      parameters.delete('page')
      const name = `${request.headers.get('authorization')} ${searched}?${parameters}`
      parameters.set('_count', String(pageLength))
      // Whatever it keeps as a care plan is of this category.
      if (searched === 'CarePlan' && /assess-plan/.test(url.search)) parameters.delete('category')
      const known = chains.get(name) ?? []
      chains.set(name, known)
      let answer = await serve(parameters)
      for (let at = 1; at < number && answer.ok; at++) {
        const cursor = known[at] ?? (await cursorOf(answer))
        known[at] = cursor
        if (cursor === undefined) return empty(`${base}/${searched}${url.search}`)
        answer = await serve(new URLSearchParams({ _page: cursor }))
      }
      // Another case than the base.
      const written = base.replace(/\/fhir$/, '/FHIR')
      const here = new URL(url)
      here.searchParams.set('page', String(number + 1))
      return changed(answer, {
        links: (links) =>
          links.flatMap(({ relation }) =>
            relation === 'next'
              ? lossy.has(searched) && number >= 2
                ? []
                : [{ relation, url: `${written}/${searched}${here.search}` }]
              : [{ relation, url: `${written}/${searched}${url.search}` }],
          ),
        text: (text) =>
          text
            .replaceAll(',"search":{"mode":"match"}', '')
            .replaceAll(
              `"fullUrl":"${base}/${searched}/`,
              `"fullUrl":"${written}/${searched.toLowerCase()}/`,
            ),
      })
    }
  },
}

async function cursorOf(answer: Response): Promise<string | undefined> {
  const { link = [] } = (await answer.clone().json()) as { link?: { relation: string; url: string }[] }
  return /_page=([^&]+)/.exec(link.find(({ relation }) => relation === 'next')?.url ?? '')?.[1]
}

function empty(self: string): Response {
  const link = [{ relation: 'self', url: self }]
  return new Response(JSON.stringify({ resourceType: 'Bundle', type: 'searchset', link }), {
    headers: { 'content-type': 'application/fhir+json', 'access-control-allow-origin': '*' },
  })
}
