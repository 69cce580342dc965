import { type Behavior, changed, has, outcome } from './behavior.js'

const behind = 'http://fhir4.eclinicalworks.com'
const mostPerMinute = 250

export const eClinicalWorks: Behavior = {
  software: 'eCW FHIR Facade',
  auth: { publicRefresh: false, withholds: ['patient'] },
  fhir: () => {
    const count = { minute: 0, sent: 0 }
    return async ({ base, url, searched, serve }) => {
      const minute = Math.floor(Date.now() / 60_000)
      if (count.minute !== minute) Object.assign(count, { minute, sent: 0 })
      if (++count.sent > mostPerMinute)
        return new Response('Too Many Requests', {
          status: 429,
          headers: { 'access-control-allow-origin': '*' },
        })
      if (searched === undefined) return serve()
      const needs: Readonly<Record<string, readonly string[]>> = {
        Observation: ['category', 'code'],
        CarePlan: ['category'],
        CareTeam: ['status'],
        Provenance: ['_id'],
      }
      const lacks = needs[searched]
      if (lacks && !has(url, '_id', '_page', ...lacks))
        return outcome(400, {
          severity: 'error',
          code: 'processing',
          diagnostics: `Does not know how to handle get operation with parameter [${[...url.searchParams.keys()]}]`,
        })
      const { origin } = new URL(base)
      const parameters = new URLSearchParams(url.search)
      // Whatever it keeps as a care plan is of this category.
      if (searched === 'CarePlan' && /assess-plan/.test(url.search)) parameters.delete('category')
      return changed(await serve(parameters), {
        links: (links) => links.map((link) => ({ ...link, url: link.url.replace(origin, behind) })),
        total: (total, entries) => (entries === 0 ? 50 : total),
        text: (text) => text.replaceAll(`"fullUrl":"${origin}`, `"fullUrl":"${behind}`),
      })
    }
  },
}
