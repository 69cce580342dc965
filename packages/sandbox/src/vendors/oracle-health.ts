import { type Behavior, changed, cursorFrom, cursorNamed, has, outcome } from './behavior.js'

const lengths: Readonly<Record<string, number>> = {
  DocumentReference: 10,
  DiagnosticReport: 10,
  Observation: 50,
}

export const oracleHealth: Behavior = {
  software: 'Cerner Millennium',
  auth: {
    // An app of SMART 2: what is written in the old way is dropped without a word, and so are wildcards.
    scopes: (asked) => asked.filter((scope) => !/\.(read|write|\*)$/.test(scope) && !scope.includes('/*')),
    staticRefresh: true,
    withholds: ['patient'],
  },
  configuration: ({ capabilities }) => ({
    grant_types_supported: ['authorization_code', 'client_credentials'],
    capabilities: (capabilities as string[]).filter((one) => one !== 'permission-v2'),
  }),
  fhir: () => {
    /** The last resource of the page before, by the cursor of the page after it. */
    const lasts = new Map<string, { readonly type: string; readonly id: string }>()
    return async ({ base, url, request, searched, serve, path }) => {
      const accept = request.headers.get('accept') ?? '*/*'
      if (path[0] !== 'Binary' && !/json|\*\/\*/.test(accept)) return new Response(null, { status: 406 })
      if (path[0] === 'Binary' && /^application\/json\b/.test(accept))
        return new Response(null, { status: 406 })
      if (searched === undefined) return serve()
      const cursor = url.searchParams.get('pageContext')
      const parameters = cursorFrom(url, 'pageContext')
      if (cursor === null) {
        if (!has(url, 'patient', '_id', 'subject', 'beneficiary', 'target', 'practitioner'))
          return new Response('no supported search parameters provided', {
            status: 400,
            headers: { 'content-type': 'text/plain' },
          })
        if (searched === 'CarePlan' && !/assess-plan/.test(url.searchParams.get('category') ?? ''))
          return outcome(400, { code: 'required', diagnostics: 'category=assess-plan is required.' })
        if (searched === 'Observation' && has(url, '_lastUpdated') && has(url, 'date'))
          return outcome(400, { code: 'invalid', diagnostics: '_lastUpdated may not stand beside date.' })
        // Whatever it keeps as a care plan is of this category.
        if (searched === 'CarePlan') parameters.delete('category')
        parameters.set('_count', String(lengths[searched] ?? 100))
      }
      const answer = await serve(parameters)
      const bundle = answer.ok
        ? ((await answer.clone().json()) as {
            link?: { relation: string; url: string }[]
            entry?: { resource: { resourceType: string; id: string }; search: { mode: string } }[]
          })
        : {}
      const next = /_page=([^&]+)/.exec(
        bundle.link?.find(({ relation }) => relation === 'next')?.url ?? '',
      )?.[1]
      const last = bundle.entry?.filter(({ search }) => search.mode === 'match').at(-1)?.resource
      if (next !== undefined && last) lasts.set(next, { type: last.resourceType, id: last.id })
      // One resource of the page before comes again.
      const again = cursor === null ? undefined : lasts.get(cursor)
      const read = again && (await serve(new URLSearchParams(), `${again.type}/${again.id}`))
      const text = read?.ok ? await read.text() : undefined
      return changed(answer, {
        links: cursorNamed('pageContext', '&direction=NEXT'),
        first:
          text && again
            ? [
                `{"fullUrl":${JSON.stringify(`${base}/${again.type}/${again.id}`)},"resource":${text},"search":{"mode":"match"}}`,
              ]
            : [],
      })
    }
  },
}
