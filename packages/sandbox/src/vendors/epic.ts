import { type Behavior, changed, coded, cursorFrom, cursorNamed, has, outcome } from './behavior.js'

const system = 'urn:oid:1.2.840.114350.1.13.0.1.7.2.657369'
const refused = (code: string, text: string): Response =>
  outcome(400, { code: 'business-rule', ...coded(system, code, text) })
const remark = (code: string, issue: string, text: string): object => ({
  severity: 'warning',
  code: issue,
  ...coded(system, code, text),
})
const carePlans = ['38717003', '734163000']
const unknownPage = (): Response =>
  new Response('<!DOCTYPE html><html><title>404 - File or directory not found.</title></html>', {
    status: 404,
    headers: { 'content-type': 'text/html', 'access-control-allow-origin': '*' },
  })

export const epic: Behavior = {
  software: 'Epic',
  auth: { publicRefresh: false },
  fhir:
    () =>
    async ({ base, url, searched, serve, path }) => {
      if (path[0] === 'Provenance') return unknownPage()
      if (searched === undefined) return bare(await serve())
      const page = url.searchParams.get('sessionID')
      const parameters = cursorFrom(url, 'sessionID')
      const issues = [
        remark(
          '4119',
          'suppressed',
          'This response includes information available at the time of the request.',
        ),
      ]
      if (page === null) {
        const category = (url.searchParams.get('category') ?? '').split(/[|,]/)
        if (searched === 'RelatedPerson' && !has(url, '_id'))
          return refused('59102', 'Only an _ID search is allowed.')
        if (searched === 'Patient' && has(url, 'patient'))
          return refused('59102', 'Only an _ID search is allowed.')
        if (searched === 'Observation' && !has(url, 'category', 'code', '_id'))
          return outcome(400, {
            code: 'required',
            ...coded(system, '59108', 'Must have either code or category.'),
          })
        if (
          searched === 'Observation' &&
          category.some((one) => ['procedure', 'therapy', 'activity'].includes(one))
        )
          return refused('59109', 'Invalid category.')
        if (searched === 'CarePlan' && !has(url, '_id')) {
          const own = category.find((one) => carePlans.includes(one))
          if (own === undefined) return refused('59159', 'This resource requires a category for searching.')
          // The one of its categories that all care plans of the synthetic records are in.
          if (own === carePlans[0]) parameters.delete('category')
        }
        if (searched === 'Condition' && !has(url, 'clinical-status', '_id'))
          parameters.set('clinical-status:not', 'inactive,resolved')
        for (const name of ['_lastUpdated', '_revinclude', '_count']) {
          if (!has(url, name)) continue
          parameters.delete(name)
          if (name !== '_count')
            issues.push({
              ...remark('59100', 'informational', 'Unknown parameter has been ignored.'),
              severity: 'information',
            })
        }
        parameters.set('_count', '50')
      }
      const first = `${base}/${searched}?${page === null ? url.searchParams : `patient=of-the-token`}`
      const answer = await bare(await serve(parameters))
      return changed(answer, {
        // The same on every page.
        links: (links) =>
          cursorNamed('sessionID')(
            links.map((link) => (link.relation === 'self' ? { ...link, url: first } : link)),
          ),
        total: (_, entries) => entries,
        first: [
          JSON.stringify({
            resource: { resourceType: 'OperationOutcome', issue: issues },
            search: { mode: 'outcome' },
          }),
        ],
      })
    },
}

// A 403 without a body.
async function bare(answer: Response): Promise<Response> {
  if (answer.status !== 403) return answer
  return new Response(null, {
    status: 403,
    headers: { 'www-authenticate': 'Bearer error="insufficient_scope"', 'access-control-allow-origin': '*' },
  })
}
