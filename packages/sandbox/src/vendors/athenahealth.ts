import { type Behavior, changed, cursorFrom, cursorNamed, has, outcome } from './behavior.js'

const practice = 'Organization/a-1.Practice-80000'

export const athenahealth: Behavior = {
  software: 'athenahealth',
  auth: {
    scopes: (asked) => (asked.some((scope) => scope.includes('/*')) ? undefined : asked),
    refreshScope: true,
    staticRefresh: true,
    claims: () => ({ ah_practice: practice }),
  },
  configuration: () => ({
    scopes_supported: undefined,
    grant_types_supported: ['authorization_code'],
  }),
  fhir:
    () =>
    async ({ url, searched, serve, path }) => {
      if (path[0] !== 'metadata' && !url.search.includes(`ah-practice=${practice}`))
        return outcome(403, { code: 'forbidden', details: { text: 'The practice context is missing.' } })
      if (searched === undefined) {
        const plain = new URLSearchParams(url.search)
        plain.delete('ah-practice')
        return serve(plain)
      }
      const parameters = cursorFrom(url, 'cursor')
      parameters.delete('ah-practice')
      if (searched === 'MedicationRequest' && !has(url, 'cursor', 'intent', '_id'))
        return outcome(403, {
          code: 'forbidden',
          details: {
            text: 'The search query could not be performed because one of the required parameter combinations [[patient,intent],[_id]] was not provided.',
          },
        })
      const answer = await changed(await serve(parameters), {
        links: cursorNamed('cursor'),
        total: () => undefined,
      })
      answer.headers.set('ratelimit-remaining', '499')
      return answer
    },
}
